"""Recorded scans in HDF5 and .npy files, read a piece at a time."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import hdf5plugin  # noqa: F401 - registers the compression filters with HDF5
import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.errors import NoFrames, NotReplayable
from livestrain_wire.forms import LOOKED_AT_BYTES, NPY, form_of

READ_BYTES = 16 << 20
"""Pixels read at a time, unless a chunk is larger [bytes]."""
SLAB_BYTES = 128 << 20
"""Pixels read at a time at most [bytes]."""
CASTS = {
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "float32": "float32",
    "bool": "uint8",
    "int8": "uint8",
    "int16": "uint16",
    "int32": "uint32",
    "int64": "uint32",
    "uint64": "uint32",
    "float16": "float32",
}
"""What each pixel type is sent as; values that the new type cannot hold are refused."""
LEDGER_STORED = 1
START_FACTS = ("step_nm", "energy_kev", "semiangle_mrad", "pixel_size_mrad")
SMALLEST_SIDE = 8
"""What has fewer pixels along an axis is not taken for frames unless it is named."""
LONGEST_TEXT = 200
"""Longest text attribute that is carried along [characters]."""

Fact = str | int | float | bool


@dataclass(frozen=True)
class Recording:
    """The frames of a file; close it after use."""

    path: Path
    name: str
    """The dataset within the file."""
    shape: tuple[int, ...]
    """(scan_rows, scan_columns, rows, columns), or (frames, rows, columns)."""
    dtype: str
    """The type that frames are sent as."""
    read: Callable[[Any], NDArray[Any]]
    """A piece of the array, by slices."""
    chunks: tuple[int, ...]
    """How the file stores the first axes: pieces are read along them."""
    facts: dict[str, Fact] = field(default_factory=dict)
    """Scalar attributes."""
    absent: NDArray[np.bool_] | None = None
    """(frames,) true where the file has room for a frame that was never taken; None: all are there."""
    resources: AbstractContextManager[Any] = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resources.__exit__(kind, error, trace)

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Pixels of a frame (rows, columns)."""
        return self.shape[-2], self.shape[-1]

    @property
    def frames(self) -> int:
        """Frames in the file."""
        return int(np.prod(self.shape[:-2]))

    def blocks(self) -> Iterator[NDArray[Any]]:
        """
        All frames in stored order, a few at a time.

        Yields
        ------
        (n, rows, columns)
            Little-endian and contiguous, of the type that frames are sent as.

        Raises
        ------
        NotReplayable
            At a value that the type cannot hold.
        """
        first = 0
        for piece in _pieces(self.shape, self.chunks, np.dtype(self.dtype).itemsize):
            block = self.read(piece).reshape(-1, *self.frame_shape)
            yield self._converted(block, first)
            first += len(block)

    def _converted(self, block: NDArray[Any], first: int) -> NDArray[Any]:
        target = np.dtype(self.dtype)
        if block.dtype.kind in "iu" and (block.dtype.kind == "i" or block.dtype.itemsize > target.itemsize):
            bad = (block < 0) | (block > np.iinfo(target).max)
            if bad.any():
                frame = int(np.flatnonzero(bad.any(axis=(1, 2)))[0])
                raise NotReplayable(
                    f"{self.path}: {self.name}: frame {first + frame} holds {block[frame][bad[frame]][0]}, which "
                    f"{self.dtype} cannot; convert the file first"
                )
        return np.ascontiguousarray(block, dtype=target.newbyteorder("<"))


def open_recording(path: Path, dataset: str | None = None) -> Recording:
    """
    The frames of a file.

    Parameters
    ----------
    path
        An HDF5 or a .npy file.
    dataset
        Path of the dataset within an HDF5 file; None takes the largest with four axes, else with three.

    Raises
    ------
    NoFrames
        If nothing in it has the form of frames.
    NotReplayable
        If they are of a type that cannot be sent.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        beginning = file.read(LOOKED_AT_BYTES)
    if beginning.startswith(NPY):
        return _open_npy(path)
    # HDF5 may have a block of something else before it
    if not h5py.is_hdf5(path):
        raise OSError(f"{path}: expected a .npy or HDF5 file, found {form_of(beginning)}")
    return _open_hdf5(path, dataset)


def _open_npy(path: Path) -> Recording:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise OSError(f"{path}: not a readable .npy file: {error}") from error
    if array.ndim not in (3, 4) or not array.size:
        raise NoFrames(f"{path}: expected (scan_rows, scan_columns, rows, columns), found {array.shape}")

    def read(piece: Any) -> NDArray[Any]:
        return np.asarray(array[piece])

    return Recording(path, "array", array.shape, _sent_type(path, "array", array.dtype), read, (1,) * (array.ndim - 2))


def _open_hdf5(path: Path, dataset: str | None) -> Recording:
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
        dtype = _sent_type(path, found.name, found.dtype)
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


def _sent_type(path: Path, name: str, dtype: np.dtype[Any]) -> str:
    if dtype.name not in CASTS:
        raise NotReplayable(
            f"{path}: {name} holds {dtype.name}, which cannot be sent without loss; "
            "convert it to uint8, uint16, uint32 or float32"
        )
    return CASTS[dtype.name]


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


def _pieces(shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int) -> Iterator[tuple[slice, ...]]:
    """Slices of the first axes that walk over all frames in order, in whole chunks as far as memory allows."""
    frame_bytes = shape[-2] * shape[-1] * itemsize
    if len(shape) == 3:
        step = _step(chunks[0], frame_bytes)
        yield from ((slice(first, min(first + step, shape[0])),) for first in range(0, shape[0], step))
        return
    row_bytes = shape[1] * frame_bytes
    if row_bytes <= SLAB_BYTES:
        step = _step(chunks[0], row_bytes)
        yield from ((slice(first, min(first + step, shape[0])), slice(None)) for first in range(0, shape[0], step))
        return
    step = _step(chunks[1], frame_bytes)
    for row in range(shape[0]):
        for first in range(0, shape[1], step):
            yield slice(row, row + 1), slice(first, min(first + step, shape[1]))


def _step(chunk: int, unit_bytes: int) -> int:
    """How many units to read at once: about `READ_BYTES`, in whole chunks, and never more than `SLAB_BYTES`."""
    wanted = max(1, READ_BYTES // max(1, unit_bytes))
    whole = max(chunk, wanted // chunk * chunk)
    return max(1, min(whole, SLAB_BYTES // max(1, unit_bytes)))
