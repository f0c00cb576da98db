from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.sums import sum_dtype
from livestrain_core.types import Frames


def block_sum_max(frames: Frames) -> tuple[NDArray[Any], NDArray[Any]]:
    """
    Summed and largest pattern of a block of frames.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns [counts].

    Returns
    -------
    total : (rows, columns)
        Sum in `sum_dtype`, exact for integers; NaN where a frame is NaN, zero of no frames [counts].
    largest : (rows, columns)
        Largest value of each pixel in the type of the frames; NaN where a frame is NaN, zero of no frames [counts].
    """
    total = np.zeros(frames.shape[1:], sum_dtype(frames.dtype))
    if len(frames) == 0:
        return total, np.zeros(frames.shape[1:], frames.dtype)
    largest = frames[0].copy()
    _accumulate(np.ascontiguousarray(frames), total, largest)
    return total, largest


@njit(cache=True, nogil=True)
def _accumulate(frames: Frames, total: NDArray[Any], largest: NDArray[Any]) -> None:
    for i in range(frames.shape[0]):
        for r in range(frames.shape[1]):
            for c in range(frames.shape[2]):
                value = frames[i, r, c]
                total[r, c] += value
                # the second comparison keeps a NaN once it is there, and takes one when it comes
                if value > largest[r, c] or value != value:  # noqa: PLR0124
                    largest[r, c] = value
