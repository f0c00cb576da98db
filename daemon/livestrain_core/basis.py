from itertools import combinations

import numpy as np

from livestrain_core.errors import SingularLattice
from livestrain_core.types import Float64

# vectors from which pairs are made; the shortest ones come first
MOST_SHORT_VECTORS = 24
# a finer lattice explains more peaks by chance: each of its points without a peak costs this part of a mean peak
EMPTY_POINT = 0.1
# points count as far out as this part of the peaks
INNER_PART = 0.75
# vectors this much longer than the shortest still count as equally short
SAME_LENGTH = 1.08
# two vectors nearer than this to parallel span no lattice that could be told from a row
LEAST_SINE = 0.25
# bases that explain less than this part of the best one's are not refined, and how often the others are
WORTH_REFINING = 0.3
REFINEMENTS = 4


def primitive_basis(
    candidates: Float64, weights: Float64 | None = None, tolerance_px: float = 1.5, shortest_px: float = 3.0
) -> Float64:
    """
    Primitive, reduced, right-handed basis of the lattice that explains most of the peaks.

    Parameters
    ----------
    candidates : (k, 2)
        Displacements of peaks from the direct beam (row, column) [px].
    weights : (k,), optional
        What each peak counts; one each if not given.
    tolerance_px
        Largest distance of a peak from the lattice point it belongs to [px].
    shortest_px
        No lattice vector is shorter than this [px].

    Returns
    -------
    (2, 2)
        g1 and g2 as rows, each (row, column), det [[g1], [g2]] > 0: g2 is turned from g1 in the direction from axis 0
        to axis 1. Of the equally short vectors g1 is the one nearest to the direction of axis 0, and g2 the one that
        makes the smaller angle with it (60 degrees in a hexagonal lattice) [px].

    Raises
    ------
    SingularLattice
        No two of the vectors span a lattice.

    Notes
    -----
    Every pair of short vectors, differences between peaks included, is tried as a basis and refined by least squares.
    The one that explains the most peaks and leaves the fewest of its points empty wins; it is reduced.
    """
    peaks = np.asarray(candidates, np.float64).reshape(-1, 2)
    weight = np.ones(len(peaks)) if weights is None else np.asarray(weights, np.float64)
    short = _short_vectors(peaks, shortest_px, tolerance_px)
    starts: list[tuple[float, Float64]] = []
    for a, b in combinations(range(len(short)), 2):
        basis = np.stack([short[a], short[b]])
        if _sine(basis) > LEAST_SINE:
            starts.append((float(weight @ explained(peaks, basis, tolerance_px)), basis))
    if not starts:
        raise SingularLattice(f"{len(peaks)} peaks have no two directions that span a lattice")
    # a basis of two noisy vectors misses the peaks far out; refined ones can be compared
    worst = WORTH_REFINING * max(score for score, _ in starts)
    best: list[tuple[float, Float64]] = []
    for _, start in (one for one in starts if one[0] >= worst):
        basis = start
        for _ in range(REFINEMENTS):
            basis = _refined(peaks, weight, basis, tolerance_px)
        if _sine(basis) > LEAST_SINE / 2:
            best.append((_worth(peaks, weight, basis, tolerance_px), basis))
    return reduced(max(best, key=lambda one: one[0])[1])


def explained(peaks: Float64, basis: Float64, tolerance_px: float) -> Float64:
    """
    How well each peak sits on a lattice.

    Parameters
    ----------
    peaks : (k, 2)
        Displacements from the direct beam [px].
    basis : (2, 2)
        g1 and g2 as rows [px].
    tolerance_px
        Distance at which a peak no longer belongs to the lattice [px].

    Returns
    -------
    (k,)
        1 on a lattice point, falling to 0 at the tolerance.
    """
    indices = peaks @ np.linalg.inv(basis)
    off = (indices - np.rint(indices)) @ basis
    return np.asarray(np.maximum(1.0 - (off**2).sum(axis=1) / tolerance_px**2, 0.0), np.float64)


def reduced(basis: Float64) -> Float64:
    """
    The reduced, right-handed basis of the same lattice, chosen by a fixed rule.

    Parameters
    ----------
    basis : (2, 2)
        Any basis, g1 and g2 as rows [px].

    Returns
    -------
    (2, 2)
        See `primitive_basis` [px].
    """
    a, b = np.array(basis[0]), np.array(basis[1])
    while True:
        if a @ a > b @ b:
            a, b = b, a
        turns = np.rint((a @ b) / (a @ a))
        if turns == 0:
            break
        b = b - turns * a
    short = [s * v for v in (a, b, a + b, a - b) for s in (1.0, -1.0)]
    lengths = [float(np.hypot(*v)) for v in short]
    area = abs(float(np.linalg.det(np.stack([a, b]))))
    choices = []
    for i, j in ((i, j) for i in range(8) for j in range(8)):
        det = float(np.linalg.det(np.stack([short[i], short[j]])))
        if abs(det / area - 1.0) < 1e-6:
            choices.append((lengths[i] + lengths[j], i, j))
    least = min(total for total, _, _ in choices)
    equal = [(i, j) for total, i, j in choices if total <= SAME_LENGTH * least]
    first = max((i for i, _ in equal), key=lambda i: short[i][0] / lengths[i])
    second = max((j for i, j in equal if i == first), key=lambda j: float(short[first] @ short[j]) / lengths[j])
    return np.stack([short[first], short[second]])


def _worth(peaks: Float64, weight: Float64, basis: Float64, tolerance_px: float) -> float:
    """What a lattice explains, less what it leaves empty."""
    fits = weight * explained(peaks, basis, tolerance_px)
    distance = np.hypot(peaks[:, 0], peaks[:, 1])
    reach = float(np.quantile(distance, INNER_PART))
    mean = float(weight.mean())
    points = np.pi * reach**2 / abs(float(np.linalg.det(basis))) - 1.0
    empty = max(points - float(fits[distance <= reach].sum()) / mean, 0.0)
    return float(fits.sum()) - EMPTY_POINT * mean * empty


def _sine(basis: Float64) -> float:
    """Sine of the angle between the vectors of a basis."""
    return abs(float(np.linalg.det(basis))) / max(float(np.hypot(*basis[0]) * np.hypot(*basis[1])), 1e-12)


def _short_vectors(peaks: Float64, shortest_px: float, tolerance_px: float) -> Float64:
    between = (peaks[:, None] - peaks[None]).reshape(-1, 2)
    every = np.concatenate([peaks, between])
    # one of each pair of opposite vectors
    half = every[(every[:, 0] > 1e-9) | ((np.abs(every[:, 0]) <= 1e-9) & (every[:, 1] > 0))]
    length = np.hypot(half[:, 0], half[:, 1])
    ordered = half[np.argsort(length, kind="stable")]
    ordered = ordered[np.hypot(ordered[:, 0], ordered[:, 1]) >= shortest_px]
    kept: list[Float64] = []
    while len(ordered) and len(kept) < MOST_SHORT_VECTORS:
        near = np.hypot(*(ordered - ordered[0]).T) < tolerance_px
        kept.append(ordered[near].mean(axis=0))
        ordered = ordered[~near]
    return np.array(kept).reshape(-1, 2)


def _refined(peaks: Float64, weight: Float64, basis: Float64, tolerance_px: float) -> Float64:
    indices = np.rint(peaks @ np.linalg.inv(basis))
    root = np.sqrt(weight * explained(peaks, basis, tolerance_px))[:, None]
    solved, _, rank, _ = np.linalg.lstsq(root * indices, root * peaks, rcond=None)
    return np.asarray(solved, np.float64) if rank == 2 else basis
