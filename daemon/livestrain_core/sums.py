"""Number types that hold sums of frames."""

from typing import Any

import numpy as np


def sum_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """
    Number type that holds the sum of a block of frames without overflow.

    Parameters
    ----------
    dtype
        Type of the frames.

    Returns
    -------
    dtype
        uint32 for one and two bytes (exact up to 65,537 frames), uint64 for four bytes, else float64.
    """
    if dtype.kind == "u":
        return np.dtype(np.uint32 if dtype.itemsize <= 2 else np.uint64)
    return np.dtype(np.float64)
