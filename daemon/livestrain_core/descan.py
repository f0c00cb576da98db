"""The centre of the pattern as a plane over the scan: what is left of the beam's movement after the descan coils."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livestrain_core.errors import NoDescan
from livestrain_core.types import Float64, Point

# with fewer centres than this a plane says nothing about its outliers
FEWEST_CENTRES = 6
# triples of positions that planes are drawn through to find one that most of the centres agree with
TRIPLES = 300
# the positions' spread across their longest line, as a part of that along it, from which on they span a plane
LEAST_SPREAD = 0.02
# centres count less the farther they are from the plane, and nothing beyond so many deviations
BIWEIGHT_DEVIATIONS = 5.0
SWEEPS = 20
# a plane that half of the centres are farther away from predicts nothing
LARGEST_DEVIATION_PX = 2.0
SMALLEST_DEVIATION_PX = 1e-6


@dataclass(frozen=True)
class CentrePlane:
    """centre(row, column) = origin + row * per_row + column * per_column, of a scan position (row, column)."""

    origin: Point
    """Centre at the scan position (0, 0) (row, column) [px]."""
    per_row: Point
    """Its change from one scan row to the next [px]."""
    per_column: Point
    """Its change from one scan column to the next [px]."""
    residual_px: float = 0.0
    """Root mean square distance, per axis, of the centres that count from the plane [px]."""
    used: int = 0
    """Centres that count."""


def fit_centre_plane(positions: NDArray[np.int64] | Float64, centres: Float64) -> CentrePlane:
    """
    The plane that most of the measured centres lie on.

    Parameters
    ----------
    positions : (n, 2)
        Scan positions (row, column); one that is not finite is left out.
    centres : (n, 2)
        Centre of the direct beam or of the lattice there (row, column), NaN where there is none [px].

    Returns
    -------
    CentrePlane
        Not disturbed by up to about 40 % of centres that are anywhere else.

    Raises
    ------
    NoDescan
        Fewer than six centres, positions on one line, or centres that scatter by more than two pixels around any plane.

    Notes
    -----
    Of planes through triples of positions, spread evenly by a fixed rule, the one with the smallest median distance is
    the start; least squares with Tukey's biweight follow, at a scale held at that of the start (Rousseeuw and Yohai's
    MM-estimate).

    References
    ----------
    doi:10.1214/aos/1176350366
    """
    where, seen = np.asarray(positions, np.float64), np.asarray(centres, np.float64)
    good = np.isfinite(where).all(axis=1) & np.isfinite(seen).all(axis=1)
    where, seen = where[good], seen[good]
    if len(seen) < FEWEST_CENTRES:
        raise NoDescan(f"a plane takes {FEWEST_CENTRES} positions with a centre, found {len(seen)}")
    middle = where.mean(axis=0)
    spread = np.linalg.svd(where - middle, compute_uv=False)
    if not spread[1] > LEAST_SPREAD * spread[0]:
        raise NoDescan(f"the {len(seen)} positions lie on one line of the scan")
    scale = float(np.abs(where - middle).max())
    design = np.column_stack([np.ones(len(where)), (where - middle) / scale])
    plane = _start(design, seen)
    # the median of the squared distance in two dimensions is 1.386 variances
    deviation = max(float(np.sqrt(np.median(_squared(design, seen, plane)) / 1.386)), SMALLEST_DEVIATION_PX)
    if deviation > LARGEST_DEVIATION_PX:
        raise NoDescan(f"the {len(seen)} centres scatter by {deviation:.1f} px around the plane that fits best")
    for _ in range(SWEEPS):
        weight = _biweight(_squared(design, seen, plane), deviation)
        root = np.sqrt(weight)[:, None]
        plane = np.linalg.lstsq(root * design, root * seen, rcond=None)[0]
    squared = _squared(design, seen, plane)
    counts = _biweight(squared, deviation) > 0.0
    used = int(counts.sum())
    slope = plane[1:] / scale
    residual = float(np.sqrt(squared[counts].sum() / (2.0 * max(used - 3, 1))))
    return CentrePlane(_point(plane[0] - middle @ slope), _point(slope[0]), _point(slope[1]), residual, used)


def predicted_centre(plane: CentrePlane, positions: NDArray[np.int64] | Float64) -> Float64:
    """
    Where the plane has the centre.

    Parameters
    ----------
    plane
        From `fit_centre_plane`.
    positions : (n, 2)
        Scan positions (row, column).

    Returns
    -------
    (n, 2)
        Centre (row, column); each depends on its position only, to the last bit [px].
    """
    where = np.asarray(positions, np.float64)
    rows, columns = where[:, :1], where[:, 1:]
    return np.asarray(np.array(plane.origin) + rows * np.array(plane.per_row) + columns * np.array(plane.per_column))


def _start(design: Float64, seen: Float64) -> Float64:
    """The plane (3, 2) through three of the positions with the smallest median distance."""
    best, least = np.linalg.lstsq(design, seen, rcond=None)[0], np.inf
    for triple in _triples(len(design)):
        corner = design[triple]
        if abs(np.linalg.det(corner)) < 1e-3:
            continue
        plane = np.linalg.solve(corner, seen[triple])
        median = float(np.median(_squared(design, seen, plane)))
        if median < least:
            best, least = plane, median
    return np.asarray(best, np.float64)


def _triples(count: int) -> NDArray[np.int64]:
    """Triples of indices spread evenly over all triples, always the same ones, (TRIPLES, 3)."""
    # powers of the root of x^4 = x + 1 make an additive sequence that covers the cube evenly
    root = 1.2207440846057596
    steps = np.arange(1, TRIPLES + 1)[:, None] * root ** -np.arange(1.0, 4.0)
    return np.asarray((steps % 1.0) * count, np.int64)


def _squared(design: Float64, seen: Float64, plane: Float64) -> Float64:
    return np.asarray(((seen - design @ plane) ** 2).sum(axis=1), np.float64)


def _biweight(squared: Float64, deviation: float) -> Float64:
    u = squared / (BIWEIGHT_DEVIATIONS * deviation) ** 2
    return np.asarray(np.where(u < 1.0, (1.0 - u) ** 2, 0.0), np.float64)


def _point(values: Float64) -> Point:
    return float(values[0]), float(values[1])
