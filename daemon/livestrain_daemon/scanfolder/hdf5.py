"""Laying out HDF5 files whose datasets lie at known offsets; afterwards they are read and written as plain files."""

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import structlog

from livestrain_daemon.errors import NotAScan, StorageError
from livestrain_daemon.scanfolder import files, seal

_log = structlog.get_logger(__name__)

FORMAT_VERSION = 1
"""Version of the layout of scan folders; readers refuse any other."""
OVERHEAD_BYTES = 1 << 20
"""More than HDF5 and the alignment add to the datasets of a file."""


@contextmanager
def laid_out(path: Path, payload_bytes: int, kind: str) -> Iterator[h5py.File]:
    """
    A new HDF5 file, which is there whole or not at all, its space reserved.

    Parameters
    ----------
    payload_bytes
        What the datasets will hold; refused beforehand if the disk has less.
    kind
        "frames" or "results"; readers look for it.

    Raises
    ------
    StorageError
        If the file exists, cannot be made, or there is not enough space.
    """
    needed = payload_bytes + OVERHEAD_BYTES
    files.require_space(path.parent, needed, str(path))
    with files.published(path) as partial:
        # HDF5 may end the process where a write fails, so the space is tried first and reserved for good afterwards
        files.try_size(partial, needed)
        try:
            with h5py.File(_create(partial)) as file:
                file.attrs["livestrain_format"] = FORMAT_VERSION
                file.attrs["livestrain_kind"] = kind
                yield file
                changing = _changing(file)
        except RuntimeError as error:
            raise StorageError(f"{path}: cannot be laid out: {error}") from error
        seal.write_seal(partial, changing)
        if not files.reserve(partial):
            _log.warning("space was not reserved: the file system cannot", path=str(path))


def _create(path: Path) -> h5py.h5f.FileID:
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_alignment(1, files.ALIGNMENT)
    return h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, fapl=access)


def _changing(file: h5py.File) -> list[seal.Extent]:
    """Where the datasets are that are written later."""
    found: list[seal.Extent] = []

    def look(_: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            creation = item.id.get_create_plist()
            if creation.get_alloc_time() == h5py.h5d.ALLOC_TIME_EARLY and item.id.get_offset() is not None:
                found.append((int(item.id.get_offset()), int(item.id.get_storage_size())))

    file.visititems(look)
    return found


def add_dataset(
    group: h5py.Group, name: str, shape: Sequence[int], dtype: npt.DTypeLike, fill: float | None = None
) -> h5py.Dataset:
    """
    A contiguous dataset whose place in the file is fixed now.

    Parameters
    ----------
    fill
        Written to every element; None leaves what a new file holds, zeros.
    """
    dtype = np.dtype(dtype)
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER if fill is None else h5py.h5d.FILL_TIME_ALLOC)
    if fill is not None:
        creation.set_fill_value(np.array(fill, dtype=dtype))
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    space = h5py.h5s.create_simple(tuple(shape))
    kind = h5py.h5t.py_create(dtype, logical=True)
    return h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, space, dcpl=creation, lcpl=links))


def set_json(file: h5py.File, name: str, value: Any) -> None:
    """An attribute of the file that holds JSON."""
    file.attrs[name] = json.dumps(value, ensure_ascii=False)


@contextmanager
def opened(path: Path, kind: str) -> Iterator[h5py.File]:
    """
    A file of this kind, open for reading; whatever is wrong with it while it is read becomes one line.

    Raises
    ------
    NotAScan
        If the file is missing, damaged, of another kind or of another format version.
    """
    try:
        seal.check_seal(path)
        with _opened_anyway(path) as file:
            found = file.attrs.get("livestrain_kind"), file.attrs.get("livestrain_format")
            if found != (kind, FORMAT_VERSION):
                raise NotAScan(f"{path}: expected {kind}, format {FORMAT_VERSION}, found {found[0]}, format {found[1]}")
            yield file
    except FileNotFoundError as error:
        raise NotAScan(f"{path}: does not exist") from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        text = " ".join(str(error).split())
        raise NotAScan(f"{path}: is damaged or not of livestrain: {text:.200}") from error


def _opened_anyway(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except BlockingIOError:
        # another program has it open for writing; what is read here never changes
        return h5py.File(path, "r", locking=False)


def get_json(file: h5py.File, name: str) -> Any:
    """The value of an attribute that holds JSON; KeyError or ValueError if there is none."""
    return json.loads(file.attrs[name])


def offset_of(file: h5py.File, name: str, shape: Sequence[int], dtype: npt.DTypeLike) -> int:
    """
    Where a dataset begins.

    Returns
    -------
    int
        Offset in the file [bytes].

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is not there, or not as expected, or does not lie within the file.
    """
    dataset = file[name]
    dtype = np.dtype(dtype)
    if not isinstance(dataset, h5py.Dataset):
        raise TypeError(f"{name} is not a dataset")
    if dataset.shape != tuple(shape) or dataset.dtype != dtype:
        raise ValueError(f"{name}: expected {tuple(shape)} {dtype}, found {dataset.shape} {dataset.dtype}")
    offset = dataset.id.get_offset()
    if offset is None:
        raise ValueError(f"{name}: is not contiguous")
    end = int(offset) + math.prod(shape) * dtype.itemsize
    size = Path(file.filename).stat().st_size
    if end > size:
        raise ValueError(f"{name}: ends at byte {end}, the file has {size}")
    return int(offset)
