from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.patterns import HEXAGONAL, OBLIQUE, PROBE, SHAPE, SQUARE, Scan, draw_disk, indices, scan
from livestrain_core.detect import Found, detect
from livestrain_core.detect_options import DetectOptions
from livestrain_core.lattice import Lattice
from livestrain_core.probe import Probe
from livestrain_core.seek import find_lattices
from livestrain_core.target import Target, miller

AREA = float(draw_disk(SHAPE, np.array([64.0, 64.0]), PROBE).sum())


def places(found: Found, i: int = 0) -> NDArray[np.float64]:
    return found.position[i, : found.count[i]].astype(np.float64)


def poisson(image: NDArray[np.float64], seed: int = 0) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).poisson(image)[None].astype(np.uint16)


def recall_and_false(given: Scan, found: Found, within: float) -> tuple[float, float]:
    truth = given.centre[:, None] + given.hk @ given.g
    hit, false = 0, 0
    for i in range(len(truth)):
        distance = np.hypot(*(truth[i][:, None] - places(found, i)[None]).transpose(2, 0, 1))
        hit += int((distance.min(axis=1) < within).sum())
        false += int((distance.min(axis=0) > within).sum())
    return hit / truth[..., 0].size, false / len(truth)


@pytest.mark.parametrize("lattice", [SQUARE, HEXAGONAL, OBLIQUE], ids=["square", "hexagonal", "oblique"])
def test_every_disk_is_found_and_nothing_else(lattice: Lattice) -> None:
    given = scan(lattice, electrons=1e5, contrast=0.5, descan=3.0)
    recall, false = recall_and_false(given, detect(given.frames, None, PROBE), 0.8)
    assert recall >= 0.98
    assert false < 0.1


@pytest.mark.parametrize(("radius", "spacing"), [(2.5, 12.0), (9.0, 29.0), (17.0, 54.0)])
def test_disks_of_any_size_are_found_to_a_fraction_of_a_pixel(radius: float, spacing: float) -> None:
    probe = Probe(radius, 0.8)
    lattice = Lattice((62.7, 65.2), (spacing, 3.0), (-3.0, spacing))
    given = scan(lattice, 8, electrons=2e5, probe=probe)
    recall, false = recall_and_false(given, detect(given.frames, None, probe), 0.5)
    assert (recall, false) == (1.0, 0.0)


def test_intensities_are_the_electrons_in_each_disk_and_the_brightest_comes_first() -> None:
    image = np.full(SHAPE, 2.0)
    for place, height in (((40.0, 40.3), 20.0), ((64.2, 80.0), 100.0), ((90.0, 50.0), 40.0)):
        image += height * draw_disk(SHAPE, np.array(place), PROBE)
    found = detect(poisson(image), None, PROBE)
    np.testing.assert_allclose(places(found), [[64.2, 80.0], [90.0, 50.0], [40.0, 40.3]], atol=0.2)
    np.testing.assert_allclose(found.intensity[0, :3], np.array([100, 40, 20]) * AREA, rtol=0.05)
    assert np.isnan(found.position[0, 3:]).all()
    assert np.isnan(found.intensity[0, 3:]).all()


def test_the_score_of_a_disk_is_its_contrast_over_the_counting_noise() -> None:
    image = np.full(SHAPE, 3.0)
    image += 10.0 * draw_disk(SHAPE, np.array([60.0, 60.0]), PROBE)
    scores = [detect(poisson(image, seed), None, PROBE).score[0, 0] for seed in range(20)]
    ring = np.pi * (8.1**2 - 7.0**2)
    expected = 10.0 / np.sqrt(13.0 / AREA + 3.0 / ring)
    assert np.mean(scores) == pytest.approx(expected, rel=0.15)
    assert 0.5 < np.std(scores) < 1.6


@pytest.mark.parametrize("level", [0.02, 0.5, 30.0, 3000.0])
def test_nothing_is_found_on_bare_background(level: float) -> None:
    frames = np.random.default_rng(3).poisson(level, (40, *SHAPE)).astype(np.uint16)
    assert detect(frames, None, PROBE).count.sum() <= 2


@pytest.mark.parametrize("width", [4.0, 8.0, 20.0])
def test_a_halo_ring_is_no_row_of_disks(width: float) -> None:
    r, c = np.indices(SHAPE)
    ring = np.exp(-(((np.hypot(r - 63, c - 64) - 38.0) / width) ** 2))
    frames = np.random.default_rng(4).poisson(0.5 + 8.0 * ring, (20, *SHAPE)).astype(np.uint16)
    assert detect(frames, None, PROBE).count.mean() < 0.5


def test_hot_pixels_are_no_disks_and_hide_none() -> None:
    given = scan(SQUARE, 12)
    clean = detect(given.frames, None, PROBE)
    rng = np.random.default_rng(5)
    hot = given.frames.copy()
    hot[:, rng.integers(0, 128, 25), rng.integers(0, 128, 25)] = 60000
    recall, false = recall_and_false(given, detect(hot, None, PROBE), 0.8)
    assert recall >= recall_and_false(given, clean, 0.8)[0] - 0.01
    assert false < 0.1


def test_fringes_do_not_split_a_disk() -> None:
    r, c = np.indices(SHAPE)
    probe = Probe(14.0, 0.8)
    for phase in np.linspace(0, 2 * np.pi, 8, endpoint=False):
        image = draw_disk(SHAPE, np.array([60.0, 66.0]), probe)
        image *= 50.0 * (1.0 + 0.9 * np.cos(2 * np.pi * (r + 0.5 * c) / 17.0 + phase))
        found = detect(poisson(image + 0.5), None, probe)
        assert found.count[0] == 1
        np.testing.assert_allclose(places(found), [[60.0, 66.0]], atol=1.5)


def stopped() -> NDArray[np.bool_]:
    usable = np.ones(SHAPE, np.bool_)
    r, c = np.indices(SHAPE)
    usable[np.hypot(r - 63.3, c - 64.1) < 8.0] = False
    usable[61:67, 64:] = False
    return usable


def test_a_disk_behind_the_beam_stop_is_not_reported_and_its_rim_is_none() -> None:
    given = scan(SQUARE, 16, descan=1.0)
    usable = stopped()
    found = detect(np.where(usable, given.frames, 0), usable, PROBE)
    for i in range(16):
        away = np.hypot(*(places(found, i) - given.centre[i]).T)
        assert away.min() > 15.0
        assert found.count[i] >= 14


def test_the_same_disk_without_the_stop_is_reported() -> None:
    given = scan(SQUARE, 4, descan=1.0)
    found = detect(given.frames, None, PROBE)
    for i in range(4):
        assert np.hypot(*(places(found, i) - given.centre[i]).T).min() < 0.2


def test_what_lies_under_unusable_pixels_changes_no_bit() -> None:
    given, usable = scan(SQUARE, 4), stopped()
    usable[100:104] = False
    expected = detect(np.where(usable, given.frames, 0), usable, PROBE)
    for value in (65535, 7):
        found = detect(np.where(usable, given.frames, value).astype(np.uint16), usable, PROBE)
        np.testing.assert_array_equal(found.position, expected.position)


def test_pixels_that_are_not_finite_are_like_unusable_ones() -> None:
    given, usable = scan(SQUARE, 4), stopped()
    frames = given.frames.astype(np.float32)
    expected = detect(frames, usable, PROBE)
    for value in (np.nan, np.inf, -np.inf):
        found = detect(np.where(usable, frames, np.float32(value)), None, PROBE)
        np.testing.assert_array_equal(found.position, expected.position)
        np.testing.assert_array_equal(found.score, expected.score)


def test_a_disk_cut_by_a_gap_is_measured_by_what_is_visible() -> None:
    image = 1.0 + 60.0 * draw_disk(SHAPE, np.array([60.0, 60.0]), PROBE)
    usable = np.ones(SHAPE, np.bool_)
    usable[57:60] = False
    found = detect(poisson(image), usable, PROBE)
    np.testing.assert_allclose(places(found), [[60.0, 60.0]], atol=0.3)
    assert found.intensity[0, 0] == pytest.approx(60.0 * AREA, rel=0.1)


def image_of_two(distance: float) -> NDArray[np.uint16]:
    image = 0.5 + 40.0 * draw_disk(SHAPE, np.array([64.0, 50.0]), PROBE)
    return poisson(image + 20.0 * draw_disk(SHAPE, np.array([64.0, 50.0 + distance]), PROBE))


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        (DetectOptions(), [50, 72]),
        (DetectOptions(relative_intensity=0.6), [50]),
        (DetectOptions(spacing_px=25.0), [50]),
        (DetectOptions(edge_px=52.0), [72]),
        (DetectOptions(count=1), [50]),
        (DetectOptions(score=45.0), [50]),
    ],
)
def test_each_filter_drops_what_it_names(options: DetectOptions, columns: list[int]) -> None:
    found = detect(image_of_two(22.0), None, PROBE, options)
    assert np.rint(places(found)[:, 1]).tolist() == columns
    assert found.position.shape == (1, options.count, 2)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f4"])
def test_a_frame_gives_the_same_bits_alone_and_among_others_in_any_type(dtype: str) -> None:
    frames = np.minimum(scan(HEXAGONAL, 6, electrons=3e4).frames, 255)
    together = detect(frames.astype(dtype), None, PROBE)
    np.testing.assert_array_equal(together.position, detect(frames, None, PROBE).position)
    for i in (0, 3, 5):
        alone = detect(frames[i : i + 1].astype(dtype), None, PROBE)
        for name in ("position", "intensity", "score", "count"):
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[i])


def test_crowded_and_hidden_disks_of_a_frame_are_the_same_alone_and_in_any_order() -> None:
    crowded = [scan(lattice, 3, electrons=3e4).frames for lattice in (HEXAGONAL, SQUARE, OBLIQUE)]
    frames = np.concatenate([*crowded, crowded[0] + crowded[1], image_of_two(12.0).astype(np.uint16)])
    usable = stopped()
    together, order = detect(frames, usable, PROBE), np.random.default_rng(0).permutation(len(frames))
    mixed = detect(frames[order], usable, PROBE)
    for name in ("position", "intensity", "score", "count"):
        np.testing.assert_array_equal(getattr(mixed, name), getattr(together, name)[order])
        alone = [getattr(detect(frame[None], usable, PROBE), name)[0] for frame in frames]
        np.testing.assert_array_equal(np.stack(alone), getattr(together, name))


def test_normalised_frames_are_searched_like_counts() -> None:
    given = scan(SQUARE, 6)
    frames = (given.frames / given.frames.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    found = detect(frames, None, PROBE)
    assert recall_and_false(given, found, 0.8)[0] >= 0.98
    assert np.nansum(found.intensity[0]) == pytest.approx(0.9, abs=0.15)


def test_a_frame_of_odd_shape_is_searched_to_its_edges() -> None:
    image = np.full((97, 131), 1.0)
    for place in ((5.0, 6.0), (90.0, 124.0), (48.0, 65.0)):
        image += 50.0 * draw_disk((97, 131), np.array(place), PROBE)
    found = detect(poisson(image), None, PROBE)
    assert sorted(np.rint(places(found)).tolist()) == [[5, 6], [48, 65], [90, 124]]


BAD: dict[str, NDArray[Any]] = {
    "zero": np.zeros(SHAPE, np.uint16),
    "constant": np.full(SHAPE, 9, np.uint16),
    "saturated": np.full(SHAPE, 65535, np.uint16),
    "nan": np.full(SHAPE, np.nan, np.float32),
    "infinite": np.full(SHAPE, np.inf, np.float32),
    "negative": np.full(SHAPE, -5.0, np.float32),
}


def overflowing(kind: str) -> NDArray[np.float32]:
    """Finite numbers whose sums are not: huge ones, or floats read in the wrong byte order."""
    frames = scan(SQUARE, 4).frames.astype(np.float32)
    if kind == "huge":
        return np.asarray(frames * 1e34 * np.random.default_rng(0).choice([-1, 1], frames.shape), np.float32)
    swapped = frames.byteswap()
    return np.where(np.isfinite(swapped), swapped, np.float32(3e38))


@pytest.mark.parametrize("kind", ["huge", "swapped"])
@pytest.mark.parametrize("cut", [False, True])
def test_numbers_beyond_counting_end_nothing(kind: str, cut: bool) -> None:
    frames, usable = overflowing(kind), stopped() if cut else None
    found = detect(frames, usable, PROBE)
    assert (found.count <= 64).all()
    sought = find_lattices(frames, usable, Target(SQUARE, miller(indices(3, 48.0, SQUARE)), PROBE, 5.0))
    assert sought.fit.g1.shape == (4, 2)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_frame_has_no_disks(kind: str) -> None:
    found = detect(BAD[kind][None], None, PROBE)
    assert found.count.tolist() == [0]
    assert np.isnan(found.position).all()


def test_with_every_pixel_unusable_there_are_no_disks() -> None:
    assert detect(scan(SQUARE, 2).frames, np.zeros(SHAPE, np.bool_), PROBE).count.tolist() == [0, 0]
