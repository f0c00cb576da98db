from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from livestrain_core.virtual import Detector, Virtual, measure

DETECTORS = (Detector(0, 7.0), Detector(7.0, 20.5), Detector(10.0, 15.0, (31.5, 30.0)), Detector(0, 500.0))
GUESS = (31.0, 40.0)


def frames(dtype: str) -> NDArray[Any]:
    rng = np.random.default_rng(2)
    r, c = np.indices((64, 80))
    mean = 200.0 * (np.hypot(r - 32.3, c - 41.2) < 6) + 3.0
    return rng.poisson(np.broadcast_to(mean, (5, 64, 80))).astype(dtype)


def mask(detector: Detector, centre: NDArray[np.float64]) -> NDArray[np.bool_]:
    r, c = np.indices((64, 80))
    r0, c0 = detector.centre or centre
    d2 = (r - r0) * (r - r0) + (c - c0) * (c - c0)
    return np.asarray((d2 >= detector.inner_px**2) & (d2 <= detector.outer_px**2))


def check(found: Virtual, values: NDArray[Any], rtol: float) -> None:
    r, c = np.indices(values.shape[1:])
    for i, frame in enumerate(values.astype(np.float64)):
        np.testing.assert_allclose(found.total[i], frame.sum(), rtol=rtol)
        np.testing.assert_allclose(
            found.centre_of_mass[i], [(frame * r).sum() / frame.sum(), (frame * c).sum() / frame.sum()], rtol=1e-9
        )
        for k, detector in enumerate(DETECTORS):
            expected = frame[mask(detector, found.centre[i])].sum()
            np.testing.assert_allclose(found.sums[i, k], expected, rtol=rtol)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_sums_of_integer_frames_are_those_of_a_numpy_mask_exactly(dtype: str) -> None:
    values = frames(dtype)
    check(measure(values, None, GUESS, 6.0, DETECTORS), values, rtol=0)


def test_sums_of_float_frames_are_those_of_a_numpy_mask() -> None:
    values = frames("f4") * np.float32(0.37)
    check(measure(values, None, GUESS, 6.0, DETECTORS), values, rtol=1e-9)


def test_full_counters_do_not_overflow() -> None:
    values = np.full((1, 64, 80), 65535, np.uint16)
    assert measure(values, None, GUESS, 6.0, DETECTORS).sums[0, 3] == 64 * 80 * 65535
    large = np.full((1, 64, 80), 2**32 - 1, np.uint32)
    assert measure(large, None, GUESS, 6.0, DETECTORS).total[0] == 64 * 80 * (2**32 - 1)


def test_unusable_pixels_count_as_zero() -> None:
    values = frames("u2")
    usable = np.ones((64, 80), np.bool_)
    usable[30:33, 20:60] = False
    values[:, 31, 35] = 60000
    check(measure(values, usable, GUESS, 6.0, DETECTORS), values * usable, rtol=0)


def test_the_centre_is_the_centre_of_mass_of_the_bright_field_disk() -> None:
    found = measure(frames("u2"), None, GUESS, 6.0, ())
    np.testing.assert_allclose(found.centre, np.broadcast_to((32.3, 41.2), (5, 2)), atol=0.25)
    r, c = np.indices((64, 80))
    r0, c0 = found.centre[0]
    inside = np.hypot(r - r0, c - c0) <= 7.2
    frame = frames("u2")[0] * inside
    np.testing.assert_allclose([(frame * r).sum() / frame.sum(), (frame * c).sum() / frame.sum()], (r0, c0), atol=0.02)


def test_a_membership_on_the_very_edge_is_that_of_the_comparison() -> None:
    values = np.ones((1, 64, 80), np.uint8)
    ring = (Detector(5.0, 5.0, (31.0, 40.0)),)
    # 3-4-5 triangles and the axes lie exactly at distance five
    assert measure(values, None, GUESS, 6.0, ring).sums[0, 0] == 12


def test_a_hole_wider_than_its_disk_and_a_detector_beside_the_frame_see_nothing() -> None:
    detectors = (Detector(4.0, 2.0), Detector(0.0, 9.0, (-20.0, 3.0)), Detector(0.0, 9.0, (31.0, 300.0)))
    assert measure(frames("u2"), None, GUESS, 6.0, detectors).sums.tolist() == [[0.0] * 3] * 5


def test_an_empty_frame_has_no_centre_and_a_full_one_has() -> None:
    values = frames("u2")
    values[0] = 0
    found = measure(values, None, GUESS, 6.0, DETECTORS)
    assert found.total[0] == 0
    assert np.isnan(found.centre[0]).all()
    assert np.isnan(found.centre_of_mass[0]).all()
    assert np.isnan(found.sums[0, 0])
    assert found.sums[0, 2] == 0
    assert np.isfinite(found.sums[1]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_not_finite_is_left_out_of_its_frame_and_counted(value: float) -> None:
    values = frames("f4")
    without = values.copy()
    without[1, 32, 41] = 0.0
    values[1, 32, 41] = value
    found = measure(values, None, GUESS, 6.0, DETECTORS)
    check(found, without, rtol=1e-9)
    assert found.left_out.tolist() == [0, 1, 0, 0, 0]


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f4"])
def test_saturated_pixels_are_left_out_and_counted(dtype: str) -> None:
    values = frames(dtype)
    values[2, 30:33, 40] = 250
    values[2, 5, 5] = 251
    low = np.minimum(values, 249)
    found = measure(values, None, GUESS, 6.0, DETECTORS, saturation=250)
    check(found, np.where(values >= 250, 0, values), rtol=1e-9)
    assert found.left_out.tolist() == (values >= 250).sum(axis=(1, 2)).tolist()
    none = measure(low, None, GUESS, 6.0, DETECTORS, saturation=250)
    check(none, low, rtol=1e-9)
    assert none.left_out.tolist() == [0] * 5


def test_a_pixel_that_is_never_usable_is_not_counted_as_lost() -> None:
    values = frames("f4")
    usable = np.ones((64, 80), np.bool_)
    usable[3, :] = False
    values[:, 3, 7] = np.nan
    values[:, 4, 7] = np.nan
    assert measure(values, usable, GUESS, 6.0, DETECTORS).left_out.tolist() == [1] * 5


def test_a_frame_that_lost_every_pixel_is_not_measured_and_hurts_no_other() -> None:
    values = frames("f4")
    clean = measure(values, None, GUESS, 6.0, DETECTORS)
    values[1] = np.nan
    found = measure(values, None, GUESS, 6.0, DETECTORS)
    assert np.isnan([found.total[1], *found.centre[1], *found.centre_of_mass[1], *found.sums[1]]).all()
    assert found.left_out.tolist() == [0, 64 * 80, 0, 0, 0]
    np.testing.assert_array_equal(np.delete(found.sums, 1, axis=0), np.delete(clean.sums, 1, axis=0))


@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_a_frame_gives_the_same_bits_alone_and_among_others(dtype: str) -> None:
    values = frames(dtype)
    together = measure(values, None, GUESS, 6.0, DETECTORS)
    for i in range(len(values)):
        alone = measure(values[i : i + 1], None, GUESS, 6.0, DETECTORS)
        for name in ("total", "centre_of_mass", "centre", "sums", "left_out"):
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[i])


def test_a_detector_that_wants_it_takes_the_predicted_centre_of_its_frame() -> None:
    values = frames("u2")
    predicted = np.array([(20.0 + 3 * i, 30.0 - i) for i in range(len(values))])
    detectors = (Detector(0, 7.0, predicted=True), Detector(0, 7.0), Detector(0, 7.0, GUESS, predicted=True))
    found = measure(values, None, GUESS, 6.0, detectors, predicted)
    for i, frame in enumerate(values):
        assert found.sums[i, 0] == frame[mask(detectors[0], predicted[i])].sum()
        assert found.sums[i, 1] == frame[mask(detectors[1], found.centre[i])].sum()
        # a fixed centre is stronger
        assert found.sums[i, 2] == frame[mask(detectors[2], predicted[i])].sum()
    without = measure(values, None, GUESS, 6.0, detectors)
    np.testing.assert_array_equal(without.sums[:, 0], without.sums[:, 2])


@pytest.mark.parametrize("dtype", ["u2", "f4"])
@pytest.mark.parametrize("masked", [False, True])
def test_of_no_frames_nothing_is_measured(dtype: str, masked: bool) -> None:
    usable = np.zeros((4096, 4096), np.bool_) if masked else None
    found = measure(np.empty((0, 4096, 4096), dtype), usable, GUESS, 6.0, DETECTORS)
    shapes = [a.shape for a in (found.total, found.centre_of_mass, found.centre, found.sums, found.left_out)]
    assert shapes == [(0,), (0, 2), (0, 2), (0, len(DETECTORS)), (0,)]
