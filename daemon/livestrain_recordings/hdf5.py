"""Frames in HDF5 files."""

from contextlib import ExitStack
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compression filters with HDF5
import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.chunks import checked_reading
from livestrain_recordings.dectris import detector_of, is_master, open_master
from livestrain_recordings.errors import NoFrames, UnusableRecording
from livestrain_recordings.hdf5_facts import facts_of
from livestrain_recordings.pieces import SLAB_BYTES
from livestrain_recordings.recording import Recording, checked_shape, given_type
from livestrain_recordings.stored import stored

LEDGER_STORED = 1
SMALLEST_SIDE = 8
"""What has fewer pixels along an axis is not taken for frames unless it is named."""
VELOX_IMAGES = "Data/Image"
"""Group of a Velox file, whose stacks have their frames along the last axis."""


def is_velox(path: Path) -> bool:
    """Whether a file is an HDF5 file of Velox, which needs a reader of its own."""
    if path.suffix.lower() != ".emd" or not path.is_file() or not h5py.is_hdf5(path):
        return False
    try:
        with h5py.File(path, "r") as file:
            return VELOX_IMAGES in file
    except OSError:
        # the reader of HDF5 says why
        return False


def open_hdf5(path: Path, dataset: str | None) -> Recording:
    """Frames of a dataset, or those that a DECTRIS master links; errors as `livestrain_recordings.opening`."""
    with ExitStack() as stack:
        # one row of chunks must fit, else each would be unpacked many times
        try:
            file = stack.enter_context(h5py.File(path, "r", rdcc_nbytes=SLAB_BYTES))
            if not dataset and is_master(file):
                return open_master(path, file)
            found = _found(path, file, dataset)
            laid = stored(found)
            shape = checked_shape(path, found.name, laid.shape)
            given = given_type(path, found.name, found.dtype)
            _check_linked(path, found)
            detector = detector_of(path, file, shape[-2:], found.dtype)
            return Recording(
                path=path,
                name=found.name,
                shape=shape,
                dtype=given,
                read=partial(laid.turned, checked_reading(found)),
                chunks=laid.chunks,
                facts={**detector.facts, **facts_of(found)},
                absent=_absent(file, shape),
                unusable=detector.unusable if detector.unusable is not None else _unusable(found, shape),
                saturation=detector.saturation,
                resources=stack.pop_all(),
            )
        except UnusableRecording:
            raise
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            # h5py tells of damage in all these ways
            raise OSError(f"{path}: not a readable HDF5 file: {error}") from error
        except OSError as error:
            # ours name the file already
            named = str(error).startswith(str(path))
            raise OSError(str(error) if named else f"{path}: not a readable HDF5 file: {error}") from error


def _found(path: Path, file: Any, dataset: str | None) -> Any:
    if "ring_path" in file.attrs and not dataset:
        raise NoFrames(f"{path}: this scan was not recorded, its frames lived in a ring")
    found = file.get(dataset) if dataset else _largest(file)
    if isinstance(found, h5py.Dataset) and found.shape is not None:
        return found
    what = f"no dataset {dataset} of frames" if dataset else "no dataset with three or four axes"
    raise NoFrames(f"{path}: {what}, which would be (scan_rows, scan_columns, rows, columns)")


def _largest(file: Any) -> Any:
    candidates: list[Any] = []

    def collect(_: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or item.shape is None or _kind(item) not in "buif":
            return
        shape = stored(item).shape
        if len(shape) in {3, 4} and item.size and min(shape[-2:]) >= SMALLEST_SIDE:
            candidates.append(item)

    file.visititems(collect)
    return max(candidates, key=lambda item: (len(stored(item).shape), item.size), default=None)


def _kind(dataset: Any) -> str:
    """The kind of its type in numpy's letters; V where numpy has no such type."""
    try:
        return str(dataset.dtype.kind)
    except TypeError:
        return "V"


def _check_linked(path: Path, dataset: Any) -> None:
    """HDF5 gives zeros where a linked file is not there."""
    for name in _linked(dataset):
        if not (path.parent / name).is_file():
            raise OSError(f"{path}: {dataset.name}: expected the linked file {path.parent / name}, found none")


def _linked(dataset: Any) -> set[str]:
    if not dataset.is_virtual:
        return set()
    names = {source.file_name for source in dataset.virtual_sources()}
    # "." is the file itself, and "%b" stands for any number of files
    return {name for name in names if name != "." and "%b" not in name}


def _absent(file: Any, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Where livestrain's own ledger beside the frames says that one was not stored."""
    ledger = file.get("ledger")
    if not isinstance(ledger, h5py.Dataset) or ledger.shape != (prod(shape[:-2]),):
        return None
    absent: NDArray[np.bool_] = ledger[()] != LEDGER_STORED
    return absent if absent.any() else None


def _unusable(dataset: Any, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Where an image ``usable_pixels`` beside the frames is zero."""
    usable = dataset.parent.get("usable_pixels")
    if not isinstance(usable, h5py.Dataset) or usable.shape != shape[-2:] or usable.dtype.kind not in "bui":
        return None
    unusable: NDArray[np.bool_] = usable[()] == 0
    return unusable
