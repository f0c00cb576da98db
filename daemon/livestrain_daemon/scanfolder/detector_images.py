"""Images of the detector that results depend on, kept beside the frames under the digest of what they hold."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder.files import published

Pixels = NDArray[np.float32]
DIGEST_BYTES = 16


@dataclass(frozen=True)
class DetectorImage:
    """A dark or gain image, and the digest by which a plan names it."""

    pixels: Pixels
    """(rows, columns)"""
    digest: str

    @classmethod
    def of(cls, pixels: Pixels) -> Self:
        """With the digest of these pixels; takes half a second for the largest detectors."""
        kept = np.ascontiguousarray(pixels, "<f4")
        return cls(kept, _digest(kept))


def store_image(folder: Path, image: DetectorImage) -> None:
    """
    Keep an image in a scan folder.

    Parameters
    ----------
    folder
        The scan folder.
    image
        Dark or gain.

    Raises
    ------
    StorageError
        If it could not be written.
    """
    path = _path(folder, image.digest)
    if not path.exists():
        with published(path) as partial, partial.open("wb") as file:
            np.save(file, image.pixels)


def load_image(folder: Path, digest: str, frame_shape: tuple[int, int]) -> Pixels:
    """
    An image that a plan names.

    Parameters
    ----------
    folder
        The scan folder.
    digest
        As its `DetectorImage` has it.
    frame_shape : (2,)
        Of a frame.

    Returns
    -------
    (rows, columns)
        Dark or gain.

    Raises
    ------
    StorageError
        If the folder does not have it, or it is not what the digest says.
    """
    path = _path(folder, digest)
    try:
        image = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StorageError(f"{path}: expected the image that the plan names, found {error}") from error
    if image.dtype != np.dtype("<f4") or image.shape != frame_shape or _digest(image) != digest:
        raise StorageError(f"{path}: not the image that the plan names")
    return np.asarray(image, np.float32)


def _path(folder: Path, digest: str) -> Path:
    return folder / f"image-{digest}.npy"


def _digest(image: Pixels) -> str:
    kept = np.ascontiguousarray(image, "<f4")
    content = hashlib.blake2b(f"{kept.shape}".encode(), digest_size=DIGEST_BYTES)
    content.update(kept.data)
    return content.hexdigest()
