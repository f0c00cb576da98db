"""The primitive basis of random lattices: turned, with disks missing, noise and foreign peaks."""

import numpy as np
import pytest
from numpy.typing import NDArray

from livestrain_core.axes import turn
from livestrain_core.basis import lattice_through, primitive_basis, reduced
from livestrain_core.errors import SingularLattice

Float64 = NDArray[np.float64]
RADIUS = 4.0


def cell(kind: str, rng: np.random.Generator) -> Float64:
    """A primitive cell of the kind, turned at random, with a shortest vector of 14 to 26 px."""
    length = rng.uniform(14, 26)
    other = length * rng.uniform(1.05, 1.6)
    g = {
        "square": [[length, 0.0], [0.0, length]],
        "hexagonal": [[length, 0.0], [length / 2, length * 3**0.5 / 2]],
        "rectangular": [[length, 0.0], [0.0, other]],
        # a rectangle with a disk in its middle
        "centred": [[length / 1.2, other / 1.2], [-length / 1.2, other / 1.2]],
        "oblique": [[length, 0.0], [other * np.cos(np.radians(74)), other * np.sin(np.radians(74))]],
    }[kind]
    return np.array(g) @ turn(rng.uniform(-np.pi, np.pi)).T


def peaks_of(g: Float64, rng: np.random.Generator, reach: float, noise: float, missing: float) -> Float64:
    """Disks within reach, the direct beam left out, some of them missing at random."""
    h, k = (a.ravel() for a in np.meshgrid(np.arange(-9, 10), np.arange(-9, 10)))
    every = np.stack([h, k], axis=1) @ g
    every = every[(np.hypot(*every.T) <= reach) & ((h != 0) | (k != 0))]
    kept = every[rng.random(len(every)) >= missing]
    return np.asarray(kept + rng.normal(0, noise, kept.shape))


def same_lattice(found: Float64, truth: Float64) -> bool:
    """True where each is a unimodular combination of the other."""
    combination = found @ np.linalg.inv(truth)
    off = np.abs(combination - np.rint(combination)).max()
    return bool(off < 0.08) and abs(abs(np.linalg.det(np.rint(combination))) - 1) < 1e-9


@pytest.mark.parametrize("kind", ["square", "hexagonal", "rectangular", "centred", "oblique"])
def test_the_basis_is_primitive_right_handed_and_reduced_whatever_is_missing(kind: str) -> None:
    rng = np.random.default_rng(sum(map(ord, kind)))
    wrong = []
    for number in range(40):
        g = cell(kind, rng)
        peaks = peaks_of(g, rng, reach=60.0, noise=0.3, missing=0.3)
        # fewer than a dozen, with a third missing, may well be another lattice
        if len(peaks) < 12:
            continue
        foreign = rng.uniform(-60, 60, (2, 2))
        found = primitive_basis(np.concatenate([peaks, foreign]), None, 1.2, 1.6 * RADIUS)
        assert np.linalg.det(found) > 0
        # no other pair is shorter together, but for those that count as equally short
        lengths = sorted(np.hypot(*vector) for vector in (*found, found[0] - found[1], found[0] + found[1]))
        assert np.hypot(*found[0]) + np.hypot(*found[1]) < 1.1 * sum(lengths[:2])
        if not same_lattice(found, g):
            wrong.append(number)
    assert wrong == []


@pytest.mark.parametrize("kind", ["square", "hexagonal", "rectangular", "centred", "oblique"])
def test_few_disks_without_noise_are_enough(kind: str) -> None:
    rng = np.random.default_rng(7)
    for _ in range(20):
        g = cell(kind, rng)
        shortest = max(np.hypot(*vector) for vector in reduced(g))
        found = primitive_basis(peaks_of(g, rng, 1.02 * shortest, 0.05, 0.0), None, 1.2, 1.6 * RADIUS)
        assert same_lattice(found, g)


def test_a_superlattice_is_not_taken_for_the_lattice_where_its_disks_are_there() -> None:
    rng = np.random.default_rng(8)
    for _ in range(20):
        g = cell("square", rng)
        strong = peaks_of(g, rng, 60.0, 0.1, 0.0)
        # half of g1: every second row of disks, a fifth as heavy, yet there
        half = np.stack([g[0] / 2, g[1]])
        every = peaks_of(half, rng, 60.0, 0.1, 0.0)
        indices = np.rint(every @ np.linalg.inv(half))
        weak = every[indices[:, 0] % 2 == 1]
        weights = np.concatenate([np.full(len(strong), 20.0), np.full(len(weak), 8.0)])
        found = primitive_basis(np.concatenate([strong, weak]), weights, 1.2, 1.6 * RADIUS * 0.9)
        assert same_lattice(found, half)


def test_the_reduced_basis_does_not_depend_on_the_one_it_came_from() -> None:
    rng = np.random.default_rng(9)
    for kind in ("square", "hexagonal", "centred", "oblique"):
        g = cell(kind, rng)
        expected = reduced(g)
        for change in ([[1, 1], [0, 1]], [[2, 1], [1, 1]], [[0, -1], [1, 0]], [[3, 2], [1, 1]], [[0, 1], [1, 0]]):
            np.testing.assert_allclose(reduced(np.array(change) @ g), expected, atol=1e-9)


@pytest.mark.parametrize("kind", ["square", "hexagonal", "rectangular", "centred", "oblique"])
def test_a_lattice_is_found_wherever_its_points_are(kind: str) -> None:
    rng = np.random.default_rng(10)
    for _ in range(8):
        g = cell(kind, rng)
        peaks = peaks_of(g, rng, reach=60.0, noise=0.2, missing=0.1)
        offset = rng.uniform(-0.5, 0.5, 2) @ g
        origin, basis = lattice_through(peaks + offset, None, 1.2, 1.6 * RADIUS)
        assert same_lattice(basis, g)
        indices = (origin - offset) @ np.linalg.inv(g)
        np.testing.assert_allclose(indices, np.rint(indices), atol=0.03)
        # no other lattice point is nearer
        neighbours = origin + np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [1, -1], [-1, 1]]) @ basis
        assert np.hypot(*origin) <= np.hypot(*neighbours.T).min() + 1e-9


def test_peaks_on_a_line_are_no_lattice() -> None:
    with pytest.raises(SingularLattice):
        lattice_through(np.array([[0.0, 20.0 * i] for i in range(-2, 3)]))
