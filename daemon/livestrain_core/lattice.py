from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.basis import primitive_basis
from livestrain_core.errors import SingularLattice
from livestrain_core.types import Disks, Float32, Float64, Indices, Point

__all__ = [
    "Lattice",
    "LatticeFit",
    "Reason",
    "fit_lattice",
    "lattice_points",
    "predict",
    "primitive_basis",
    "refuse_singular",
    "shortest",
]


class Reason(IntEnum):
    """Why a position has a lattice, or has none."""

    FITTED = 0
    NO_SIGNAL = 1
    """No disk was found."""
    TOO_FEW_DISKS = 2
    """One disk or two."""
    COLLINEAR = 3
    """All disks lie on one line."""
    LOST = 4
    """The disks do not lie on one lattice, or all at one place."""


# fading out what lies far away makes normal scatter look smaller by this factor in variance
BIWEIGHT_LOSS = 1.25
# disks farther than this from their lattice, root mean square, are not the disks meant
LARGEST_RESIDUAL_PX = 2.0
# disks that vary less along one direction of indices than this part of the other, in variance, lie on one line
LEAST_SPREAD = 1e-9
# a cell smaller than this, in pixels or as a part of its sides squared, is that of no lattice
SMALLEST_CELL_PX2 = 1.0
SMALLEST_CELL = 1e-3


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


@njit(cache=True, nogil=True)
def spans_plane(vectors: Float64) -> bool:
    """Whether the vectors g1 and g2 of a lattice (3, 2) have disks at different places of a plane."""
    (g1_r, g1_c), (g2_r, g2_c) = (vectors[1, 0], vectors[1, 1]), (vectors[2, 0], vectors[2, 1])
    cell = abs(g1_r * g2_c - g1_c * g2_r)
    return bool(cell > SMALLEST_CELL_PX2 and cell > SMALLEST_CELL * (g1_r**2 + g1_c**2 + g2_r**2 + g2_c**2))


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
def normal_inverse(hk: Float64, weight: Float64, inverse: Float64) -> bool:
    """Inverse of the 3 x 3 normal matrix of [1, h, k]; False where the disks lie on one line."""
    s0 = sh = sk = shh = shk = skk = 0.0
    for j in range(len(hk)):
        s0 += weight[j]
        sh += weight[j] * hk[j, 0]
        sk += weight[j] * hk[j, 1]
    if not s0 > 0.0:
        return False
    # about their mean, so that it does not matter which disk is the origin
    sh, sk = sh / s0, sk / s0
    for j in range(len(hk)):
        w, h, k = weight[j], hk[j, 0] - sh, hk[j, 1] - sk
        shh += w * h * h
        shk += w * h * k
        skk += w * k * k
    det = shh * skk - shk * shk
    if not det > LEAST_SPREAD * (shh + skk) ** 2:
        return False
    inverse[1, 1] = skk / det
    inverse[1, 2] = inverse[2, 1] = -shk / det
    inverse[2, 2] = shh / det
    inverse[0, 1] = inverse[1, 0] = -(sh * inverse[1, 1] + sk * inverse[1, 2])
    inverse[0, 2] = inverse[2, 0] = -(sh * inverse[1, 2] + sk * inverse[2, 2])
    inverse[0, 0] = 1.0 / s0 - sh * inverse[0, 1] - sk * inverse[0, 2]
    return True


@njit(cache=True, nogil=True)
def solve_lattice(hk: Float64, position: Float64, weight: Float64, inverse: Float64, vectors: Float64) -> None:
    """Centre, g1, g2 (3, 2) of weighted positions (m, 2), given the inverse of the normal matrix."""
    right = np.zeros((3, 2))
    for j in range(len(hk)):
        if weight[j] > 0.0:
            for a in range(2):
                value = weight[j] * position[j, a]
                right[0, a] += value
                right[1, a] += value * hk[j, 0]
                right[2, a] += value * hk[j, 1]
    for p in range(3):
        for a in range(2):
            vectors[p, a] = inverse[p, 0] * right[0, a] + inverse[p, 1] * right[1, a] + inverse[p, 2] * right[2, a]


@njit(cache=True, nogil=True)
def squared_distance(hk: Float64, position: Float64, vectors: Float64, j: int) -> float:
    """Squared distance of disk j from where a lattice (3, 2) has it."""
    dr = position[j, 0] - vectors[0, 0] - hk[j, 0] * vectors[1, 0] - hk[j, 1] * vectors[2, 0]
    dc = position[j, 1] - vectors[0, 1] - hk[j, 0] * vectors[1, 1] - hk[j, 1] * vectors[2, 1]
    return float(dr * dr + dc * dc)


@njit(cache=True, nogil=True)
def reweight(hk: Float64, position: Float64, weight: Float64, vectors: Float64, normalised: Float64) -> None:
    """
    Fade disks out that lie far from the lattice, in place.

    Distances count in their own standard errors, so that a faint disk may be farther away than a bright one; the
    median of them sets the scale, but never below the scatter that the weights promise.
    """
    count = 0
    for j in range(len(hk)):
        if weight[j] > 0.0:
            normalised[count] = weight[j] * squared_distance(hk, position, vectors, j)
            count += 1
    # the median of a squared distance in two dimensions is 1.39 variances
    scale = max(np.median(normalised[:count]) / 1.39, 0.25)
    for j in range(len(hk)):
        if weight[j] > 0.0:
            u = weight[j] * squared_distance(hk, position, vectors, j) / (22.0 * scale)
            weight[j] *= (1.0 - u) ** 2 if u < 1.0 else 0.0


@njit(cache=True, nogil=True)
def robust_fit(hk: Float64, position: Float64, weight: Float64, vectors: Float64, inverse: Float64) -> int:
    """Weighted lattice (3, 2) with one robust re-weighting of `weight` in place; returns a `Reason`."""
    used = 0
    for j in range(len(hk)):
        used += weight[j] > 0.0
    if used < 3:
        return 1 if used == 0 else 2
    if not normal_inverse(hk, weight, inverse):
        return 3
    solve_lattice(hk, position, weight, inverse, vectors)
    if used == 3:
        return 0
    plain = weight.copy()
    reweight(hk, position, weight, vectors, np.empty(len(hk)))
    if not normal_inverse(hk, weight, inverse):
        # rather all disks than too few to span a plane
        weight[:] = plain
        normal_inverse(hk, weight, inverse)
    solve_lattice(hk, position, weight, inverse, vectors)
    return 0


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
def counting(hk: Float64, weight: Float64, noise_part: Float32, inverse: Float64, covariance: Float64) -> None:
    """Covariance (3, 3) that counting alone gives a weighted fit, the inverse of whose normal matrix is given."""
    covariance[:] = 0.0
    for j in range(len(hk)):
        if weight[j] > 0.0:
            part = weight[j] * noise_part[j]
            # how much the place of this disk moves centre, g1 and g2
            for p in range(3):
                at_p = inverse[p, 0] + inverse[p, 1] * hk[j, 0] + inverse[p, 2] * hk[j, 1]
                for q in range(3):
                    at_q = inverse[q, 0] + inverse[q, 1] * hk[j, 0] + inverse[q, 2] * hk[j, 1]
                    covariance[p, q] += part * at_p * at_q


@njit(cache=True, nogil=True)
def _pack(inverse: Float64, variance: float, packed: Float64) -> None:
    at = 0
    for p in range(6):
        for q in range(p, 6):
            packed[at] = variance * inverse[p // 2, q // 2] if p % 2 == q % 2 else 0.0
            at += 1
