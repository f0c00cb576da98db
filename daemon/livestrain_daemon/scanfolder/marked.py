"""The pixels that a detector says must not be looked at, kept with its scan."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder.files import published

UNUSABLE_FILE = "unusable-pixels.npy"

Pixels = NDArray[np.bool_]
"""(rows, columns), true where a pixel must not be looked at."""


def store_unusable(folder: Path, unusable: Pixels) -> None:
    """
    Keep these pixels in a new scan folder.

    Raises
    ------
    StorageError
        If that could not be written.
    """
    with published(folder / UNUSABLE_FILE) as partial, partial.open("wb") as file:
        np.save(file, unusable)


def load_unusable(folder: Path, frame_shape: tuple[int, int]) -> Pixels | None:
    """
    The pixels that the detector of a scan marks, (rows, columns); None where it marks none.

    Raises
    ------
    StorageError
        If the file cannot be read or is not of this shape.
    """
    path = folder / UNUSABLE_FILE
    try:
        found = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        raise StorageError(f"{path}: expected the pixels that the detector marks, found {error!s:.200}") from error
    if found.dtype != np.bool_ or found.shape != frame_shape:
        raise StorageError(f"{path}: expected bool {frame_shape}, found {found.dtype} {found.shape}")
    pixels: Pixels = found
    return pixels
