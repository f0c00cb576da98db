import numpy as np
import pytest
from numpy.typing import NDArray

from core.patterns import HEXAGONAL, OBLIQUE, PROBE, SHAPE, SQUARE, draw_disk, indices, scan
from livestrain_core.broken import broken_pixels
from livestrain_core.lattice import Lattice
from livestrain_core.probe import Probe

EVERYWHERE = np.ones(SHAPE, np.bool_)
ALIGNED = Lattice((64.0, 64.0), (14.0, 0.0), (0.0, 14.0))
Pixels = list[tuple[int, int]]


def pattern(lattice: Lattice, probe: Probe = PROBE, background: float = 0.01) -> NDArray[np.float64]:
    """Disks of unit height, the direct beam ten times as bright, on an even background."""
    hk = indices(4, 55, lattice)
    image = np.full(SHAPE, background)
    for h, k in hk:
        place = np.array(lattice.centre) + np.array([h, k]) @ np.array([lattice.g1, lattice.g2])
        image += (10.0 if (h, k) == (0, 0) else 1.0) * draw_disk(SHAPE, place, probe)
    return image


def mean_of(image: NDArray[np.float64], electrons: float, frames: int, seed: int = 0) -> NDArray[np.float64]:
    total = np.random.default_rng(seed).poisson(image * electrons * frames / image.sum())
    return np.asarray(total / frames, np.float64)


def found(mean: NDArray[np.float64], frames: int = 64) -> Pixels:
    return [(int(r), int(c)) for r, c in np.argwhere(broken_pixels(mean, frames, EVERYWHERE))]


@pytest.mark.parametrize("lattice", [SQUARE, HEXAGONAL, OBLIQUE, ALIGNED], ids=["square", "hex", "oblique", "aligned"])
@pytest.mark.parametrize("electrons", [30.0, 1e3, 1e5, 1e7])
@pytest.mark.parametrize("background", [0.0, 0.01])
def test_nothing_is_broken_in_a_good_detector(lattice: Lattice, electrons: float, background: float) -> None:
    image = pattern(lattice, background=background)
    for seed in range(3):
        assert found(mean_of(image, electrons, 64, seed)) == []


@pytest.mark.parametrize("radius", [1.3, 1.6, 2.0, 3.0])
@pytest.mark.parametrize("edge", [0.1, 0.6])
@pytest.mark.parametrize("centre", [(64.0, 64.0), (64.5, 64.5), (64.5, 64.0), (64.2, 64.3)])
def test_small_disks_are_not_taken_for_hot_pixels(radius: float, edge: float, centre: tuple[float, float]) -> None:
    image = pattern(Lattice(centre, (14.0, 0.0), (0.0, 14.0)), Probe(radius, edge))
    assert found(mean_of(image, 1e5, 64)) == []


@pytest.mark.parametrize("gap", [0.2, 1.0, 2.0, 3.0])
def test_narrow_gaps_between_disks_are_not_taken_for_dead_lines(gap: float) -> None:
    pitch = 12.0 + gap
    for background in (0.0, 0.01):
        for offset in (0.0, 0.5):
            lattice = Lattice((64.0 + offset, 64.0), (pitch, 0.0), (0.0, pitch))
            assert found(mean_of(pattern(lattice, Probe(6.0, 0.2), background), 1e6, 64)) == []


CLUSTERS: dict[str, Pixels] = {
    "pair": [(0, 0), (0, 1)],
    "diagonal": [(0, 0), (1, 1)],
    "square": [(0, 0), (0, 1), (1, 0), (1, 1)],
    "line": [(0, 0), (0, 1), (0, 2), (0, 3)],
    "corner": [(0, 0), (1, 0), (1, 1)],
}


@pytest.mark.parametrize("shape", CLUSTERS)
@pytest.mark.parametrize("place", [(20, 30), (64, 66), (64, 58), (5, 100)])
@pytest.mark.parametrize("electrons", [1e3, 1e5])
def test_hot_groups_are_found_on_disks_their_edges_and_the_background(
    shape: str, place: tuple[int, int], electrons: float
) -> None:
    mean = mean_of(pattern(SQUARE), electrons, 64)
    expected = sorted((place[0] + r, place[1] + c) for r, c in CLUSTERS[shape])
    for r, c in expected:
        mean[r, c] = 30 * mean.max()
    assert found(mean) == expected


@pytest.mark.parametrize("shape", CLUSTERS)
def test_dead_groups_are_found_where_there_is_light(shape: str) -> None:
    mean = mean_of(pattern(SQUARE), 1e5, 64)
    expected = sorted((62 + r, 63 + c) for r, c in CLUSTERS[shape])
    for r, c in expected:
        mean[r, c] = 0.0
    assert found(mean) == expected


@pytest.mark.parametrize("lines", [[40], [64], [30, 31], [90, 91, 92, 93], [10, 100]])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("electrons", [1e4, 1e6])
def test_dead_rows_and_columns_are_found_and_nothing_else(lines: list[int], axis: int, electrons: float) -> None:
    mean = mean_of(pattern(SQUARE), electrons, 64)
    if axis:
        mean[:, lines] = 0.0
    else:
        mean[lines] = 0.0
    broken = broken_pixels(mean, 64, EVERYWHERE)
    expected = np.zeros(SHAPE, np.bool_)
    expected[(slice(None), lines) if axis else (lines,)] = True
    np.testing.assert_array_equal(broken, expected)


def test_a_hot_pixel_beside_a_dead_column_is_found() -> None:
    mean = mean_of(pattern(SQUARE), 1e5, 64)
    mean[:, 40] = 0.0
    mean[70, 41] = 1e4
    assert (70, 41) in found(mean)
    assert (70, 40) in found(mean)


def test_pixels_that_are_known_to_be_broken_are_not_named_again() -> None:
    mean = mean_of(pattern(SQUARE), 1e5, 64)
    usable = EVERYWHERE.copy()
    usable[40:44, 40:44] = False
    usable[80] = False
    mean[40:44, 40:44] = 1e6
    mean[80] = 0.0
    assert not broken_pixels(mean, 64, usable).any()


def test_a_beam_stop_that_is_not_named_is_no_dead_line() -> None:
    mean = mean_of(pattern(SQUARE), 1e5, 64)
    mean[62:66, 60:] = 0.0
    assert not broken_pixels(mean, 64, EVERYWHERE)[:, :50].any()


def test_frames_of_a_scan_name_no_pixel() -> None:
    given = scan(SQUARE, electrons=3e3)
    assert found(given.frames.mean(axis=0), len(given.frames)) == []
