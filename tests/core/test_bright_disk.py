import numpy as np
import pytest

from core.patterns import draw_disk
from livestrain_core.bright_disk import measure_probe
from livestrain_core.errors import NoProbe
from livestrain_core.probe import Probe


@pytest.mark.parametrize(("radius", "edge", "shape"), [(3.0, 0.6, 64), (6.3, 0.8, 128), (60.0, 1.5, 256)])
def test_a_disk_of_any_size_is_measured_below_a_pixel(radius: float, edge: float, shape: int) -> None:
    at = np.array([shape / 2 + 0.37, shape / 2 - 0.22])
    found = measure_probe(500 * draw_disk((shape, shape), at, Probe(radius, edge)) + 2.0)
    np.testing.assert_allclose(found.centre, at, atol=0.02)
    assert found.probe.radius_px == pytest.approx(radius, abs=0.05)
    assert found.probe.edge_px == pytest.approx(edge, rel=0.15)


def test_contrast_in_the_disk_and_noise_move_it_little() -> None:
    at, probe = np.array([50.2, 49.6]), Probe(9.0, 0.8)
    image = np.random.default_rng(0).poisson(80 * draw_disk((100, 100), at, probe, (0.3, -0.2)) + 3.0)
    found = measure_probe(image)
    np.testing.assert_allclose(found.centre, at, atol=0.1)
    assert found.probe.radius_px == pytest.approx(9.0, abs=0.1)


def test_a_hot_pixel_is_not_the_probe() -> None:
    at, probe = np.array([20.0, 21.0]), Probe(4.0, 0.8)
    image = 100 * draw_disk((64, 64), at, probe)
    image[50, 50] = 1e6
    np.testing.assert_allclose(measure_probe(image).centre, at, atol=0.02)


def test_a_gap_through_the_disk_does_not_halve_it() -> None:
    at, probe = np.array([31.4, 31.8]), Probe(8.0, 0.8)
    usable = np.ones((64, 64), np.bool_)
    usable[30:34] = False
    found = measure_probe(100 * draw_disk((64, 64), at, probe) * usable, usable)
    np.testing.assert_allclose(found.centre, at, atol=0.05)
    assert found.probe.radius_px == pytest.approx(8.0, abs=0.1)


def test_the_brightest_of_several_disks_is_measured() -> None:
    probe = Probe(5.0, 0.8)
    image = 100 * draw_disk((96, 96), np.array([48.0, 47.5]), probe) + 30 * draw_disk(
        (96, 96), np.array([70, 20]), probe
    )
    np.testing.assert_allclose(measure_probe(image).centre, (48.0, 47.5), atol=0.02)


NOISE = np.random.default_rng(1).poisson(5.0, (64, 64)).astype(np.float64)


@pytest.mark.parametrize(
    "image",
    [np.zeros((64, 64)), np.full((64, 64), 7.0), np.full((64, 64), np.nan), NOISE, -np.ones((64, 64))],
    ids=["blank", "constant", "nan", "noise", "negative"],
)
def test_no_probe_is_found_where_there_is_none(image: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    with pytest.raises(NoProbe):
        measure_probe(image)
