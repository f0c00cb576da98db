from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from livestrain_wire.messages import Run

Mask = npt.NDArray[np.bool_]


def runs_of(mask: Mask) -> list[Run]:
    """
    The runs of true values in a mask.

    Parameters
    ----------
    mask : (n,)
        One value per position.

    Returns
    -------
    list of (start, count)
        Ascending, never touching each other.
    """
    edges = np.flatnonzero(np.diff(np.asarray(mask, dtype=np.int8), prepend=0, append=0))
    starts = edges[::2].tolist()
    return [(start, end - start) for start, end in zip(starts, edges[1::2].tolist(), strict=True)]


def mask_of(runs: Iterable[Run], positions: int) -> Mask:
    """
    The mask that is true in these runs; what lies outside the positions is left out.

    Parameters
    ----------
    runs
        (start, count) each.
    positions
        Length of the mask.
    """
    mask = np.zeros(positions, dtype=np.bool_)
    for first, count in runs:
        mask[max(first, 0) : max(first + count, 0)] = True
    return mask
