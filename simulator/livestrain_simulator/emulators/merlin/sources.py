from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Frame: TypeAlias = NDArray[Any]
"""(rows, columns)."""
FrameSource: TypeAlias = Callable[[int], Frame | None]
"""The frame of a number, counted from 0 in each acquisition; None if there is none any more."""


def from_array(frames: NDArray[Any]) -> FrameSource:
    """Frames of an array (n, rows, columns), again and again."""

    def frame(number: int) -> Frame:
        return np.asarray(frames[number % len(frames)])

    return frame


def from_iterable(frames: Iterable[Frame]) -> FrameSource:
    """Frames in the order in which they come, whatever acquisition they are for, until there are no more."""
    iterator = iter(frames)

    def frame(number: int) -> Frame | None:
        del number
        return next(iterator, None)

    return frame
