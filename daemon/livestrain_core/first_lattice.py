"""A lattice through the disks of the mean pattern, and which of its points is the direct beam."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livestrain_core.basis import explained, lattice_through
from livestrain_core.direct_beam import Levels, background_levels, fades_around
from livestrain_core.errors import SingularLattice
from livestrain_core.lattice import Lattice, lattice_points, shortest
from livestrain_core.probe import MeasuredProbe
from livestrain_core.survey import Peaks
from livestrain_core.types import Float64, Point, Usable

# disks beside the direct beam that must sit on one lattice before it is believed
FEWEST_PEAKS = 4
# they must carry this part of what was found, and fill this part of the lattice as far as the outer half of them
LEAST_EXPLAINED = 0.6
LEAST_OCCUPIED = 0.25
# disks closer to each other than this overlap too much to be told apart [radii]
CLOSEST_DISKS = 1.6
# a disk of which less than this can be seen is hidden
LEAST_VISIBLE = 0.8
# no peak counts more than this many standard errors
MOST_SIGNIFICANT = 20.0
# a hidden direct beam is this near to where the vacuum probe was [shortest lattice vector]
NEAR_VACUUM = 0.35
# a disk that stands out from its surroundings this much more than any other one is the direct beam
OUTSTANDING = 4.0
# edge widths beyond the radius at which nothing is left of a disk
EDGE_WIDTHS = 3.0


@dataclass(frozen=True)
class Beam:
    """The direct beam, as far as it is known before there is a lattice."""

    measured: MeasuredProbe
    """Probe, and the centre of the brightest disk or of the vacuum probe."""
    vacuum: bool
    """Whether a vacuum probe told where it is; if not, the brightest disk was taken for it."""


def first_lattice(peaks: Peaks, pattern: Float64, seen: Usable, beam: Beam) -> Lattice | str:
    """
    A lattice through the peaks of the mean pattern, or why there is none.

    Parameters
    ----------
    peaks
        Disks of the mean pattern.
    pattern : (rows, columns)
        Square root of the mean counts.
    seen : (rows, columns)
        False where nothing was measured.
    beam
        Where the direct beam seems to be.

    Returns
    -------
    Lattice or str
        Its centre is the direct beam, which may be hidden.

    Notes
    -----
    The lattice is made from differences between disks, so that a hidden direct beam is no hindrance. Without a vacuum
    probe, where lattice points are hidden and no disk stands out, the direct beam is the one around which the disks
    and the background fade evenly.
    """
    radius = beam.measured.probe.radius_px
    tolerance = max(1.2, 0.2 * radius)
    middle = np.array(beam.measured.centre)
    away, weight = peaks.position - middle, np.minimum(peaks.significance, MOST_SIGNIFICANT)
    others = np.hypot(away[:, 0], away[:, 1]) > max(0.8 * CLOSEST_DISKS * radius, 2.0)
    if others.sum() < FEWEST_PEAKS:
        return f"beside the direct beam {int(others.sum())} disks stand out, and a lattice takes {FEWEST_PEAKS}"
    try:
        origin, basis = lattice_through(away, weight, tolerance, CLOSEST_DISKS * radius)
    except SingularLattice:
        return f"the {int(others.sum())} disks beside the direct beam lie on one line"
    fits = others & (explained(away - origin, basis, tolerance) > 0.0)
    part = float(weight[fits].sum() / weight[others].sum())
    sites = _sites(middle, origin, basis, seen, radius)
    occupied = _occupied(away[fits] - origin, basis, sites, radius)
    if fits.sum() < FEWEST_PEAKS or part < LEAST_EXPLAINED or occupied < LEAST_OCCUPIED:
        return (
            f"{int(fits.sum())} of {int(others.sum())} peaks, {100 * part:.0f} % by weight, sit on the best lattice "
            f"and fill {100 * occupied:.0f} % of it, which may be chance"
        )
    reach = radius + EDGE_WIDTHS * beam.measured.probe.edge_px + 1.0
    background = background_levels(pattern, seen, middle + sites.place, radius, reach)
    background = Levels(background.place - middle, background.logarithm)
    found = _Found(origin, basis, sites, away[fits], peaks.significance[fits], background)
    direct = float(peaks.significance[~others].max(initial=0.0))
    centre = _direct_beam(found, beam, visible_part(seen, beam.measured.centre, radius), direct)
    return centre if isinstance(centre, str) else as_lattice(middle + centre, basis)


def as_lattice(centre: Float64, basis: Float64) -> Lattice:
    """
    A lattice from arrays.

    Parameters
    ----------
    centre : (2,)
        Direct beam (row, column) [px].
    basis : (2, 2)
        g1 and g2 as rows [px].

    Returns
    -------
    Lattice
        The same.
    """
    (r, c), (r1, c1), (r2, c2) = (map(float, v) for v in (centre, basis[0], basis[1]))
    return Lattice((r, c), (r1, c1), (r2, c2))


def visible_part(seen: Usable, centre: Point, radius_px: float) -> float:
    """
    How much of a disk can be seen.

    Parameters
    ----------
    seen : (rows, columns)
        False where nothing was measured.
    centre
        Of the disk (row, column) [px].
    radius_px
        Of the disk [px].

    Returns
    -------
    float
        Part of its pixels inside the frame, zero without any.
    """
    r, c = np.ogrid[: seen.shape[0], : seen.shape[1]]
    inside = (r - centre[0]) ** 2 + (c - centre[1]) ** 2 <= radius_px**2
    return float(seen[inside].mean()) if inside.any() else 0.0


@dataclass(frozen=True)
class _Sites:
    """Lattice points whose whole disk lies inside the frame."""

    hk: NDArray[np.int64]
    """(m, 2) from the origin."""
    place: Float64
    """(m, 2) from the middle [px]."""
    visible: NDArray[np.bool_]
    """(m,)"""


@dataclass(frozen=True)
class _Found:
    """A lattice and the disks on it; places are relative to the brightest disk, or the vacuum probe."""

    origin: Float64
    """(2,) the lattice point nearest to it [px]."""
    basis: Float64
    sites: _Sites
    place: Float64
    """(k, 2) disks but for the direct beam [px]."""
    height: Float64
    """(k,) of them, in the root of the counts."""
    background: Levels
    """Between the disks."""


def _sites(middle: Float64, origin: Float64, basis: Float64, seen: Usable, radius: float) -> _Sites:
    hk = lattice_points(basis, float(np.linalg.norm(seen.shape)))
    place = origin + hk @ basis
    on_frame = middle + place
    inside = (on_frame >= radius).all(axis=1) & (on_frame <= np.array(seen.shape) - 1 - radius).all(axis=1)
    visible = [visible_part(seen, (float(r), float(c)), radius) >= LEAST_VISIBLE for r, c in on_frame[inside]]
    return _Sites(hk[inside], place[inside], np.array(visible, np.bool_))


def _occupied(away: Float64, basis: Float64, sites: _Sites, radius: float) -> float:
    """Part of the visible lattice points that carry a disk, as far out as the median of the disks."""
    if len(away) == 0:
        return 0.0
    taken = {(int(h), int(k)) for h, k in np.rint(away @ np.linalg.inv(basis))}
    distance = np.hypot(sites.place[:, 0], sites.place[:, 1])
    reach = 1.01 * float(np.median(np.hypot(away[:, 0], away[:, 1]))) + 1.0
    # the direct beam is no evidence
    inner = sites.visible & (distance <= reach) & (distance > 0.5 * radius + 1.0)
    every = {(int(h), int(k)) for h, k in sites.hk[inner]}
    return len(every & taken) / max(len(every), 1)


def _direct_beam(found: _Found, beam: Beam, visible: float, height: float) -> Float64 | str:
    """The lattice point that is the direct beam, or why nobody knows."""
    radius = beam.measured.probe.radius_px
    off = float(np.hypot(*found.origin))
    outstanding = height**2 > OUTSTANDING * float(found.height.max()) ** 2
    if visible >= LEAST_VISIBLE and (beam.vacuum or outstanding or found.sites.visible.all()):
        return found.origin if off <= 0.5 * radius + 1.0 else "the lattice of the other disks misses the direct beam"
    if beam.vacuum and off <= NEAR_VACUUM * shortest(found.basis):
        return found.origin
    # where the vacuum probe was lies the direct beam, or next to it
    distance = np.hypot(found.sites.place[:, 0], found.sites.place[:, 1])
    near = distance <= shortest(found.basis)
    may_be = near if beam.vacuum else ~found.sites.visible | (distance <= off + 1e-6)
    candidates = found.sites.place[may_be]
    number = fades_around(candidates, Levels(found.place, 2.0 * np.log(found.height)), found.background)
    if number is None:
        return "the direct beam is hidden, and the other disks do not tell where it is; a vacuum probe would"
    return np.asarray(candidates[number], np.float64)
