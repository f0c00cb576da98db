"""Kernels of the weighted, robust fit of a lattice to the places of disks."""

import numpy as np
from numba import njit

from livestrain_core.types import Float32, Float64

# disks that vary less along one direction of indices than this part of the other, in variance, lie on one line
LEAST_SPREAD = 1e-9
# a cell smaller than this, in pixels or as a part of its sides squared, is that of no lattice
SMALLEST_CELL_PX2 = 1.0
SMALLEST_CELL = 1e-3


@njit(cache=True, nogil=True)
def spans_plane(vectors: Float64) -> bool:
    """Whether the vectors g1 and g2 of a lattice (3, 2) have disks at different places of a plane."""
    (g1_r, g1_c), (g2_r, g2_c) = (vectors[1, 0], vectors[1, 1]), (vectors[2, 0], vectors[2, 1])
    cell = abs(g1_r * g2_c - g1_c * g2_r)
    return bool(cell > SMALLEST_CELL_PX2 and cell > SMALLEST_CELL * (g1_r**2 + g1_c**2 + g2_r**2 + g2_c**2))


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
