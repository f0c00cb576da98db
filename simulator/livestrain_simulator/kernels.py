"""The compiled inner loops of the renderer."""

from collections.abc import Callable
from math import ceil, cos, exp, floor, log, pi, sqrt
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")
Float64 = NDArray[np.float64]

# beyond this many edge widths the sigmoid is within 0.0004 of its end
EDGE_WIDTHS = 4.0
# a Poisson mean from which on counting up from zero is slower than searching from the mode
FROM_MODE = 24.0
LOG_ROOT_2PI = 0.5 * log(2 * pi)


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function; its types stay visible."""
    compiled: Callable[P, R] = njit(cache=True, nogil=True)(function)
    return compiled


@kernel
def expected_frame(
    out: Float64,
    disks: Float64,
    radius: float,
    edge: float,
    nonuniformity: float,
    background: Float64,
    dose: float,
) -> None:
    """
    Expected counts of one frame.

    Parameters
    ----------
    out : (rows, columns)
        Receives them [counts].
    disks : (n, 6)
        Row, column [px], weight, fringe wave vector (row, column) [rad/px] and fringe phase [rad] of each disk.
    radius
        Radius of the disks [px].
    edge
        Width of their soft edge [px].
    nonuniformity
        Contrast of the fringes inside them, 0 to 1.
    background : (rows, columns)
        Counts behind the disks [counts].
    dose
        Counts in all disks together [counts].
    """
    out[:] = 0.0
    total = 0.0
    for disk in disks:
        total += _add_disk(out, disk, radius, edge, nonuniformity)
    scale = dose / total if total > 0 else 0.0
    rows, columns = out.shape
    for row in range(rows):
        for column in range(columns):
            out[row, column] = out[row, column] * scale + background[row, column]


@kernel
def _add_disk(out: Float64, disk: Float64, radius: float, edge: float, nonuniformity: float) -> float:
    """Add a disk with a soft edge and fringes, and return its sum; what lies off the frame is lost."""
    total = 0.0
    rows, columns = out.shape
    reach = radius + EDGE_WIDTHS * edge
    for row in range(max(0, ceil(disk[0] - reach)), min(rows, floor(disk[0] + reach) + 1)):
        for column in range(max(0, ceil(disk[1] - reach)), min(columns, floor(disk[1] + reach) + 1)):
            y, x = row - disk[0], column - disk[1]
            inside = (radius - sqrt(y * y + x * x)) / edge
            if inside <= -EDGE_WIDTHS:
                continue
            value = disk[2]
            if inside < EDGE_WIDTHS:
                value /= 1.0 + exp(-2.0 * inside)
            if nonuniformity > 0:
                value *= 1.0 + nonuniformity * cos(disk[3] * y + disk[4] * x + disk[5])
            out[row, column] += value
            total += value
    return total


@kernel
def draw(expected: Float64, uniforms: Float64, out: NDArray[Any], ceiling: float) -> int:
    """
    Poisson counts, by inverting the distribution at one uniform number per pixel.

    Parameters
    ----------
    expected : (rows, columns)
        Mean counts.
    uniforms : (rows, columns)
        Uniform in [0, 1).
    out : (rows, columns)
        Receives the counts.
    ceiling
        Largest value that `out` can hold.

    Returns
    -------
    int
        Number of pixels that were cut to the ceiling.
    """
    clipped = 0
    rows, columns = expected.shape
    for row in range(rows):
        for column in range(columns):
            counts = poisson(expected[row, column], uniforms[row, column])
            if counts > ceiling:
                clipped += 1
                counts = int(ceiling)
            out[row, column] = counts
    return clipped


@kernel
def poisson(mean: float, uniform: float) -> int:
    """
    The Poisson count that a uniform number in [0, 1) selects.

    Notes
    -----
    The unit interval is shared out among the counts by their probability: from zero upwards for small means, and for
    large ones from the most likely count outwards, which takes about the square root of the mean in steps.
    """
    # exp(-mean) is not below 1 - mean: most dark pixels are decided without it
    if uniform < 1.0 - mean:
        return 0
    if mean >= FROM_MODE:
        return _from_mode(mean, uniform)
    left = uniform
    share = exp(-mean)
    for count in range(200):
        if left < share:
            return count
        left -= share
        share *= mean / (count + 1)
    return int(mean)


@kernel
def _from_mode(mean: float, uniform: float) -> int:
    left = uniform
    mode = int(mean)
    # Stirling's series for the logarithm of mode!, exact to 1e-9 from 16 on
    inverse = 1.0 / mode
    stirling = LOG_ROOT_2PI + inverse * (1 / 12 - inverse * inverse * (1 / 360))
    above = below = exp(mode * log(mean * inverse) - 0.5 * log(mode) + mode - mean - stirling)
    if left < above:
        return mode
    left -= above
    for step in range(1, int(12 * sqrt(mean)) + 20):
        above *= mean / (mode + step)
        if left < above:
            return mode + step
        left -= above
        if step <= mode:
            below *= (mode - step + 1) / mean
            if left < below:
                return mode - step
            left -= below
    return mode
