"""The frames of a file, whatever its kind."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.errors import NoFrames, UnusableRecording
from livestrain_recordings.pieces import pieces

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
    "float64": "float32",
}
"""What each pixel type is given as; integers that the new type cannot hold are refused, floats are rounded."""
EXACT = 1 << 24
"""Whole numbers up to this are the same as float32."""
MOST_PIXELS = 1 << 26
"""Of a frame."""
MOST_FRAMES = 1 << 26
LARGEST_CHUNK_BYTES = 1 << 30
"""A chunk is unpacked as a whole [bytes]."""
LONGEST_TEXT = 200
"""Longest text that is carried along as a fact [characters]."""
MOST_FACTS = 256
"""Of a file; what has more is not a description of a scan."""
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
    """The type that frames are given as."""
    read: Callable[[Any], NDArray[Any]]
    """A piece of the array, by slices."""
    chunks: tuple[int, ...]
    """How the file stores the first axes: pieces are read along them."""
    facts: dict[str, Fact] = field(default_factory=dict)
    """Scalar attributes."""
    absent: NDArray[np.bool_] | None = None
    """(frames,) true where the file has room for a frame that was never taken; None: all are there."""
    unusable: NDArray[np.bool_] | None = None
    """(rows, columns) true where the file says that a pixel must not be looked at; None: it says nothing."""
    saturation: float | None = None
    """Counts from which on a pixel says nothing, where the file tells [counts]."""
    remark: str = ""
    """What a user must know of the choice of the dataset; empty: nothing."""
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
        return prod(self.shape[:-2])

    def first_frame(self) -> NDArray[Any]:
        """
        The first frame as the file has it, (rows, columns).

        Raises
        ------
        OSError
            If it cannot be read.
        """
        frame: NDArray[Any] = self._read((slice(0, 1),) * (len(self.shape) - 2), 0)[0]
        return frame

    def blocks(self) -> Iterator[NDArray[Any]]:
        """
        All frames in stored order, a few at a time.

        Yields
        ------
        (n, rows, columns)
            Little-endian and contiguous, of the type that frames are given as.

        Raises
        ------
        UnusableRecording
            At a value that the type cannot hold.
        OSError
            If frames cannot be read; names the first of them.
        """
        for given in self.given():
            if given.wrong:
                raise UnusableRecording(f"{given.wrong}; convert the file first")
            yield given.frames

    def given(self) -> Iterator["Given"]:
        """
        As `blocks`, but with those frames that hold a value that the type cannot.

        Raises
        ------
        OSError
            If frames cannot be read; names the first of them.
        """
        first = 0
        for piece in pieces(self.shape, self.chunks, np.dtype(self.dtype).itemsize):
            block = self._read(piece, first)
            yield self._converted(block, first)
            first += len(block)

    def _read(self, piece: tuple[slice, ...], first: int) -> NDArray[Any]:
        try:
            return self.read(piece).reshape(-1, *self.frame_shape)
        except (OSError, RuntimeError, ValueError) as error:
            raise OSError(f"{self.path}: {self.name}: cannot read the frames from {first} on: {error}") from error

    def _converted(self, block: NDArray[Any], first: int) -> "Given":
        target = np.dtype(self.dtype)
        bad: NDArray[np.bool_] | None = None
        if block.dtype.kind in "iu" and (block.dtype.kind == "i" or block.dtype.itemsize > target.itemsize):
            least, most = (-EXACT, EXACT) if target.kind == "f" else (0, int(np.iinfo(target).max))
            bad = (block < least) | (block > most)
        elif block.dtype.itemsize > target.itemsize:
            # what is no number stays none
            bad = np.isfinite(block) & (np.abs(block) > np.finfo(target).max)
        little = target.newbyteorder("<")
        if bad is None or not bad.any():
            return Given(np.ascontiguousarray(block, dtype=little))
        unfit: NDArray[np.bool_] = np.asarray(bad.any(axis=(1, 2)))
        frame = int(np.flatnonzero(unfit)[0])
        wrong = (
            f"{self.path}: {self.name}: frame {first + frame} holds {block[frame][bad[frame]][0]}, which "
            f"{self.dtype} cannot"
        )
        return Given(np.ascontiguousarray(np.where(bad, 0, block), dtype=little), unfit, wrong)


@dataclass(frozen=True)
class Given:
    """Some frames that follow each other."""

    frames: NDArray[Any]
    """(n, rows, columns), little-endian and contiguous."""
    unfit: NDArray[np.bool_] | None = None
    """(n,) true for frames that hold a value that the type cannot; None: there are none."""
    wrong: str = ""
    """Which is the first of them, and what it holds."""


def with_negative_counts(recording: Recording, stopped: Callable[[], bool]) -> Recording:
    """
    The same recording, given as float32 if there are counts below zero.

    They are there where a camera has subtracted its dark counts. Only in a file of signed numbers without any is every
    frame read for that, as long as it is not to be stopped.

    Raises
    ------
    OSError
        If the first frame cannot be read.
    """
    signed = recording.first_frame().dtype.kind == "i"
    return replace(recording, dtype="float32") if signed and _any_negative(recording, stopped) else recording


def _any_negative(recording: Recording, stopped: Callable[[], bool]) -> bool:
    # what cannot be read is told when its turn comes, and the frames before it are there
    with suppress(OSError):
        for piece in pieces(recording.shape, recording.chunks, np.dtype(recording.dtype).itemsize):
            if stopped():
                break
            if (recording._read(piece, 0) < 0).any():  # noqa: SLF001 - of the same module
                return True
    return False


def given_type(path: Path, name: str, dtype: np.dtype[Any]) -> str:
    """
    The type that frames of a stored type are given as.

    Raises
    ------
    UnusableRecording
        If there is none that holds the same values.
    """
    if dtype.name not in CASTS:
        raise UnusableRecording(
            f"{path}: {name} holds {dtype.name}, which cannot be sent without loss; "
            "convert it to uint8, uint16, uint32 or float32"
        )
    return CASTS[dtype.name]


def checked_shape(path: Path, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """
    A shape that frames can have.

    Raises
    ------
    NoFrames
        If it is none.
    UnusableRecording
        If it is larger than any scan.
    """
    if len(shape) not in {3, 4} or min(shape) < 1:
        raise NoFrames(f"{path}: {name}: expected (scan_rows, scan_columns, rows, columns), found {shape}")
    frames, pixels = prod(shape[:-2]), prod(shape[-2:])
    if frames > MOST_FRAMES or pixels > MOST_PIXELS:
        raise UnusableRecording(
            f"{path}: {name}: expected at most {MOST_FRAMES} frames of at most {MOST_PIXELS} pixels, found {shape}"
        )
    return shape


def by_number(shape: tuple[int, ...], frames: Callable[[int, int], NDArray[Any]]) -> Callable[[Any], NDArray[Any]]:
    """
    Pieces of an array whose frames are read by number.

    Parameters
    ----------
    shape
        (scan_rows, scan_columns, rows, columns), or (frames, rows, columns).
    frames
        Gives consecutive frames, as many as asked: the number of the first, and how many.

    Returns
    -------
    Callable
        As `Recording.read`; a piece is one of `pieces`, so its frames follow each other.
    """

    def read(piece: tuple[slice, ...]) -> NDArray[Any]:
        if len(shape) == 3:
            return frames(piece[0].start, piece[0].stop - piece[0].start)
        rows, columns = piece
        left, right, _ = columns.indices(shape[1])
        return frames(rows.start * shape[1] + left, (rows.stop - rows.start - 1) * shape[1] + right - left)

    return read
