"""
Kernels that find the lattice which explains disks, knowing a lattice from which it may be turned and strained.

Differences between disks that a turned and strained lattice vector could be are candidates for it; every pair of
candidates is judged by the disks that lie on its lattice.
"""

from math import atan2, sqrt
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.robust import robust_fit
from livestrain_core.types import Float64

# a disk more or less bright than this many standard errors says no more about the lattice
LOUDEST = 20.0
# candidates for each lattice vector, those with the most disks behind them
MOST_CANDIDATES = 24
# of so many of the brightest disks one is on the lattice
ORIGINS = 3
# of two lattices that explain the same the less turned and strained one is meant
PREFERENCE = 0.05
# disks on a lattice, the first one and accidents included, and the part of all by weight that they must be
FEWEST_DISKS = 4
LEAST_EXPLAINED = 0.4
# rounds of least squares; more disks are indexed in each
ROUNDS = 4
# the brightest disk is the direct beam if it is this much brighter than any other and this near to where it was [cells]
OUTSHINES = 1.5
NEAR_CELLS = 0.75

FOUND, NO_DISKS, TOO_FEW, NO_LATTICE = 0, 1, 2, 3


class Near(NamedTuple):
    """The lattice of the plan, and how far from it a lattice may be."""

    vectors: Float64
    """(3, 2) centre, g1, g2 [px]."""
    tolerance: float
    """Distance of a disk from the lattice point that it is on, at most [px]."""
    strain: float
    """Largest strain of either kind [1]."""
    rotation: float
    """Largest rotation [rad]."""


@njit(cache=True, nogil=True)
def deformation(a: Float64, b: Float64, near: Float64) -> tuple[float, float]:
    """Rotation and largest principal strain that make the vectors of a lattice (3, 2) a and b; infinite if mirrored."""
    det = near[1, 0] * near[2, 1] - near[1, 1] * near[2, 0]
    m00 = (a[0] * near[2, 1] - b[0] * near[1, 1]) / det
    m01 = (b[0] * near[1, 0] - a[0] * near[2, 0]) / det
    m10 = (a[1] * near[2, 1] - b[1] * near[1, 1]) / det
    m11 = (b[1] * near[1, 0] - a[1] * near[2, 0]) / det
    if not m00 * m11 - m01 * m10 > 0.0:
        return np.inf, np.inf
    # singular values of a 2 x 2 matrix
    half, apart = 0.5 * sqrt((m00 + m11) ** 2 + (m10 - m01) ** 2), 0.5 * sqrt((m00 - m11) ** 2 + (m10 + m01) ** 2)
    return atan2(m10 - m01, m00 + m11), max(abs(half + apart - 1.0), abs(half - apart - 1.0))


@njit(cache=True, nogil=True)
def deformations(vectors: Float64, near: Float64) -> tuple[Float64, Float64]:
    """The same for each of n lattices (n, 3, 2); NaN where one is."""
    turn, strain = np.empty(len(vectors)), np.empty(len(vectors))
    for i in range(len(vectors)):
        turn[i], strain[i] = deformation(vectors[i, 1], vectors[i, 2], near)
    return turn, strain


@njit(cache=True, nogil=True)
def candidates(position: Float64, weight: Float64, g: Float64, near: Near) -> tuple[Float64, int]:
    """Differences between disks that could be the vector g, (row, column, weight) of each, those with most first."""
    n, count = len(position), 0
    length = sqrt(g[0] ** 2 + g[1] ** 2)
    out = np.empty((n * n + 1, 3))
    for i in range(n):
        for j in range(n):
            dr, dc = position[j, 0] - position[i, 0], position[j, 1] - position[i, 1]
            distance = sqrt(dr * dr + dc * dc)
            if i == j or abs(distance - length) > near.strain * length + near.tolerance:
                continue
            turn = atan2(g[0] * dc - g[1] * dr, g[0] * dr + g[1] * dc)
            if abs(turn) > near.rotation + near.strain:
                continue
            w, known = min(weight[i], weight[j]), False
            for k in range(count):
                if (out[k, 0] - dr) ** 2 + (out[k, 1] - dc) ** 2 < near.tolerance**2:
                    total = out[k, 2] + w
                    out[k, 0] += (dr - out[k, 0]) * w / total
                    out[k, 1] += (dc - out[k, 1]) * w / total
                    out[k, 2], known = total, True
                    break
            if not known:
                out[count, 0], out[count, 1], out[count, 2] = dr, dc, w
                count += 1
    order = np.argsort(-out[:count, 2], kind="mergesort")[:MOST_CANDIDATES]
    return out[order], len(order)


@njit(cache=True, nogil=True)
def explained(position: Float64, weight: Float64, origin: Float64, a: Float64, b: Float64, tolerance: float) -> float:
    """Weight of the disks on a lattice, each fading towards the tolerance."""
    det, total = a[0] * b[1] - a[1] * b[0], 0.0
    for k in range(len(position)):
        dr, dc = position[k, 0] - origin[0], position[k, 1] - origin[1]
        u, v = (dr * b[1] - dc * b[0]) / det, (a[0] * dc - a[1] * dr) / det
        u -= np.floor(u + 0.5)
        v -= np.floor(v + 0.5)
        off2 = (u * a[0] + v * b[0]) ** 2 + (u * a[1] + v * b[1]) ** 2
        total += weight[k] * max(1.0 - off2 / tolerance**2, 0.0)
    return total


@njit(cache=True, nogil=True)
def best_pair(position: Float64, weight: Float64, near: Near, vectors: Float64) -> float:
    """Origin and vectors (3, 2) of the lattice that explains the most, and how much."""
    first, count_a = candidates(position, weight, near.vectors[1], near)
    second, count_b = candidates(position, weight, near.vectors[2], near)
    best, best_value, total = 0.0, 0.0, weight.sum()
    for i in range(count_a):
        for j in range(count_b):
            turn, strain = deformation(first[i, :2], second[j, :2], near.vectors)
            if not (strain <= near.strain and abs(turn) <= near.rotation):
                continue
            discount = PREFERENCE * total * (abs(turn) / near.rotation + strain / near.strain)
            for k in range(min(ORIGINS, len(position))):
                on = explained(position, weight, position[k], first[i, :2], second[j, :2], near.tolerance)
                if on - discount > best_value:
                    best, best_value = on, on - discount
                    vectors[0], vectors[1], vectors[2] = position[k], first[i, :2], second[j, :2]
    return best


@njit(cache=True, nogil=True)
def refine_lattice(position: Float64, weight: Float64, near: Near, vectors: Float64) -> int:
    """Index disks and fit their lattice (3, 2), in place, in rounds from the origin outwards; returns their number."""
    n = len(position)
    hk, used, inverse = np.zeros((n, 2)), np.zeros(n), np.empty((3, 3))
    cell = sqrt(abs(vectors[1, 0] * vectors[2, 1] - vectors[1, 1] * vectors[2, 0]))
    count = 0
    for round_ in range(ROUNDS):
        det = vectors[1, 0] * vectors[2, 1] - vectors[1, 1] * vectors[2, 0]
        reach = (1.6 + 1.5 * round_) * cell if round_ < ROUNDS - 1 else np.inf
        count = 0
        for j in range(n):
            dr, dc = position[j, 0] - vectors[0, 0], position[j, 1] - vectors[0, 1]
            h = np.floor((dr * vectors[2, 1] - dc * vectors[2, 0]) / det + 0.5)
            k = np.floor((vectors[1, 0] * dc - vectors[1, 1] * dr) / det + 0.5)
            off_r = dr - h * vectors[1, 0] - k * vectors[2, 0]
            off_c = dc - h * vectors[1, 1] - k * vectors[2, 1]
            hk[j, 0], hk[j, 1] = h, k
            on = off_r**2 + off_c**2 <= near.tolerance**2 and dr * dr + dc * dc <= reach * reach
            used[j] = weight[j] if on else 0.0
            count += on
        if robust_fit(hk, position, used, vectors, inverse) != 0:
            return 0
    return count


@njit(cache=True, nogil=True)
def put_centre(position: Float64, intensity: Float64, near: Near, vectors: Float64) -> None:
    """Move the origin of a lattice (3, 2) to the lattice point that is the direct beam, in place."""
    cell = sqrt(abs(near.vectors[1, 0] * near.vectors[2, 1] - near.vectors[1, 1] * near.vectors[2, 0]))
    target = near.vectors[0]
    second = intensity[1] if len(intensity) > 1 else 0.0
    off2 = (position[0, 0] - target[0]) ** 2 + (position[0, 1] - target[1]) ** 2
    if intensity[0] > OUTSHINES * second and off2 < (NEAR_CELLS * cell) ** 2:
        target = position[0]
    dr, dc = target[0] - vectors[0, 0], target[1] - vectors[0, 1]
    det = vectors[1, 0] * vectors[2, 1] - vectors[1, 1] * vectors[2, 0]
    h0 = np.floor((dr * vectors[2, 1] - dc * vectors[2, 0]) / det + 0.5)
    k0 = np.floor((vectors[1, 0] * dc - vectors[1, 1] * dr) / det + 0.5)
    best, at_h, at_k = np.inf, h0, k0
    for h in (h0 - 1.0, h0, h0 + 1.0):
        for k in (k0 - 1.0, k0, k0 + 1.0):
            r, c = h * vectors[1, 0] + k * vectors[2, 0] - dr, h * vectors[1, 1] + k * vectors[2, 1] - dc
            if r * r + c * c < best:
                best, at_h, at_k = r * r + c * c, h, k
    for axis in range(2):
        vectors[0, axis] += at_h * vectors[1, axis] + at_k * vectors[2, axis]


@njit(cache=True, nogil=True)
def least_turned(near: Float64, vectors: Float64, most: float) -> None:
    """Of the bases of a lattice (3, 2) that are another one turned and little strained, take the one least so."""
    a, b, pair = vectors[1].copy(), vectors[2].copy(), np.empty((2, 2))
    best = np.inf
    for number in range(81):
        h1, k1, h2, k2 = number % 3 - 1, number // 3 % 3 - 1, number // 9 % 3 - 1, number // 27 - 1
        if h1 * k2 - k1 * h2 != 1:
            continue
        pair[0], pair[1] = h1 * a + k1 * b, h2 * a + k2 * b
        turn, strain = deformation(pair[0], pair[1], near)
        if strain <= most and abs(turn) + strain < best - 1e-9:
            best = abs(turn) + strain
            vectors[1], vectors[2] = pair[0], pair[1]


@njit(cache=True, nogil=True)
def index_disks(position: Float64, intensity: Float64, score: Float64, near: Near, vectors: Float64) -> int:
    """The lattice (3, 2) that explains the disks of a frame, brightest first; returns how it went."""
    if len(position) == 0:
        return NO_DISKS
    if len(position) < FEWEST_DISKS:
        return TOO_FEW
    weight = np.minimum(score, LOUDEST)
    if not best_pair(position, weight, near, vectors) > 0.0:
        return NO_LATTICE
    count = refine_lattice(position, weight, near, vectors)
    if count < FEWEST_DISKS:
        return NO_LATTICE
    part = explained(position, weight, vectors[0], vectors[1], vectors[2], near.tolerance) / weight.sum()
    turn, strain = deformation(vectors[1], vectors[2], near.vectors)
    if part < LEAST_EXPLAINED or not (strain <= near.strain and abs(turn) <= near.rotation + near.strain):
        return NO_LATTICE
    put_centre(position, intensity, near, vectors)
    least_turned(near.vectors, vectors, near.strain)
    return FOUND


@njit(cache=True, nogil=True)
def index_frames(
    position: Float64,
    intensity: Float64,
    score: Float64,
    counts: NDArray[np.uint16],
    near: Near,
    vectors: Float64,
    outcome: NDArray[np.uint8],
) -> None:
    """Lattices (n, 3, 2) of frames from their disks, and how it went for each."""
    for i in range(len(counts)):
        k = counts[i]
        vectors[i] = 0.0
        outcome[i] = index_disks(position[i, :k], intensity[i, :k], score[i, :k], near, vectors[i])
        if outcome[i] != FOUND:
            vectors[i] = np.nan
