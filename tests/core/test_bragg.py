import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from livestrain_core.bragg import (
    INSIDE,
    OUTSIDE,
    UNCENTRED,
    VectorMap,
    add_vectors,
    bragg_vector_map,
    empty_vector_map,
)

SHAPE = (24, 31)


def some_vectors(seed: int, positions: int = 50, disks: int = 7) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Places on the detector and a little beyond it, some not found."""
    rng = np.random.default_rng(seed)
    where = rng.uniform(-2.0, np.array(SHAPE) + 1.0, (positions, disks, 2)).astype(np.float32)
    where[rng.random((positions, disks)) < 0.2] = np.nan
    return where, rng.uniform(0.5, 900.0, (positions, disks)).astype(np.float32)


def numpy_twin(
    position: NDArray[np.float32], intensity: NDArray[np.float32], sampling: int, shift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The same map with four calls of np.add.at; shares beyond the edge are clipped to it."""
    shape = np.array(SHAPE) * sampling
    image = np.zeros(shape)
    moved = position.astype(np.float64) + shift[:, None]
    good = np.isfinite(moved).all(axis=-1)
    at = (moved[good] + 0.5) * sampling - 0.5
    value = intensity[good].astype(np.float64)
    inside = ((at >= -0.5) & (at <= shape - 0.5)).all(axis=1)
    at, value = at[inside], value[inside]
    first = np.floor(at).astype(int)
    part = at - first
    for down in (0, 1):
        for along in (0, 1):
            share = np.where(down, part[:, 0], 1 - part[:, 0]) * np.where(along, part[:, 1], 1 - part[:, 1])
            row = np.clip(first[:, 0] + down, 0, shape[0] - 1)
            column = np.clip(first[:, 1] + along, 0, shape[1] - 1)
            np.add.at(image, (row, column), value * share)
    return image


def bits(found: VectorMap) -> tuple[bytes, bytes, bytes]:
    return found.image.tobytes(), found.counts.tobytes(), found.intensities.tobytes()


@pytest.mark.parametrize("sampling", [1, 2, 5])
@pytest.mark.parametrize("seed", [3, 4])
def test_the_kernel_agrees_with_numpy(seed: int, sampling: int) -> None:
    where, intensity = some_vectors(seed)
    shift = np.random.default_rng(seed).normal(0, 1.5, (len(where), 2))
    found = bragg_vector_map(where, intensity, SHAPE, sampling, shift)
    np.testing.assert_allclose(found.image, numpy_twin(where, intensity, sampling, shift), rtol=1e-12, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), sampling=st.integers(1, 4), unknown=st.integers(0, 50))
def test_intensity_is_conserved_and_every_vector_is_counted_once(seed: int, sampling: int, unknown: int) -> None:
    where, intensity = some_vectors(seed)
    shift = np.random.default_rng(seed).normal(0, 1.5, (len(where), 2))
    shift[:unknown] = np.nan
    found = bragg_vector_map(where, intensity, SHAPE, sampling, shift)
    there = np.asarray(np.isfinite(where).all(axis=-1))
    assert found.counts.sum() == there.sum()
    assert found.counts[UNCENTRED] == there[:unknown].sum()
    assert found.intensities.sum() == pytest.approx(intensity[there].sum(dtype=np.float64), rel=1e-12)
    assert found.image.sum() == pytest.approx(found.intensities[INSIDE], rel=1e-12)


@pytest.mark.parametrize("edge", [(-0.5, -0.5), (-0.3, 30.4), (23.5, 30.5), (23.2, -0.4), (0.0, 30.0), (11.7, 30.5)])
@pytest.mark.parametrize("sampling", [1, 3])
def test_a_vector_at_the_edge_of_the_detector_keeps_its_whole_intensity(
    edge: tuple[float, float], sampling: int
) -> None:
    found = bragg_vector_map([[edge]], [[7.0]], SHAPE, sampling)
    assert found.image.sum() == pytest.approx(7.0, rel=1e-15)
    assert found.counts.tolist() == [1, 0, 0]


@pytest.mark.parametrize("place", [(-0.51, 3.0), (23.51, 3.0), (3.0, -0.6), (3.0, 31.0), (1e30, -1e30)])
def test_a_vector_off_the_detector_is_counted_apart(place: tuple[float, float]) -> None:
    found = bragg_vector_map([[place, (5.0, 5.0)]], [[7.0, 2.0]], SHAPE)
    assert found.counts.tolist() == [1, 1, 0]
    assert found.intensities[OUTSIDE] == 7.0
    assert found.image.sum() == 2.0


def test_a_vector_on_a_pixel_fills_that_pixel_only() -> None:
    found = bragg_vector_map([[(5.0, 9.0)]], [[3.0]], SHAPE)
    assert found.image[5, 9] == 3.0
    assert np.count_nonzero(found.image) == 1


def test_the_centre_of_mass_of_the_map_is_that_of_the_vectors() -> None:
    for sampling in (1, 2, 4):
        image = bragg_vector_map([[(5.25, 9.75), (12.1, 20.3)]], [[3.0, 1.0]], SHAPE, sampling).image
        rows, columns = np.indices(image.shape)
        # from pixels of the image to pixels of the detector
        found = [((image * axis).sum() / image.sum() + 0.5) / sampling - 0.5 for axis in (rows, columns)]
        assert found == pytest.approx([(3 * 5.25 + 12.1) / 4, (3 * 9.75 + 20.3) / 4], rel=1e-12)


def test_the_descan_is_taken_out_by_the_shift() -> None:
    """Disks that wander with the centre fall on one place."""
    rng = np.random.default_rng(2)
    centre = np.array([11.0, 15.0]) + rng.normal(0, 1.0, (40, 2))
    disk = centre[:, None] + np.array([[0.0, 0.0], [6.0, 2.0]])
    blurred = bragg_vector_map(disk, np.ones((40, 2)), SHAPE).image
    sharp = bragg_vector_map(disk, np.ones((40, 2)), SHAPE, shift=np.array([11.0, 15.0]) - centre).image
    assert sharp[11, 15] == pytest.approx(40.0)
    assert sharp[17, 17] == pytest.approx(40.0)
    assert blurred.max() < 20.0
    assert blurred.sum() == pytest.approx(80.0)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 50), max_size=6))
def test_portions_change_no_bit(cuts: list[int]) -> None:
    where, intensity = some_vectors(11)
    shift = np.random.default_rng(5).normal(0, 1.0, (len(where), 2))
    whole = bragg_vector_map(where, intensity, SHAPE, 2, shift)
    found = empty_vector_map(SHAPE, 2)
    edges = [0, *sorted(cuts), len(where)]
    for first, after in itertools.pairwise(edges):
        add_vectors(found, where[first:after], intensity[first:after], shift[first:after])
    assert bits(found) == bits(whole)


def test_positions_without_vectors_add_nothing() -> None:
    for where, intensity in ((np.empty((0, 5, 2)), np.empty((0, 5))), (np.empty((4, 0, 2)), np.empty((4, 0)))):
        assert not bragg_vector_map(where, intensity, SHAPE).counts.any()
    nothing = bragg_vector_map(np.full((4, 3, 2), np.nan), np.full((4, 3), 5.0), SHAPE)
    assert not nothing.counts.any()
    assert not nothing.image.any()


def test_a_vector_without_intensity_is_none() -> None:
    found = bragg_vector_map([[(5.0, 5.0), (6.0, 6.0)]], [[np.nan, 1.0]], SHAPE)
    assert found.counts.tolist() == [1, 0, 0]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        bragg_vector_map(np.zeros((4, 3, 2)), np.zeros((4, 2)), SHAPE)
    with pytest.raises(ValueError, match="expected"):
        bragg_vector_map(np.zeros((4, 3, 2)), np.zeros((4, 3)), SHAPE, shift=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="sampling"):
        empty_vector_map(SHAPE, 0)
