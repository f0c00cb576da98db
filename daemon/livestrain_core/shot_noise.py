"""How many counts an electron gives, from the scatter of the pixels between the disks."""

import numpy as np
from numba import njit

from livestrain_core.probe import Probe
from livestrain_core.types import Float64, Frames, Usable

# disks reach as far as this beyond their radius: edge widths, and pixels
EDGE_WIDTHS = 2.5
MARGIN_PX = 1.0
# frames that it takes, and sums of three pixels over all frames, each of some electrons
FEWEST_FRAMES = 4
FEWEST_SUMS = 2000
# scatter below this part of the squared counts is that of rounding
LEAST_SCATTER = 1e-9


def counts_per_electron(frames: Frames, usable: Usable, position: Float64, probe: Probe) -> float | None:
    """
    Variance of a pixel over its mean.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns [counts].
    usable : (rows, columns)
        False where a pixel must not be looked at.
    position : (n, m, 2)
        Disks of each frame, NaN where there are none (row, column) [px].
    probe
        Radius and edge [px].

    Returns
    -------
    float or None
        None where too little is to be seen between the disks, or nothing scatters.

    Notes
    -----
    Second differences of three neighbours in a row remove a smooth background; their scatter over the frames
    around each place's mean leaves out what stays the same. Its expectation is the factor times y1 + 4 y2 + y3.
    """
    reach = probe.radius_px + EDGE_WIDTHS * probe.edge_px + MARGIN_PX
    seen, first, second, total, squared = np.zeros((5, frames.shape[1], frames.shape[2] - 2))
    for frame, disks in zip(frames, position, strict=True):
        free = usable & np.isfinite(frame) & _far_from(disks, reach, *frame.shape)
        values = np.where(free, frame, 0).astype(np.float64)
        before, here, after = values[:, :-2], values[:, 1:-1], values[:, 2:]
        between = free[:, :-2] & free[:, 1:-1] & free[:, 2:]
        difference = np.where(between, before - 2.0 * here + after, 0.0)
        seen += between
        first += difference
        second += difference**2
        total += np.where(between, before + 4.0 * here + after, 0.0)
        squared += np.where(between, before**2 + 4.0 * here**2 + after**2, 0.0)
    enough = seen >= FEWEST_FRAMES
    if seen[enough].sum() < FEWEST_SUMS:
        return None
    seen, first, second = seen[enough], first[enough], second[enough]
    scatter = float(((second - first**2 / seen) * seen / (seen - 1)).sum())
    expected = float(total[enough].sum())
    least = LEAST_SCATTER * float(squared[enough].sum())
    return scatter / expected if expected > 0.0 and scatter > least else None


@njit(cache=True, nogil=True)
def _far_from(position: Float64, reach: float, rows: int, columns: int) -> Usable:
    """False within some pixels of any of these places (m, 2)."""
    far = np.ones((rows, columns), np.bool_)
    for k in range(len(position)):
        r, c = position[k]
        if not (np.isfinite(r) and np.isfinite(c)):
            continue
        for i in range(max(int(r - reach), 0), min(int(r + reach) + 2, rows)):
            half = reach**2 - (i - r) ** 2
            if half >= 0.0:
                half = np.sqrt(half)
                far[i, max(int(np.ceil(c - half)), 0) : max(min(int(c + half) + 1, columns), 0)] = False
    return far
