"""Windows of disks laid out for loops over many numbers at a time: rows, and the whole, are filled up with zeros."""

from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.types import Float64

T = TypeVar("T", np.float32, np.float64)
VECTOR, HALF_VECTOR, LOOP = 16, 8, 64
"""float32 numbers in a vector, in half of one, and in an unrolled loop."""


def up(number: int, multiple: int) -> int:
    """The next multiple of a number, or the number itself if it is one."""
    return -(-number // multiple) * multiple


def filled_up(windows: NDArray[T], size: int) -> NDArray[T]:
    """
    Square windows whose rows, and the whole, are filled up with zeros.

    Parameters
    ----------
    windows : (..., size * size)
        Row by row.
    size
        Pixels along a side.

    Returns
    -------
    (..., length)
        Rows of a multiple of `HALF_VECTOR`, all together a multiple of `LOOP`.
    """
    lead: tuple[int, ...] = windows.shape[:-1]
    columns = up(size, HALF_VECTOR)
    rows = np.zeros((*lead, size, columns), windows.dtype)
    rows[..., :size] = windows.reshape(*lead, size, size)
    out = np.zeros((*lead, up(size * columns, LOOP)), windows.dtype)
    out[..., : size * columns] = rows.reshape(*lead, -1)
    return out


@njit(cache=True, nogil=True)
def cut(image: NDArray[Any], row: int, column: int, window: NDArray[Any]) -> None:
    """Part of an image that begins at (row, column)."""
    rows, columns = window.shape
    for r in range(rows):
        source = image[row + r, column : column + columns]
        target = window[r]
        for c in range(columns):
            target[c] = source[c]


@njit(cache=True, nogil=True)
def brightness_class(intensity: float, limits: Float64) -> int:
    """Index of the filters made for disks of this many electrons."""
    k = 0
    while k < len(limits) and intensity > limits[k]:
        k += 1
    return k
