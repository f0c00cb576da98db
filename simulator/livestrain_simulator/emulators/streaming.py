"""Frames by number from a source that gives them in order, a block at a time."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Block: TypeAlias = NDArray[Any]
"""(count, rows, columns)."""
Frame: TypeAlias = NDArray[Any]
"""(rows, columns)."""


class SourceFailed(RuntimeError):
    """Frames cannot be had; the cause says why."""


class FrameStream:
    """
    Keeps one block of frames, and takes the next ones as they are asked for; to be used by one thread at a time.

    Parameters
    ----------
    frames
        How many there are; what is asked for beyond is the same from the first one on.
    blocks
        Gives them in order, from the first one on each time.
    """

    def __init__(self, frames: int, blocks: Callable[[], Iterator[Block]]) -> None:
        self._frames = frames
        self._blocks = blocks
        self._waiting: Iterator[Block] | None = None
        self._block: Block = np.empty((0, 0, 0))
        self._first = 0
        self.failure: Exception | None = None
        """Why there are no more."""

    def __call__(self, number: int) -> Frame:
        """
        The frame of a number.

        Raises
        ------
        SourceFailed
            If it cannot be had.
        """
        wanted = number % self._frames
        try:
            if self._waiting is None or wanted < self._first:
                self._waiting, self._first, self._block = self._blocks(), 0, np.empty((0, 0, 0))
            while wanted >= self._first + len(self._block):
                self._first += len(self._block)
                self._block = next(self._waiting)
        except (OSError, ValueError, MemoryError, StopIteration) as error:
            self.failure = ValueError(f"found no frame {wanted}") if isinstance(error, StopIteration) else error
            raise SourceFailed(str(self.failure)) from error
        frame: Frame = self._block[wanted - self._first]
        return frame
