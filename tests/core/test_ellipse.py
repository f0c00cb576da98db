"""Elliptic distortion with known truth: from rings, a polycrystal, a known lattice; refused from one crystal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from livestrain_core.axes import turn
from livestrain_core.ellipse import (
    distortion_matrix,
    ellipse_of_lattice,
    ellipse_of_rings,
    ratio_and_angle,
    refuse_one_crystal,
)
from livestrain_core.errors import EllipseUnknown
from livestrain_core.rings import Ring, points_on_rings, radial_maxima
from livestrain_core.strain import strain

Float64 = NDArray[np.float64]
CENTRE = (63.4, 64.1)
BENT = distortion_matrix(1.03, np.radians(35.0))
SQUARE = np.array([[20.0, 3.0], [-3.0, 20.0]])


def polycrystal(rng: np.random.Generator, grains: int, bent: Float64 = BENT) -> tuple[Float64, NDArray[np.int64]]:
    """First and second ring of randomly turned square crystals, with positions good to 0.15 px."""
    points, rings = [], []
    for angle in rng.uniform(0, np.pi / 2, grains):
        for k, vectors in enumerate((SQUARE, np.array([SQUARE[0] + SQUARE[1], SQUARE[0] - SQUARE[1]]))):
            for sign in (1, -1):
                points.append(sign * vectors @ turn(angle).T @ bent.T)
                rings.append([k, k])
    found = np.concatenate(points)
    return found + rng.normal(0, 0.15, found.shape) + CENTRE, np.concatenate(rings)


def halo(rng: np.random.Generator, bent: Float64 = BENT, counts: float = 60.0) -> Float64:
    """An amorphous halo at 36 px with background, and counting noise."""
    away = np.moveaxis(np.indices((128, 128)), 0, -1) - np.array(CENTRE)
    true = away @ np.linalg.inv(bent).T
    radius = np.hypot(true[..., 0], true[..., 1])
    image = rng.poisson(counts * np.exp(-((radius - 36.0) ** 2) / 50.0) + 15.0)
    return np.asarray(image, np.float64)


@settings(max_examples=30, deadline=None)
@given(ratio=st.floats(1.001, 1.25), angle=st.floats(0.01, 3.13))
def test_ratio_and_angle_come_back(ratio: float, angle: float) -> None:
    matrix = distortion_matrix(ratio, angle)
    np.testing.assert_allclose(ratio_and_angle(matrix), (ratio, angle), rtol=1e-6)
    assert np.linalg.det(matrix) == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(4))
def test_a_halo_tells_the_distortion(seed: int) -> None:
    image = halo(np.random.default_rng(seed))
    found = ellipse_of_rings(radial_maxima(image, None, (63.0, 65.0), Ring(26, 46)))
    np.testing.assert_allclose(found.matrix, BENT, atol=0.002)
    np.testing.assert_allclose(found.centre, CENTRE, atol=0.15)


def test_a_round_halo_has_none() -> None:
    image = halo(np.random.default_rng(9), np.eye(2))
    found = ellipse_of_rings(radial_maxima(image, None, (63.0, 65.0), Ring(26, 46)))
    np.testing.assert_allclose(found.matrix, np.eye(2), atol=0.002)


def test_a_beam_stop_and_a_bright_stray_spot_do_not_disturb_a_halo() -> None:
    image = halo(np.random.default_rng(3))
    usable = np.ones(image.shape, np.bool_)
    usable[60:68, 64:] = False
    image[~usable] = 0
    image[90:96, 80:86] += 3000
    found = ellipse_of_rings(radial_maxima(image, usable, (63.0, 65.0), Ring(26, 46)))
    np.testing.assert_allclose(found.matrix, BENT, atol=0.002)


@pytest.mark.parametrize("seed", range(4))
def test_a_polycrystal_tells_the_distortion_from_all_its_rings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, rings = polycrystal(rng, 30)
    stray = rng.uniform(10, 118, (20, 2))
    chosen, which = points_on_rings(np.concatenate([points, stray]), CENTRE, (Ring(17, 24), Ring(25, 33)))
    assert len(points) <= len(chosen) < len(points) + 15
    assert set(which.tolist()) == set(rings.tolist())
    found = ellipse_of_rings(chosen, which)
    np.testing.assert_allclose(found.matrix, BENT, atol=0.002)
    assert found.residual_px < 0.25


@settings(max_examples=40, deadline=None)
@given(
    ratio=st.floats(1.0, 1.06),
    axis=st.floats(0.0, 3.1),
    turned=st.floats(-3.1, 3.1),
    shape=st.sampled_from([(1.0, 90.0), (1.0, 60.0), (1.3, 90.0), (1.2, 75.0)]),
    mirrored=st.booleans(),
    other_basis=st.sampled_from([((1, 0), (0, 1)), ((0, 1), (-1, 0)), ((1, 0), (1, 1)), ((1, 1), (0, 1))]),
)
def test_a_known_lattice_tells_the_distortion_exactly(
    ratio: float,
    axis: float,
    turned: float,
    shape: tuple[float, float],
    mirrored: bool,
    other_basis: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    angle = np.radians(shape[1])
    true = 20.0 * np.array([[shape[0], 0.0], [np.cos(angle), np.sin(angle)]])
    true = np.array(other_basis) @ true @ np.diag([1.0, -1.0 if mirrored else 1.0])
    bent = distortion_matrix(ratio, axis)
    found = ellipse_of_lattice(true @ turn(turned).T @ bent.T, shape[0], angle)
    np.testing.assert_allclose(found.matrix, bent, atol=1e-9)


def test_noise_in_a_known_lattice_is_passed_on_and_no_more() -> None:
    rng = np.random.default_rng(8)
    g = SQUARE @ BENT.T + rng.normal(0, 0.02, (2, 2))
    np.testing.assert_allclose(ellipse_of_lattice(g, 1.0, np.pi / 2).matrix, BENT, atol=0.003)


def test_a_lattice_of_quite_another_shape_is_refused() -> None:
    with pytest.raises(EllipseUnknown, match="to 1"):
        ellipse_of_lattice(np.array([[20.0, 0.0], [0.0, 29.0]]), 1.0, np.pi / 2)


@pytest.mark.parametrize(
    ("g", "ratio", "angle"),
    [
        (np.zeros((2, 2)), 1.0, 1.5),
        (np.full((2, 2), np.nan), 1.0, 1.5),
        (SQUARE, 0.0, 1.5),
        (SQUARE, np.inf, 1.5),
        (SQUARE, 1.0, 0.0),
        (SQUARE, 1.0, np.nan),
    ],
)
def test_what_is_no_lattice_is_refused(g: Float64, ratio: float, angle: float) -> None:
    with pytest.raises(EllipseUnknown, match="no lattice"):
        ellipse_of_lattice(g, ratio, angle)


@pytest.mark.parametrize("kind", ["square", "hexagonal", "two hexagonal"])
def test_the_disks_of_one_crystal_are_refused(kind: str) -> None:
    count = 4 if kind == "square" else 6
    angle = np.arange(count) * 2 * np.pi / count + 0.2
    if kind == "two hexagonal":
        angle = np.concatenate([angle, angle + 0.01])
    points = 20.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ BENT.T
    with pytest.raises(EllipseUnknown, match="one crystal"):
        ellipse_of_rings(points)
    with pytest.raises(EllipseUnknown, match="one crystal"):
        refuse_one_crystal()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_points_are_refused(count: int) -> None:
    with pytest.raises(EllipseUnknown):
        ellipse_of_rings(np.ones((count, 2)))


def test_a_part_of_a_ring_is_refused_and_its_twin_all_around_is_not() -> None:
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ring = 30.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    with pytest.raises(EllipseUnknown, match="degrees empty"):
        ellipse_of_rings(ring[:18])
    np.testing.assert_allclose(ellipse_of_rings(ring).matrix, np.eye(2), atol=1e-9)


def test_points_anywhere_are_no_ellipse() -> None:
    rng = np.random.default_rng(11)
    with pytest.raises(EllipseUnknown, match="no ellipse"):
        ellipse_of_rings(rng.uniform(-30, 30, (60, 2)) * (1.0, 0.4))


@pytest.mark.parametrize("image", [np.zeros((64, 64)), np.full((64, 64), 7.0), np.full((64, 64), np.nan)])
def test_an_image_without_a_ring_is_refused(image: Float64) -> None:
    with pytest.raises(EllipseUnknown, match="no ring"):
        radial_maxima(image, None, (31.5, 31.5), Ring(10, 20))


@pytest.mark.parametrize("ring", [Ring(20, 10), Ring(10, 12), Ring(-5, 20), Ring(200, 300), Ring(float("nan"), 20)])
def test_a_ring_that_is_none_is_refused(ring: Ring) -> None:
    with pytest.raises(EllipseUnknown, match="ring"):
        radial_maxima(halo(np.random.default_rng(0)), None, CENTRE, ring)


def test_grains_seem_strained_until_the_distortion_that_their_rings_tell_is_taken_out() -> None:
    rng = np.random.default_rng(12)
    found = ellipse_of_rings(*polycrystal(rng, 40)).matrix
    grains = np.stack([SQUARE @ turn(angle).T @ BENT.T for angle in np.radians([0, 10, 25, 40])])
    reference = SQUARE @ BENT.T
    plain, mended = strain(grains, reference), strain(grains, reference, found)
    assert max(np.abs(values).max() for values in (plain.e_xx, plain.e_yy, plain.e_xy)) > 0.01
    assert max(np.abs(values).max() for values in (mended.e_xx, mended.e_yy, mended.e_xy)) < 0.002


@pytest.mark.parametrize("seed", range(6))
def test_a_cloud_of_points_is_no_ellipse(seed: int) -> None:
    with pytest.raises(EllipseUnknown, match="no ellipse"):
        ellipse_of_rings(np.random.default_rng(seed).normal(0, 30, (400, 2)))


def test_a_ring_whose_points_are_not_finite_is_left_out() -> None:
    points, rings = polycrystal(np.random.default_rng(5), 30)
    expected = ellipse_of_rings(points[rings == 1])
    points[rings == 0] = np.nan
    found = ellipse_of_rings(points, rings)
    np.testing.assert_array_equal(found.matrix, expected.matrix)
    with pytest.raises(EllipseUnknown, match="no point"):
        ellipse_of_rings(np.full((30, 2), np.nan), np.arange(30) % 2)
