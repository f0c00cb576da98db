"""
Elliptic distortion of the detector: vectors come out as D times the true ones.

D is symmetric with determinant 1: a change of scale is a matter of the pixel size, and a rotation of that of the scan.
One crystal cannot tell D from its own strain; rings, many crystals or a lattice of known shape can.
"""

from dataclasses import dataclass
from itertools import product
from math import atan2, cos, log, pi, radians, sin

import numpy as np
from numpy.typing import NDArray

from livestrain_core.basis import spans_area
from livestrain_core.errors import EllipseUnknown
from livestrain_core.types import Float64, Point

# directions, two opposite ones as one, that points on rings need and how far apart they may be: the disks of one
# crystal, or of two, have fewer and leave wider gaps
FEWEST_DIRECTIONS = 12
SAME_DIRECTION_RAD = radians(3.0)
WIDEST_GAP_RAD = radians(25.0)
# points fade with their distance from the ellipse, as Tukey's biweight, and count nothing beyond so many deviations
BIWEIGHT_DEVIATIONS = 5.0
SWEEPS = 30
# a ratio of the axes beyond this is no distortion of a lens but something else
LARGEST_RATIO = 1.3
# points that scatter by more than this part of their ring's radius lie on no ring
LARGEST_SCATTER = 0.05
SMALLEST_DEVIATION_PX = 1e-6


@dataclass(frozen=True)
class Ellipse:
    """A distortion that was found."""

    matrix: Float64
    """D (2, 2), symmetric with determinant 1."""
    centre: Point
    """Middle of the rings, relative to the origin of the points (row, column) [px]."""
    residual_px: float
    """Root mean square distance of the points that count from their rings [px]."""
    used: int
    """Points that count."""


def distortion_matrix(ratio: float, angle_rad: float) -> Float64:
    """
    D of a circle that comes out as an ellipse.

    Parameters
    ----------
    ratio
        Long over short axis.
    angle_rad
        Of the long axis, from axis 0 towards axis 1 [rad].

    Returns
    -------
    (2, 2)
        Symmetric, with determinant 1.
    """
    c, s = cos(angle_rad), sin(angle_rad)
    axes = np.array([[c, -s], [s, c]])
    return np.asarray(axes @ np.diag([ratio**0.5, ratio**-0.5]) @ axes.T, np.float64)


def ratio_and_angle(matrix: Float64) -> tuple[float, float]:
    """Long over short axis of a circle after D, and the long one's angle from axis 0 towards axis 1 in [0, pi)."""
    length, direction = np.linalg.eigh(matrix)
    return float(length[1] / length[0]), float(atan2(direction[1, 1], direction[0, 1]) % pi)


def ellipse_of_rings(points: Float64, rings: NDArray[np.int64] | None = None) -> Ellipse:
    """
    The distortion that makes circles of the rings that points lie on.

    Parameters
    ----------
    points : (k, 2)
        Radial maxima of an amorphous halo or of polycrystal rings, or peaks of many crystals (row, column) [px].
    rings : (k,), optional
        Which ring each belongs to; one ring if not given. The rings share centre and distortion.

    Returns
    -------
    Ellipse
        Some points may lie anywhere.

    Raises
    ------
    EllipseUnknown
        The points do not surround the centre, are as few as those of a crystal, or lie on no ellipse.

    Notes
    -----
    Least squares of the distances |D^-1 (q - c)| from each ring's radius over c, two numbers of D and the radii, by
    Gauss-Newton with robust re-weighting at a scale from the median distance.
    """
    seen = np.asarray(points, np.float64).reshape(-1, 2)
    ring = np.zeros(len(seen), np.int64) if rings is None else np.asarray(rings)
    good = np.isfinite(seen).all(axis=1)
    # a ring of which nothing is left has no radius
    seen, ring = seen[good], np.unique(ring[good], return_inverse=True)[1].ravel()
    _refuse_few_directions(seen - _middle(seen, ring), len(seen))
    count = int(ring.max()) + 1
    centre = _middle(seen, ring)
    radii = np.array([np.median(np.hypot(*(seen[ring == k] - centre).T)) for k in range(count)])
    found = np.concatenate([centre, [0.0, 0.0], radii])
    weight = np.ones(len(seen))
    for _ in range(SWEEPS):
        off, slope = _distances(found, seen, ring)
        deviation = max(float(np.median(np.abs(off))) * 1.4826, SMALLEST_DEVIATION_PX)
        u = (off / (BIWEIGHT_DEVIATIONS * deviation)) ** 2
        weight = np.where(u < 1.0, (1.0 - u) ** 2, 0.0)
        root = np.sqrt(weight)
        found = found - np.linalg.lstsq(slope * root[:, None], off * root, rcond=None)[0]
        if not np.isfinite(found).all() or np.hypot(found[2], found[3]) > log(LARGEST_RATIO):
            raise EllipseUnknown(f"the {len(seen)} points lie on no ellipse with axes within {LARGEST_RATIO:g} to 1")
    off, _ = _distances(found, seen, ring)
    counts = weight > 0.0
    _refuse_few_directions(seen[counts] - found[:2], int(counts.sum()))
    residual = float(np.sqrt(np.mean(off[counts] ** 2)))
    scatter = float(np.sqrt(np.mean((off / found[4 + ring])[counts] ** 2)))
    if not scatter <= LARGEST_SCATTER:
        raise EllipseUnknown(
            f"the {len(seen)} points lie on no ellipse: they scatter by {100 * scatter:.0f} % of its radius"
        )
    return Ellipse(_matrix(found[2], found[3]), (float(found[0]), float(found[1])), residual, int(counts.sum()))


def ellipse_of_lattice(g: Float64, ratio: float, angle_rad: float) -> Ellipse:
    """
    The distortion that makes the known, unstrained lattice of a measured one.

    Parameters
    ----------
    g : (2, 2)
        Measured g1 and g2 as rows, each (row, column) [px].
    ratio
        |g1| over |g2| of the true lattice, of any basis.
    angle_rad
        Between g1 and g2 of that basis [rad].

    Returns
    -------
    Ellipse
        The smallest one, over all bases of the true lattice and its mirror image; `residual_px` is 0.

    Raises
    ------
    EllipseUnknown
        One of the lattices spans no area, or no small distortion makes one of the other.

    Notes
    -----
    G = s D R G0 up to scale s and rotation R, so that s D is the left polar factor of G G0^-1.
    """
    columns = np.asarray(g, np.float64).T
    if not (0 < ratio < np.inf and np.isfinite(angle_rad) and abs(sin(angle_rad)) > 1e-3 and spans_area(columns)):
        raise EllipseUnknown(
            f"the lattice {columns.T.tolist()} or a ratio {ratio:g} at {angle_rad:g} rad is no lattice"
        )
    known = np.array([[ratio, cos(angle_rad)], [0.0, sin(angle_rad)]])
    best, least = np.eye(2), np.inf
    for a, b, c, d in product((-2, -1, 0, 1, 2), repeat=4):
        if abs(a * d - b * c) != 1:
            continue
        left, stretch, _ = np.linalg.svd(columns @ np.linalg.inv(known @ np.array([[a, b], [c, d]])))
        if stretch[0] / stretch[1] < least:
            best, least = left @ np.diag(stretch / np.sqrt(stretch.prod())) @ left.T, float(stretch[0] / stretch[1])
    if least > LARGEST_RATIO:
        raise EllipseUnknown(f"making the known lattice of the measured one takes axes of {least:.2f} to 1")
    return Ellipse(np.asarray((best + best.T) / 2, np.float64), (0.0, 0.0), 0.0, 2)


def refuse_one_crystal() -> None:
    """
    What one crystal of unknown shape says about the distortion.

    Raises
    ------
    EllipseUnknown
        Always.
    """
    raise EllipseUnknown(
        "one crystal cannot tell an elliptic distortion from its own strain: it takes rings, a polycrystal, or the "
        "known shape of an unstrained lattice"
    )


def _refuse_few_directions(away: Float64, count: int) -> None:
    if count == 0:
        raise EllipseUnknown("there is no point on a ring")
    angle = np.sort(np.arctan2(away[:, 1], away[:, 0]) % pi)
    gap = float(np.diff(np.concatenate([angle, [angle[0] + pi]])).max())
    directions, last = 0, -np.inf
    for one in angle:
        if one - last > SAME_DIRECTION_RAD:
            directions, last = directions + 1, float(one)
    if directions < FEWEST_DIRECTIONS or gap > WIDEST_GAP_RAD:
        raise EllipseUnknown(
            f"{count} points in {directions} directions, with {np.degrees(gap):.0f} of 180 degrees empty, may be "
            "of one crystal, which cannot tell an elliptic distortion from its own strain"
        )


def _middle(points: Float64, ring: NDArray[np.int64]) -> Float64:
    """Centre of a circle through the points of the best filled ring, by linear least squares."""
    if len(points) < 3:
        return np.zeros(2)
    chosen = points[ring == np.bincount(ring).argmax()]
    design = np.column_stack([2.0 * chosen, np.ones(len(chosen))])
    return np.asarray(np.linalg.lstsq(design, (chosen**2).sum(axis=1), rcond=None)[0][:2], np.float64)


def _matrix(p: float, q: float) -> Float64:
    """D = exp([[p, q], [q, -p]] / 2): its axes are as exp(|(p, q)|) to 1, so that a small (p, q) is a small D."""
    size = float(np.hypot(p, q))
    return distortion_matrix(float(np.exp(size)), 0.5 * atan2(q, p)) if size > 0 else np.eye(2)


def _distances(found: Float64, points: Float64, ring: NDArray[np.int64]) -> tuple[Float64, Float64]:
    """How far each point is outside of its ring, (k,), and the derivatives (k, 4 + rings)."""
    away = points - found[:2]
    back = np.linalg.inv(_matrix(found[2], found[3]))
    round_ = away @ back.T
    radius = np.maximum(np.hypot(round_[:, 0], round_[:, 1]), 1e-9)
    unit = round_ / radius[:, None]
    slope = np.zeros((len(points), len(found)))
    slope[:, :2] = -unit @ back
    step = 1e-6
    for k in (2, 3):
        moved = found.copy()
        moved[k] += step
        shifted = away @ np.linalg.inv(_matrix(moved[2], moved[3])).T
        slope[:, k] = (np.hypot(shifted[:, 0], shifted[:, 1]) - radius) / step
    slope[np.arange(len(points)), 4 + ring] = -1.0
    return np.asarray(radius - found[4 + ring], np.float64), slope
