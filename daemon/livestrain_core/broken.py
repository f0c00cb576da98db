"""Pixels that are hot or dead, seen from what they count beside their neighbours in the mean of many frames."""

import numpy as np
from numpy.typing import NDArray

from livestrain_core.types import Float64, Usable

# a single pixel is broken if it differs by these factors from all its neighbours
HOT = 3.0
DEAD = 10.0
# up to so many pixels together are broken if they differ by these factors from the pixels around
MOST_TOGETHER = 4
HOT_TOGETHER = 20.0
DEAD_TOGETHER = 100.0
# up to so many lines together can be dead; where they are dimmest (in this part of the pixels) the lines beside them
# count at least this part of the lines beyond
MOST_LINES = 4
DIM, EVEN = 0.25, 0.4
LEAST_COUNTS = 30.0


def broken_pixels(mean: Float64, frames: int, usable: Usable) -> Usable:
    """
    Pixels, groups of a few pixels, and whole lines that are hot or dead.

    Parameters
    ----------
    mean : (rows, columns)
        Mean of all frames [counts].
    frames
        How many there were.
    usable : (rows, columns)
        False where a pixel is known to be broken.

    Returns
    -------
    (rows, columns)
        True where a pixel is broken.

    Notes
    -----
    A pixel is hot if it counts over three times the highest of its eight neighbours, and dead if it counts under a
    tenth of the lowest. For groups the fourth highest (or lowest) of the 24 pixels around stands for the neighbours
    and the factors are 20 and 100, because a disk of a few pixels is bright, too. A row or column is dead if it counts
    under a tenth of the lines on both sides, in the quarter of its pixels where these are dimmest, and the light does
    not fall off towards it: the gap between two rows of disks is no dead line. It takes some background to tell. All
    of it only where chance is no excuse.
    """
    lines = _dead_lines(mean, frames, usable) | _dead_lines(mean.T, frames, usable.T).T
    seen = usable & ~lines
    return np.asarray(lines | _singles(mean, frames, seen) | _groups(mean, frames, seen), np.bool_)


def _hot(value: Float64, reference: Float64, factor: float, frames: int) -> NDArray[np.bool_]:
    chance = 6.0 * np.sqrt(np.maximum(reference * frames, 0.0) + 1.0) + 10.0
    return np.asarray((value > factor * reference) & (value * frames > chance))


def _dead(value: Float64, reference: Float64, factor: float, frames: int) -> NDArray[np.bool_]:
    return np.asarray((value < reference / factor) & (reference * frames > LEAST_COUNTS))


def _neighbours(reach: int) -> list[tuple[int, int]]:
    """Offsets of the pixels around one, in a square."""
    axis = range(2 * reach + 1)
    return [(i, j) for i in axis for j in axis if (i, j) != (reach, reach)]


def _singles(mean: Float64, frames: int, usable: Usable) -> NDArray[np.bool_]:
    rows, columns = mean.shape
    padded = np.pad(np.where(usable, mean, np.nan), 1, constant_values=np.nan)
    known, highest, lowest = np.zeros(mean.shape), np.full(mean.shape, -np.inf), np.full(mean.shape, np.inf)
    for i, j in _neighbours(1):
        shifted = padded[i : i + rows, j : j + columns]
        known += np.isfinite(shifted)
        highest, lowest = np.fmax(highest, shifted), np.fmin(lowest, shifted)
    broken = _hot(mean, highest, HOT, frames) | _dead(mean, lowest, DEAD, frames)
    return np.asarray(broken & (known >= 5) & usable)


def _groups(mean: Float64, frames: int, usable: Usable) -> NDArray[np.bool_]:
    """Pixels that may have up to three others like them among the 24 around."""
    padded = np.pad(np.where(usable, mean, np.nan), 2, constant_values=np.nan)
    rows, columns = mean.shape
    highest, lowest = np.full(mean.shape, -np.inf), np.full(mean.shape, np.inf)
    for i, j in _neighbours(2):
        shifted = padded[i : i + rows, j : j + columns]
        highest, lowest = np.fmax(highest, shifted), np.fmin(lowest, shifted)
    # few pixels differ that much from any neighbour; only they are worth a sort
    hot, dead = _hot(mean, lowest, HOT_TOGETHER, frames), _dead(mean, highest, DEAD_TOGETHER, frames)
    r, c = np.nonzero((hot | dead) & usable)
    around = np.sort(np.stack([padded[r + i, c + j] for i, j in _neighbours(2)]), axis=0)
    known = np.isfinite(around).sum(axis=0)
    enough = known >= len(around) // 2
    # NaN is sorted to the end
    fourth_highest = np.take_along_axis(around, np.maximum(known - MOST_TOGETHER, 0)[None], axis=0)[0]
    fourth_lowest = around[MOST_TOGETHER - 1]
    value = mean[r, c]
    found = _hot(value, fourth_highest, HOT_TOGETHER, frames) | _dead(value, fourth_lowest, DEAD_TOGETHER, frames)
    broken = np.zeros(mean.shape, np.bool_)
    broken[r, c] = found & enough
    return broken


def _dead_lines(mean: Float64, frames: int, usable: Usable) -> NDArray[np.bool_]:
    """Whole dead rows, up to four together, with two rows on both sides."""
    rows = mean.shape[0]
    broken = np.zeros(mean.shape, np.bool_)
    for first in range(2, rows - 2):
        for after in range(first + 1, min(first + MOST_LINES, rows - 2) + 1):
            if _is_dead(mean[first - 2 : after + 2], frames, usable[first - 2 : after + 2]):
                broken[first:after] = True
    return np.asarray(broken & usable)


def _is_dead(lines: Float64, frames: int, usable: Usable) -> bool:
    """Whether all lines but the first two and the last two are dead."""
    seen = usable.all(axis=0)
    if seen.mean() < 0.5:
        return False
    beside = lines[[0, 1, -2, -1]][:, seen].sum(axis=0)
    brightest_dim = int(DIM * (len(beside) - 1))
    dim = lines[:, seen][:, beside <= np.partition(beside, brightest_dim)[brightest_dim]].sum(axis=1)
    reference = min(dim[1], dim[-2])
    # light that falls off towards the line ends by itself
    falls = dim[1] < EVEN * dim[0] or dim[-2] < EVEN * dim[-1]
    return bool(reference * frames > LEAST_COUNTS and not falls and (dim[2:-2] < reference / DEAD).all())
