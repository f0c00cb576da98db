"""Frames in HDF5 files."""

from contextlib import ExitStack
from functools import partial
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compression filters with HDF5
import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.contents import contents_of
from livestrain_recordings.dectris import detector_of, is_master, open_master
from livestrain_recordings.errors import NoFrames, UnusableRecording
from livestrain_recordings.hdf5_facts import facts_of, is_turned
from livestrain_recordings.linked import Checked, checked_reading, linked
from livestrain_recordings.pieces import SLAB_BYTES
from livestrain_recordings.recording import Recording, checked_shape, given_type
from livestrain_recordings.stored import stored

LEDGER_STORED = 1
SMALLEST_SIDE = 8
"""What has fewer pixels along an axis is not taken for frames unless it is named."""
FORM = "(scan_rows, scan_columns, rows, columns)"
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
            found, remark = _found(path, file, dataset)
            laid = stored(found)
            shape = checked_shape(path, found.name, laid.shape)
            given = given_type(path, found.name, found.dtype)
            checked = _checked(path, found)
            detector = detector_of(path, file, shape[-2:], found.dtype)
            return Recording(
                path=path,
                name=found.name,
                shape=shape,
                dtype=given,
                read=partial(laid.turned, checked.read),
                chunks=laid.chunks,
                facts={**detector.facts, **facts_of(found)},
                absent=_absent(path, file, found, checked, shape),
                unusable=detector.unusable if detector.unusable is not None else _unusable(found, shape),
                saturation=detector.saturation,
                remark=remark,
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


def _checked(path: Path, dataset: Any) -> Checked:
    try:
        return checked_reading(dataset)
    except OSError as error:
        raise OSError(f"{path}: {dataset.name}: {error}") from error


def _found(path: Path, file: Any, dataset: str | None) -> tuple[Any, str]:
    """The dataset of frames, and what a user must know of its choice."""
    if "ring_path" in file.attrs and not dataset:
        raise NoFrames(f"{path}: this scan was not recorded, its frames lived in a ring")
    named = _named(path, file, dataset) if dataset else None
    if isinstance(named, h5py.Dataset) and named.shape is not None:
        return named, ""
    all_found, broken = _datasets(path, file)
    fitting = [one for one in all_found if _fits(one)]
    if broken:
        # what has three axes beside the frames is most often something else of the detector
        fitting = [one for one in fitting if len(stored(one).shape) == 4]
    if fitting and not dataset:
        taken = max(fitting, key=lambda one: (len(stored(one).shape), one.size))
        return taken, f"{broken[0]}; {taken.name} is taken" if broken else ""
    if broken and not dataset:
        raise OSError(f"{broken[0]}; what else is there must be named (--dataset)")
    nearest = max(fitting or all_found, key=lambda one: (one.ndim, one.size), default=None)
    beside = "" if nearest is None else f"; the nearest is {nearest.name}, {_type(nearest)} of {nearest.shape}"
    what = f"no dataset {dataset} of frames" if dataset else "no dataset with three or four axes of numbers"
    sides = f" with at least {SMALLEST_SIDE} rows and columns" * (not dataset)
    raise NoFrames(f"{path}: {what}, which would be {FORM}{sides}{beside}")


def _datasets(path: Path, file: Any) -> tuple[list[Any], list[str]]:
    """All that have values, those that are linked from other files too; and what is wrong with links."""
    here = contents_of(file)
    found = [*here.datasets]
    broken = [_nameless(path, name) for name in here.unnamed]
    for name in here.external:
        try:
            item = _named(path, file, name)
            if isinstance(item, h5py.Group):
                inside = contents_of(item)
                found += inside.datasets
                broken += [_nameless(path, f"{name}/{one}") for one in inside.unnamed]
            elif isinstance(item, h5py.Dataset):
                found.append(item)
        except OSError as error:
            broken.append(str(error))
    return [one for one in found if one.shape], broken


def _nameless(path: Path, name: str) -> str:
    return f"{path}: {name}: expected a name in UTF-8"


def _named(path: Path, file: Any, name: str) -> Any:
    """
    What has a name in a file, which may be a link to another file; None if there is none.

    Raises
    ------
    OSError
        If that file is not there or does not have it; names it.
    """
    try:
        return file[name]
    except KeyError as error:
        for one in (name, *map(str, PurePosixPath(name).parents)):
            link = file.get(one, getlink=True) if one not in {".", "/"} else None
            if isinstance(link, h5py.ExternalLink):
                raise OSError(f"{path}: {name}: expected {linked(path, link)}, found none") from error
        return None


def _fits(dataset: Any) -> bool:
    shape = stored(dataset).shape
    return _kind(dataset) in "buif" and len(shape) in {3, 4} and dataset.size > 0 and min(shape[-2:]) >= SMALLEST_SIDE


def _type(dataset: Any) -> str:
    return "values" if _kind(dataset) == "V" else str(dataset.dtype)


def _kind(dataset: Any) -> str:
    """The kind of its type in numpy's letters; V where numpy has no such type."""
    try:
        return str(dataset.dtype.kind)
    except TypeError:
        return "V"


def _absent(path: Path, file: Any, dataset: Any, checked: Checked, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Where there are no values, or livestrain's own ledger beside the frames says that one was not stored."""
    absent = np.zeros(prod(shape[:-2]), np.bool_)
    if checked.absent is not None:
        if checked.absent.size != absent.size or is_turned(dataset):
            raise OSError(f"{path}: {dataset.name}: expected all values, found some never written")
        absent |= checked.absent.ravel()
    ledger = file.get("ledger")
    if isinstance(ledger, h5py.Dataset) and ledger.shape == absent.shape:
        absent |= ledger[()] != LEDGER_STORED
    return absent if absent.any() else None


def _unusable(dataset: Any, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Where an image ``usable_pixels`` beside the frames is zero."""
    usable = dataset.parent.get("usable_pixels")
    if not isinstance(usable, h5py.Dataset) or usable.shape != shape[-2:] or usable.dtype.kind not in "bui":
        return None
    unusable: NDArray[np.bool_] = usable[()] == 0
    return unusable
