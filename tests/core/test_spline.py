import numpy as np
import pytest

from core.apertures import draw_bullseye
from core.patterns import draw_disk
from livestrain_core.probe import Probe
from livestrain_core.probe_disk import disk, disk_slopes
from livestrain_core.spline import pattern_slopes, pattern_values, spline_at, spline_coefficients
from livestrain_core.vacuum import measure_pattern

AT = np.array([30.3, 31.8])
IMAGE = 200.0 * draw_bullseye((64, 64), AT, 12.0, 0.9)
MEASURED = measure_pattern(IMAGE)
R, C = (np.asarray(a, np.float64) for a in np.indices(IMAGE.shape))


def test_a_spline_goes_through_its_pixels_and_is_zero_far_outside() -> None:
    image = np.random.default_rng(0).normal(size=(9, 11))
    r, c = (a.ravel().astype(np.float64) for a in np.indices(image.shape))
    out = np.empty((3, image.size))
    spline_at(spline_coefficients(image), r, c, out)
    np.testing.assert_allclose(out[0].reshape(image.shape), image, atol=1e-12)
    spline_at(spline_coefficients(image), np.full(3, -40.0), np.array([0.0, 5.0, 1e6]), out[:, :3])
    assert not out[:, :3].any()


def test_the_slopes_of_a_spline_are_those_of_its_values() -> None:
    coefficients = spline_coefficients(np.random.default_rng(1).normal(size=(12, 12)))
    r, c = np.random.default_rng(2).uniform(1.0, 10.0, (2, 50))
    at, above, right = (np.empty((3, 50)) for _ in range(3))
    spline_at(coefficients, r, c, at)
    spline_at(coefficients, r + 1e-6, c, above)
    spline_at(coefficients, r, c + 1e-6, right)
    np.testing.assert_allclose((above[0] - at[0]) / 1e-6, at[1], atol=1e-4)
    np.testing.assert_allclose((right[0] - at[0]) / 1e-6, at[2], atol=1e-4)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.5, 0.25), (-0.4, 0.7)])
def test_a_pattern_moved_by_part_of_a_pixel_is_the_image_of_the_moved_probe(shift: tuple[float, float]) -> None:
    probe, centre = MEASURED.probe, (MEASURED.centre[0] + shift[0], MEASURED.centre[1] + shift[1])
    drawn = draw_bullseye((64, 64), AT + shift, 12.0, 0.9)
    seen = disk(probe, R - centre[0], C - centre[1])
    inside = np.hypot(R - centre[0], C - centre[1]) < 14
    assert np.sqrt(np.mean((seen * drawn.sum() / seen.sum() - drawn)[inside] ** 2)) < 0.05


def test_a_pattern_is_one_in_the_mean_over_its_disk_and_never_negative() -> None:
    probe, centre = MEASURED.probe, MEASURED.centre
    seen = disk(probe, R - centre[0], C - centre[1])
    assert seen.sum() == pytest.approx(np.pi * probe.radius_px**2, rel=1e-3)
    assert seen.min() == 0.0


def test_the_slopes_of_a_pattern_are_those_of_moving_its_centre() -> None:
    pattern, step = MEASURED.probe.pattern, 1e-5
    assert pattern is not None
    dr, dc = (np.asarray(a[pattern_values(pattern, R - AT[0], C - AT[1]) > 0.01]) for a in (R - AT[0], C - AT[1]))
    moved = (pattern_values(pattern, dr - step, dc) - pattern_values(pattern, dr + step, dc)) / (2 * step)
    np.testing.assert_allclose(pattern_slopes(pattern, dr, dc)[0], moved, atol=1e-6)
    moved = (pattern_values(pattern, dr, dc - step) - pattern_values(pattern, dr, dc + step)) / (2 * step)
    np.testing.assert_allclose(pattern_slopes(pattern, dr, dc)[1], moved, atol=1e-6)


def test_the_pattern_of_a_flat_disk_is_that_disk() -> None:
    flat = Probe(9.0, 0.9)
    found = measure_pattern(300 * draw_disk((64, 64), AT, flat)).probe
    np.testing.assert_allclose(disk(found, R - AT[0], C - AT[1]), disk(flat, R - AT[0], C - AT[1]), atol=0.03)
    slopes = zip(disk_slopes(found, R - AT[0], C - AT[1]), disk_slopes(flat, R - AT[0], C - AT[1]), strict=True)
    for one, other in slopes:
        np.testing.assert_allclose(one, other, atol=0.08)


def test_patterns_are_equal_where_their_images_are() -> None:
    again = measure_pattern(IMAGE)
    assert again == MEASURED
    assert hash(again) == hash(MEASURED)
    assert measure_pattern(IMAGE + 0.5 * (R > 32)).probe.pattern != MEASURED.probe.pattern
