"""Points on the rings of an amorphous specimen or a polycrystal."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livestrain_core.errors import EllipseUnknown
from livestrain_core.types import Float64, Image, Point, Usable

SECTORS = 72
# a sector with less of its pixels usable, or a maximum at its end, has no maximum
LEAST_USABLE = 0.5
# a ring must stand above its ends by so many of its standard errors
LEAST_SIGNIFICANCE = 3.0
# in so many of its sectors, by this part of where it is strongest; the disks of a crystal leave gaps
LEAST_WHOLE = 0.85
LEAST_HEIGHT = 0.15


@dataclass(frozen=True)
class Ring:
    """Where a ring is looked for."""

    inner_px: float
    """Smallest distance from the centre [px]."""
    outer_px: float
    """Largest distance from the centre [px]."""


def radial_maxima(image: Image, usable: Usable | None, centre: Point, ring: Ring) -> Float64:
    """
    Where the ring is brightest, in each of 72 sectors.

    Parameters
    ----------
    image : (rows, columns)
        A pattern, or the sum or mean of many [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at.
    centre
        Roughly the middle of the ring (row, column) [px].
    ring
        Where to look.

    Returns
    -------
    (k, 2)
        One point (row, column) for each sector with a maximum, k at most 72 [px].

    Raises
    ------
    EllipseUnknown
        The ring is none, or is not on the image.

    Notes
    -----
    A parabola through a sector's counts per pixel over the radius, once more around its summit, weighted by the pixels;
    the point lies in the sector's mean direction.
    """
    if not 0 <= ring.inner_px < ring.outer_px or ring.outer_px - ring.inner_px < 4.0:
        raise EllipseUnknown(f"a ring from {ring.inner_px:g} to {ring.outer_px:g} px: expected at least 4 px")
    r, c = np.indices(image.shape)
    away_r, away_c = r - centre[0], c - centre[1]
    distance = np.hypot(away_r, away_c)
    angle = np.arctan2(away_c, away_r) % (2 * np.pi)
    sector = np.minimum((angle / (2 * np.pi) * SECTORS).astype(int), SECTORS - 1)
    inside = (distance >= ring.inner_px) & (distance <= ring.outer_px)
    good = inside & np.isfinite(image)
    if usable is not None:
        good &= np.asarray(usable, np.bool_)
    area = np.pi * (ring.outer_px**2 - ring.inner_px**2) / SECTORS
    points, heights = [], []
    for k in range(SECTORS):
        here = good & (sector == k)
        if here.sum() < max(LEAST_USABLE * area, 8):
            continue
        radius, height = _summit(distance[here], np.asarray(image[here], np.float64), ring)
        middle = float(angle[here].mean())
        points.append((centre[0] + radius * np.cos(middle), centre[1] + radius * np.sin(middle)))
        heights.append(height)
    found = np.array(points).reshape(-1, 2)
    # the median, as a stray spot would raise the largest
    good_sectors = np.array(heights) > LEAST_HEIGHT * float(np.median([0.0, *heights]))
    if not good_sectors.any():
        raise EllipseUnknown(f"no ring stands out between {ring.inner_px:g} and {ring.outer_px:g} px")
    if good_sectors.mean() < LEAST_WHOLE:
        raise EllipseUnknown(
            f"only {int(good_sectors.sum())} of {len(found)} sectors have the ring: it may be of one crystal, which "
            "cannot tell an elliptic distortion from its own strain"
        )
    return found[good_sectors]


def points_on_rings(points: Float64, centre: Point, rings: tuple[Ring, ...]) -> tuple[Float64, NDArray[np.int64]]:
    """
    Peaks that lie on one of the rings.

    Parameters
    ----------
    points : (k, 2)
        Peaks of many crystals (row, column) [px].
    centre
        Roughly the middle of the rings (row, column) [px].
    rings
        Where to look.

    Returns
    -------
    points : (j, 2)
        Those on a ring [px].
    ring : (j,)
        Which one.
    """
    distance = np.hypot(points[:, 0] - centre[0], points[:, 1] - centre[1])
    number = np.full(len(points), -1, np.int64)
    for k, ring in enumerate(rings):
        number[(distance >= ring.inner_px) & (distance <= ring.outer_px)] = k
    return points[number >= 0], number[number >= 0]


def _summit(distance: Float64, counts: Float64, ring: Ring) -> tuple[float, float]:
    """Radius at which a sector is brightest, and by how much more than at its ends; no height where it is not."""
    low, high = ring.inner_px, ring.outer_px
    summit, height = np.nan, 0.0
    for sweep in range(3):
        here = (distance >= low) & (distance <= high)
        if here.sum() < 8:
            break
        x = (distance[here] - (low + high) / 2) / ((high - low) / 2)
        design = np.stack([np.ones_like(x), x, x * x], axis=1)
        solved, rest, rank, _ = np.linalg.lstsq(design, counts[here], rcond=None)
        if rank < 3 or not len(rest):
            break
        curvature_error = np.sqrt(rest[0] / max(len(x) - 3, 1) * np.linalg.inv(design.T @ design)[2, 2])
        at = -solved[1] / (2 * solved[2]) if solved[2] < 0 else np.inf
        if abs(at) > 0.9 or -solved[2] < LEAST_SIGNIFICANCE * curvature_error:
            break
        summit = float((low + high) / 2 + at * (high - low) / 2)
        height = float(-solved[2]) if sweep == 0 else height
        # a parabola fits the top of a ring better than its feet
        reach = max(0.6 * (high - low) / 2, 2.0)
        low, high = max(summit - reach, ring.inner_px), min(summit + reach, ring.outer_px)
    return summit, height
