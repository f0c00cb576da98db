"""Which point of a lattice is the direct beam, where it is hidden or may be."""

from dataclasses import dataclass

import numpy as np

from livestrain_core.types import Float64, Usable

# twice the difference of the logarithms of the likelihoods that makes a place clearly better than all others
CLEARLY = 9.0
# disks, and patches of background, that it takes to tell how they fade
FEWEST = 8
# a patch is as wide as a disk, and counts if this part of it is background
LEAST_PART = 0.15


@dataclass(frozen=True)
class Levels:
    """How bright a pattern is at some places."""

    place: Float64
    """(k, 2) [px]."""
    logarithm: Float64
    """(k,) of the brightness."""


def fades_around(candidates: Float64, disks: Levels, background: Levels) -> int | None:
    """
    The place around which a pattern fades evenly.

    Parameters
    ----------
    candidates : (m, 2)
        Places to choose from [px].
    disks
        Brightness of the disks.
    background
        Brightness between them.

    Returns
    -------
    int or None
        Number of the candidate; None where no one is clearly better than the others.

    Notes
    -----
    About the direct beam the logarithms of both brightnesses are smooth functions of the distance, falling at first:
    quadratic for the disks, cubic for the background. The scatter around them makes a likelihood for each candidate.
    """
    if len(candidates) == 0 or len(disks.place) < FEWEST:
        return None
    total = np.array([_badness(at, disks, 1) + _badness(at, background, 3) for at in candidates])
    order = np.argsort(total, kind="stable")
    clear = len(order) == 1 or total[order[1]] - total[order[0]] > CLEARLY
    return int(order[0]) if clear else None


def background_levels(pattern: Float64, seen: Usable, disks: Float64, radius_px: float, reach_px: float) -> Levels:
    """
    Brightness between disks, in patches as wide as a disk.

    Parameters
    ----------
    pattern : (rows, columns)
        Root of the mean counts.
    seen : (rows, columns)
        False where nothing was measured.
    disks : (m, 2)
        Where disks are or may be (row, column) [px].
    radius_px
        Of the disks [px].
    reach_px
        Distance from a disk at which nothing of it is left [px].

    Returns
    -------
    Levels
        Places are (row, column) [px].
    """
    rows, columns = seen.shape
    free = seen.copy()
    for y, x in disks:
        low_r, low_c = max(int(y - reach_px), 0), max(int(x - reach_px), 0)
        part = (slice(low_r, max(int(y + reach_px) + 2, 0)), slice(low_c, max(int(x + reach_px) + 2, 0)))
        r, c = np.ogrid[part[0].start : min(part[0].stop, rows), part[1].start : min(part[1].stop, columns)]
        free[part] &= (r - y) ** 2 + (c - x) ** 2 > reach_px**2
    side = max(round(2.0 * radius_px), 3)
    r, c = np.nonzero(free)
    patch = (r // side) * (columns // side + 1) + c // side
    count = np.bincount(patch)
    sums = [np.bincount(patch, weights) for weights in (pattern[r, c] ** 2, r, c)]
    good = (count >= LEAST_PART * side**2) & (sums[0] > 0)
    level, y, x = (one[good] / count[good] for one in sums)
    return Levels(np.stack([y, x], axis=1), np.log(level))


def _badness(at: Float64, levels: Levels, degree: int) -> float:
    """Minus twice the log-likelihood of a smooth function of the distance."""
    away = levels.place - at
    distance = np.hypot(away[:, 0], away[:, 1])
    if len(distance) < FEWEST:
        return 0.0
    distance = distance / distance.max()
    powers = [distance**2] if degree == 1 else [distance**power for power in range(1, degree + 1)]
    design = np.stack([np.ones_like(distance), *powers], axis=1)
    solved, *_ = np.linalg.lstsq(design, levels.logarithm, rcond=None)
    left = levels.logarithm - design @ solved
    if degree == 1 and solved[1] >= 0.0:
        # what does not fall off is taken for even
        left = levels.logarithm - levels.logarithm.mean()
    spread = float(np.mean(left**2)) + 1e-6
    return len(left) * float(np.log(spread))
