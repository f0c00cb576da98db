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
AROUND = np.array([(h, k) for h in (-1.0, 0.0, 1.0) for k in (-1.0, 0.0, 1.0)])


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
    _, basis = _best(candidates, weights, tolerance_px, shortest_px, free=False)
    return basis


def lattice_through(
    peaks: Float64, weights: Float64 | None = None, tolerance_px: float = 1.5, shortest_px: float = 3.0
) -> tuple[Float64, Float64]:
    """
    The lattice that explains most of the peaks, wherever its points are.

    Parameters
    ----------
    peaks : (k, 2)
        Places of the peaks, relative to the middle of the pattern (row, column) [px].
    weights : (k,), optional
        What each peak counts; one each if not given.
    tolerance_px
        Largest distance of a peak from the lattice point it belongs to [px].
    shortest_px
        No lattice vector is shorter than this [px].

    Returns
    -------
    ((2,), (2, 2))
        The lattice point nearest to the middle, and a basis as `primitive_basis` returns it [px].

    Raises
    ------
    SingularLattice
        No two differences between peaks span a lattice.
    """
    return _best(peaks, weights, tolerance_px, shortest_px, free=True)


def _best(
    candidates: Float64, weights: Float64 | None, tolerance_px: float, shortest_px: float, *, free: bool
) -> tuple[Float64, Float64]:
    """Origin and basis; the origin is zero unless it is free."""
    peaks = np.asarray(candidates, np.float64).reshape(-1, 2)
    weight = np.ones(len(peaks)) if weights is None else np.asarray(weights, np.float64)
    short = _short_vectors(peaks, shortest_px, tolerance_px, free)
    starts: list[tuple[float, Float64, Float64]] = []
    for a, b in combinations(range(len(short)), 2):
        basis = np.stack([short[a], short[b]])
        if _sine(basis) > LEAST_SINE:
            origin = _common_origin(peaks, weight, basis) if free else np.zeros(2)
            starts.append((float(weight @ explained(peaks - origin, basis, tolerance_px)), origin, basis))
    if not starts:
        raise SingularLattice(f"{len(peaks)} peaks have no two directions that span a lattice")
    # a basis of two noisy vectors misses the peaks far out; refined ones can be compared
    worst = WORTH_REFINING * max(score for score, _, _ in starts)
    best: list[tuple[float, Float64, Float64]] = []
    for _, origin, basis in (one for one in starts if one[0] >= worst):
        place, cell = origin, basis
        for _ in range(REFINEMENTS):
            place, cell = _refined(peaks, weight, place, cell, tolerance_px, free)
        if _sine(cell) > LEAST_SINE / 2:
            best.append((_worth(peaks, weight, place, cell, tolerance_px), place, cell))
    _, origin, basis = max(best, key=lambda one: one[0])
    basis = reduced(basis)
    return nearest_point(np.zeros(2), origin, basis), basis


def nearest_point(place: Float64, origin: Float64, basis: Float64) -> Float64:
    """
    The point of a lattice that is nearest to a place.

    Parameters
    ----------
    place : (2,)
        Where (row, column) [px].
    origin : (2,)
        Any point of the lattice [px].
    basis : (2, 2)
        Reduced g1 and g2 as rows [px].

    Returns
    -------
    (2,)
        Its place [px].
    """
    around = np.rint((place - origin) @ np.linalg.inv(basis)) + AROUND
    points = origin + around @ basis
    return np.asarray(points[np.argmin(((points - place) ** 2).sum(axis=1))], np.float64)


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


def _worth(peaks: Float64, weight: Float64, origin: Float64, basis: Float64, tolerance_px: float) -> float:
    """What a lattice explains, less what it leaves empty."""
    fits = weight * explained(peaks - origin, basis, tolerance_px)
    distance = np.hypot(peaks[:, 0], peaks[:, 1])
    reach = float(np.quantile(distance, INNER_PART))
    mean = float(weight.mean())
    points = np.pi * reach**2 / abs(float(np.linalg.det(basis))) - 1.0
    empty = max(points - float(fits[distance <= reach].sum()) / mean, 0.0)
    return float(fits.sum()) - EMPTY_POINT * mean * empty


def _common_origin(peaks: Float64, weight: Float64, basis: Float64) -> Float64:
    """A lattice point, from the mean phase of the peaks in the unit cell."""
    phases = np.exp(2j * np.pi * (peaks @ np.linalg.inv(basis)))
    return np.asarray(np.angle(weight @ phases) / (2 * np.pi) @ basis, np.float64)


def _sine(basis: Float64) -> float:
    """Sine of the angle between the vectors of a basis."""
    return abs(float(np.linalg.det(basis))) / max(float(np.hypot(*basis[0]) * np.hypot(*basis[1])), 1e-12)


def _short_vectors(peaks: Float64, shortest_px: float, tolerance_px: float, free: bool) -> Float64:
    between = (peaks[:, None] - peaks[None]).reshape(-1, 2)
    every = between if free else np.concatenate([peaks, between])
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


def _refined(
    peaks: Float64, weight: Float64, origin: Float64, basis: Float64, tolerance_px: float, free: bool
) -> tuple[Float64, Float64]:
    away = peaks - origin
    indices = np.rint(away @ np.linalg.inv(basis))
    root = np.sqrt(weight * explained(away, basis, tolerance_px))[:, None]
    design = np.column_stack([indices, np.ones(len(peaks))]) if free else indices
    solved, _, rank, _ = np.linalg.lstsq(root * design, root * away, rcond=None)
    if rank < design.shape[1]:
        return origin, basis
    moved = origin + solved[2] if free else origin
    return moved, np.asarray(solved[:2], np.float64)


def spans_area(matrix: Float64) -> bool:
    """True for a finite (2, 2) whose columns are not parallel."""
    return bool(np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 1e-9 * (matrix**2).sum())
