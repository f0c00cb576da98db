from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.basis import primitive_basis
from livestrain_core.errors import SingularLattice
from livestrain_core.robust import counting, robust_fit, spans_plane, squared_distance
from livestrain_core.types import Disks, Float32, Float64, Indices, Point

__all__ = [
    "Lattice",
    "LatticeFit",
    "fit_lattice",
    "lattice_points",
    "predict",
    "primitive_basis",
    "refuse_singular",
    "shortest",
]


# fading out what lies far away makes normal scatter look smaller by this factor in variance
BIWEIGHT_LOSS = 1.25
# disks farther than this from their lattice, root mean square, are not the disks meant
LARGEST_RESIDUAL_PX = 2.0


@dataclass(frozen=True)
class Lattice:
    """A lattice on the detector: disk (h, k) lies at centre + h g1 + k g2."""

    centre: Point
    """Position of the direct beam (row, column) [px]."""
    g1: Point
    """First lattice vector (row, column) [px]."""
    g2: Point
    """Second lattice vector (row, column) [px]."""


@dataclass(frozen=True)
class LatticeFit:
    """Lattices fitted to n frames; NaN wherever `reason` is not FITTED."""

    centre: Float64
    """(n, 2) direct beam [px]."""
    g1: Float64
    """(n, 2) first lattice vector [px]."""
    g2: Float64
    """(n, 2) second lattice vector [px]."""
    covariance: Float64
    """(n, 21) upper triangle, row by row, over (centre r, centre c, g1 r, g1 c, g2 r, g2 c) [px^2]."""
    noise_covariance: Float64
    """(n, 21) the part of the covariance that counting causes; contrast and misfit cause the rest [px^2]."""
    residual_px: Float64
    """(n,) weighted root mean square distance of the disks used from the lattice, per axis [px]."""
    disks_used: NDArray[np.uint16]
    """(n,) disks that carry weight in the fit."""
    reason: NDArray[np.uint8]
    """(n,) value of `Reason`."""


def predict(lattice: Lattice, hk: Indices | Float64) -> Float64:
    """
    Positions at which a lattice has its disks.

    Parameters
    ----------
    lattice
        Centre and vectors [px].
    hk : (m, 2)
        Indices.

    Returns
    -------
    (m, 2)
        Positions (row, column) [px].
    """
    basis = np.array([lattice.g1, lattice.g2], np.float64)
    return np.asarray(np.asarray(hk, np.float64) @ basis + np.array(lattice.centre), np.float64)


def refuse_singular(lattice: Lattice) -> None:
    """
    Let a lattice pass that disks can be looked for on.

    Raises
    ------
    SingularLattice
        It is not finite, or its vectors are parallel or far below a pixel.
    """
    vectors = np.array([lattice.centre, lattice.g1, lattice.g2], np.float64)
    if not np.isfinite(vectors).all() or not spans_plane(vectors):
        raise SingularLattice(f"g1 {lattice.g1} and g2 {lattice.g2} around {lattice.centre} are no lattice of disks")


def shortest(basis: Float64) -> float:
    """Distance between the nearest points of a lattice whose vectors (2, 2) are nearly reduced [px]."""
    g1, g2 = basis
    return float(min(np.hypot(*g) for g in (g1, g2, g1 + g2, g1 - g2)))


def lattice_points(basis: Float64, reach_px: float) -> NDArray[np.int64]:
    """
    Indices of the points of a lattice around its origin.

    Parameters
    ----------
    basis : (2, 2)
        g1 and g2 as rows [px].
    reach_px
        Largest distance from the origin [px].

    Returns
    -------
    (m, 2)
        The nearest first.
    """
    most = int(np.ceil(reach_px * np.linalg.norm(np.linalg.inv(basis), 2))) + 1
    h, k = (a.ravel() for a in np.meshgrid(*(np.arange(-most, most + 1),) * 2, indexing="ij"))
    distance = np.hypot(*(np.stack([h, k], axis=1) @ basis).T)
    order = np.lexsort((k, h, distance.round(6)))
    order = order[distance[order] <= reach_px]
    return np.stack([h[order], k[order]], axis=1).astype(np.int64)


def fit_lattice(disks: Disks, hk: Indices) -> LatticeFit:
    """
    Lattice of each frame from its disks.

    Parameters
    ----------
    disks
        Disks of n frames, m in each.
    hk : (m, 2)
        Their indices.

    Returns
    -------
    LatticeFit
        NaN with a reason where fewer than three disks, or only disks on one line, were found.

    Notes
    -----
    Least squares of [1, h, k] on the positions, each weighted by its score squared, with one robust re-weighting
    (a disk beyond four times the median distance is left out, nearer ones fade as Tukey's biweight). The covariance
    is scaled by the residual, blended with the standard errors that the scores promise where few disks are left.
    """
    out = _fit(
        np.ascontiguousarray(disks.position),
        np.ascontiguousarray(disks.score),
        np.ascontiguousarray(disks.noise_part),
        np.ascontiguousarray(hk, np.float64),
    )
    vectors, covariance, noise_covariance, residual, used, reason = out
    centre, g1, g2 = (np.ascontiguousarray(vectors[:, i]) for i in range(3))
    return LatticeFit(centre, g1, g2, covariance, noise_covariance, residual, used, reason)


@njit(cache=True, nogil=True)
def _fit(
    position: Float32, score: Float32, noise_part: Float32, hk: Float64
) -> tuple[Float64, Float64, Float64, Float64, NDArray[np.uint16], NDArray[np.uint8]]:
    n, m = score.shape
    vectors = np.full((n, 3, 2), np.nan)
    covariance, noise_covariance = np.full((n, 21), np.nan), np.full((n, 21), np.nan)
    residual = np.full(n, np.nan)
    used = np.zeros(n, np.uint16)
    reason = np.zeros(n, np.uint8)
    place, weight = np.empty((m, 2)), np.empty(m)
    lattice, inverse, spread = np.empty((3, 2)), np.empty((3, 3)), np.empty((3, 3))
    for i in range(n):
        for j in range(m):
            place[j, 0], place[j, 1] = position[i, j, 0], position[i, j, 1]
            found = np.isfinite(place[j, 0]) and np.isfinite(place[j, 1]) and score[i, j] > 0.0
            weight[j] = np.float64(score[i, j]) ** 2 if found else 0.0
        reason[i] = robust_fit(hk, place, weight, lattice, inverse)
        if reason[i] != 0:
            continue
        total = chi2 = 0.0
        for j in range(m):
            if weight[j] > 0.0:
                used[i] += 1
                total += weight[j]
                chi2 += weight[j] * squared_distance(hk, place, lattice, j)
        if used[i] > 3:
            chi2 *= BIWEIGHT_LOSS
        distance = np.sqrt(0.5 * chi2 / total)
        if not distance < LARGEST_RESIDUAL_PX or not spans_plane(lattice):
            reason[i] = 4
            used[i] = 0
            continue
        vectors[i] = lattice
        residual[i] = distance
        # four degrees of freedom of prior: with few disks the residual alone says little
        scale = (chi2 + 4.0) / (2.0 * used[i] - 6.0 + 4.0)
        _pack(inverse, scale, covariance[i])
        counting(hk, weight, noise_part[i], inverse, spread)
        _pack(spread, min(scale, 1.0), noise_covariance[i])
    return vectors, covariance, noise_covariance, residual, used, reason


@njit(cache=True, nogil=True)
def _pack(inverse: Float64, variance: float, packed: Float64) -> None:
    at = 0
    for p in range(6):
        for q in range(p, 6):
            packed[at] = variance * inverse[p // 2, q // 2] if p % 2 == q % 2 else 0.0
            at += 1
