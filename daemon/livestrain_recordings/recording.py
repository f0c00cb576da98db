"""The frames of a file, whatever its kind."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.errors import UnusableRecording
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
}
"""What each pixel type is given as; values that the new type cannot hold are refused."""
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
            Little-endian and contiguous, of the type that frames are given as.

        Raises
        ------
        UnusableRecording
            At a value that the type cannot hold.
        """
        first = 0
        for piece in pieces(self.shape, self.chunks, np.dtype(self.dtype).itemsize):
            block = self.read(piece).reshape(-1, *self.frame_shape)
            yield self._converted(block, first)
            first += len(block)

    def _converted(self, block: NDArray[Any], first: int) -> NDArray[Any]:
        target = np.dtype(self.dtype)
        if block.dtype.kind in "iu" and (block.dtype.kind == "i" or block.dtype.itemsize > target.itemsize):
            bad = (block < 0) | (block > np.iinfo(target).max)
            if bad.any():
                frame = int(np.flatnonzero(bad.any(axis=(1, 2)))[0])
                raise UnusableRecording(
                    f"{self.path}: {self.name}: frame {first + frame} holds {block[frame][bad[frame]][0]}, which "
                    f"{self.dtype} cannot; convert the file first"
                )
        return np.ascontiguousarray(block, dtype=target.newbyteorder("<"))


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
