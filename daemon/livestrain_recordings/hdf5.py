"""Frames in HDF5 files."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compression filters with HDF5
import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.errors import NoFrames
from livestrain_recordings.pieces import SLAB_BYTES
from livestrain_recordings.recording import Fact, Recording, given_type

LEDGER_STORED = 1
START_FACTS = ("step_nm", "energy_kev", "semiangle_mrad", "pixel_size_mrad")
SMALLEST_SIDE = 8
"""What has fewer pixels along an axis is not taken for frames unless it is named."""
LONGEST_TEXT = 200
"""Longest text attribute that is carried along [characters]."""


def open_hdf5(path: Path, dataset: str | None) -> Recording:
    """Frames of a dataset; errors as `livestrain_recordings.opening.open_recording`."""
    with ExitStack() as stack:
        # one row of chunks must fit, else each would be unpacked many times
        try:
            file = stack.enter_context(h5py.File(path, "r", rdcc_nbytes=SLAB_BYTES))
        except OSError as error:
            raise OSError(f"{path}: not a readable HDF5 file: {error}") from error
        if "ring_path" in file.attrs and not dataset:
            raise NoFrames(f"{path}: this scan was not recorded, its frames lived in a ring")
        found = file.get(dataset) if dataset else _largest(file)
        if not isinstance(found, h5py.Dataset) or found.ndim not in (3, 4) or not found.size:
            what = f"no dataset {dataset} of frames" if dataset else "no dataset with three or four axes"
            raise NoFrames(f"{path}: {what}, which would be (scan_rows, scan_columns, rows, columns)")
        dtype = given_type(path, found.name, found.dtype)
        chunks = (found.chunks or (1,) * found.ndim)[:-2]
        return Recording(
            path,
            found.name,
            found.shape,
            dtype,
            found.__getitem__,
            chunks,
            _facts(found),
            _absent(found),
            stack.pop_all(),
        )


def _largest(file: Any) -> Any:
    candidates: list[Any] = []

    def collect(_: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or item.ndim not in (3, 4) or item.dtype.kind not in "buif":
            return
        if item.size and min(item.shape[-2:]) >= SMALLEST_SIDE:
            candidates.append(item)

    file.visititems(collect)
    return max(candidates, key=lambda item: (item.ndim, item.size), default=None)


def _facts(dataset: Any) -> dict[str, Fact]:
    """Scalar attributes of the dataset, of the groups above it and of the file; the nearest wins."""
    facts: dict[str, Fact] = {}
    item = dataset
    while True:
        if item.name == "/" and "start" in item.attrs:
            # livestrain's own file: its other attributes are about the file, not the scan
            return {**_recorded_start(item), **facts}
        for name, value in item.attrs.items():
            plain = value.item() if isinstance(value, np.generic) else value
            if isinstance(plain, (str, int, float, bool)) and len(str(plain)) <= LONGEST_TEXT:
                facts.setdefault(name, plain)
        if item.name == "/":
            return facts
        item = item.parent


def _recorded_start(file: Any) -> dict[str, Fact]:
    """What the start message of a scan said that livestrain itself has recorded."""
    try:
        start = json.loads(file.attrs["start"])
    except (TypeError, ValueError):
        return {}
    if not isinstance(start, dict):
        return {}
    metadata = start.pop("metadata", {})
    kept = {name: start[name] for name in START_FACTS if start.get(name) is not None}
    return {**(metadata if isinstance(metadata, dict) else {}), **kept}


def _absent(frames: Any) -> NDArray[np.bool_] | None:
    """Where livestrain's own ledger beside the frames says that one was not stored."""
    ledger = frames.file.get("ledger")
    if not isinstance(ledger, h5py.Dataset) or ledger.shape != (int(np.prod(frames.shape[:-2])),):
        return None
    absent: NDArray[np.bool_] = ledger[()] != LEDGER_STORED
    return absent if absent.any() else None
