from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.patterns import HEXAGONAL, OBLIQUE, PROBE, SHAPE, SQUARE, Scan, draw_disk, scan
from livestrain_core import coarse
from livestrain_core.contrast import USUAL
from livestrain_core.disks import track
from livestrain_core.lattice import Lattice, LatticeFit, fit_lattice
from livestrain_core.layout import task_for, work_for
from livestrain_core.probe import Probe
from livestrain_core.probe_disk import disk
from livestrain_core.reason import Reason
from livestrain_core.target import Target, miller
from livestrain_core.templates import CLASSES, disk_model, estimator, filters, pixel_variance
from livestrain_core.types import Disks

SEARCH_PX = 5.0


def follow(given: Scan, frames: NDArray[Any] | None = None, usable: NDArray[np.bool_] | None = None) -> Disks:
    values = given.frames if frames is None else frames
    return track(values, usable, Target(given.lattice, miller(given.hk), PROBE, SEARCH_PX))


def vectors(fit: LatticeFit) -> NDArray[np.float64]:
    return np.stack([fit.g1, fit.g2], axis=1)


@pytest.fixture(scope="module")
def square() -> Scan:
    return scan(SQUARE)


@pytest.mark.parametrize("lattice", [SQUARE, HEXAGONAL, OBLIQUE], ids=["square", "hexagonal", "oblique"])
def test_disks_and_lattice_are_found_below_a_tenth_of_a_pixel(lattice: Lattice) -> None:
    given = scan(lattice)
    found = follow(given)
    truth = given.centre[:, None] + given.hk @ given.g
    assert np.isfinite(found.position).mean() > 0.98
    assert np.sqrt(np.nanmean((found.position - truth) ** 2)) < 0.1
    fit = fit_lattice(found, given.hk)
    assert (fit.reason == Reason.FITTED).all()
    assert np.sqrt(np.mean((vectors(fit) - given.g) ** 2)) < 0.03
    np.testing.assert_allclose(fit.centre, given.centre, atol=0.1)


def test_errors_are_about_the_standard_errors_promised(square: Scan) -> None:
    found = follow(square)
    truth = square.centre[:, None] + square.hk @ square.g
    pull = (found.position - truth) * found.score[..., None]
    assert 0.5 < np.sqrt(np.nanmean(pull**2)) < 1.6


def test_intensities_are_the_electrons_in_each_disk() -> None:
    image = np.full(SHAPE, 2.0)
    places = np.array(SQUARE.centre) + np.array([[0, 0], [1, 0], [0, 1]]) @ np.array([SQUARE.g1, SQUARE.g2])
    for place, height in zip(places, (100.0, 20.0, 40.0), strict=True):
        image += height * draw_disk(SHAPE, place, PROBE)
    frames = np.random.default_rng(0).poisson(image, (4, *SHAPE)).astype(np.uint16)
    found = track(frames, None, Target(SQUARE, ((0, 0), (1, 0), (0, 1)), PROBE, SEARCH_PX))
    area = draw_disk(SHAPE, places[0], PROBE).sum()
    np.testing.assert_allclose(found.intensity.mean(axis=0), np.array([100, 20, 40]) * area, rtol=0.03)


@pytest.mark.parametrize("shift", [(4, -4), (-5, 3), (0, 5)])
def test_a_frame_shifted_by_several_pixels_is_found_from_itself(square: Scan, shift: tuple[int, int]) -> None:
    still = fit_lattice(follow(scan(SQUARE, descan=0.0)), square.hk)
    moved = fit_lattice(follow(square, np.roll(scan(SQUARE, descan=0.0).frames, shift, (1, 2))), square.hk)
    np.testing.assert_allclose(moved.centre - still.centre, np.broadcast_to(shift, (24, 2)), atol=0.05)
    np.testing.assert_allclose(vectors(moved), vectors(still), atol=0.05)


@pytest.mark.parametrize("dtype", ["u2", "u4", "f4"])
def test_a_frame_gives_the_same_bits_alone_and_among_others(square: Scan, dtype: str) -> None:
    frames = square.frames.astype(dtype)
    together = follow(square, frames)
    for i in (0, 7, 23):
        alone = follow(square, frames[i : i + 1])
        for name in ("position", "intensity", "score"):
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[i])
    backwards = follow(square, frames[::-1])
    np.testing.assert_array_equal(backwards.position[::-1], together.position)


def test_the_type_of_the_frames_does_not_matter(square: Scan) -> None:
    expected = follow(square).position
    np.testing.assert_array_equal(follow(square, square.frames.astype(np.uint32)).position, expected)
    np.testing.assert_array_equal(follow(square, square.frames.astype(np.float32)).position, expected)


def test_normalised_frames_are_tracked_like_counts(square: Scan) -> None:
    frames = (square.frames / square.frames.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    fit = fit_lattice(follow(square, frames), square.hk)
    assert np.sqrt(np.mean((vectors(fit) - square.g) ** 2)) < 0.03


BAD = {
    "zero": np.zeros(SHAPE, np.float32),
    "constant": np.full(SHAPE, 9.0, np.float32),
    "saturated": np.full(SHAPE, 65535.0, np.float32),
    "nan": np.full(SHAPE, np.nan, np.float32),
    "infinite": np.full(SHAPE, np.inf, np.float32),
    "noise": np.random.default_rng(0).poisson(4.0, SHAPE).astype(np.float32),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_frame_has_no_lattice_and_hurts_no_other(square: Scan, kind: str) -> None:
    frames = square.frames[:3].astype(np.float32)
    clean = follow(square, frames)
    frames[1] = BAD[kind]
    found = follow(square, frames)
    fit = fit_lattice(found, square.hk)
    assert fit.reason[1] == Reason.NO_SIGNAL
    assert np.isnan(vectors(fit)[1]).all()
    np.testing.assert_array_equal(found.position[[0, 2]], clean.position[[0, 2]])


def test_one_disk_and_two_disks_in_line_have_no_lattice_but_their_places(square: Scan) -> None:
    frames = np.zeros((2, *SHAPE), np.uint16)
    centre, g1 = np.array(SQUARE.centre), np.array(SQUARE.g1)
    frames[0] = np.random.default_rng(0).poisson(100 * draw_disk(SHAPE, centre, PROBE))
    frames[1] = frames[0] + np.random.default_rng(1).poisson(100 * draw_disk(SHAPE, centre + g1, PROBE))
    found = follow(square, frames)
    fit = fit_lattice(found, square.hk)
    assert fit.reason.tolist() == [Reason.TOO_FEW_DISKS] * 2
    direct = int(np.flatnonzero((square.hk == 0).all(axis=1))[0])
    np.testing.assert_allclose(found.position[:, direct], np.broadcast_to(centre, (2, 2)), atol=0.05)


def test_disks_behind_a_beam_stop_are_not_found_and_the_lattice_is(square: Scan) -> None:
    usable = np.ones(SHAPE, np.bool_)
    usable[52:76, 52:76] = False
    usable[60:66, 76:] = False
    found = follow(square, np.where(usable, square.frames, 0), usable)
    direct = int(np.flatnonzero((square.hk == 0).all(axis=1))[0])
    assert np.isnan(found.position[:, direct]).all()
    fit = fit_lattice(found, square.hk)
    assert (fit.reason == Reason.FITTED).all()
    assert np.sqrt(np.mean((vectors(fit) - square.g) ** 2)) < 0.04


def test_what_unusable_pixels_count_does_not_matter(square: Scan) -> None:
    usable = np.random.default_rng(0).random(SHAPE) > 0.01
    hot = np.where(usable, square.frames, np.uint16(65535))
    dead = np.where(usable, square.frames, np.uint16(0))
    np.testing.assert_array_equal(follow(square, hot, usable).position, follow(square, dead, usable).position)
    fit = fit_lattice(follow(square, hot, usable), square.hk)
    assert np.sqrt(np.mean((vectors(fit) - square.g) ** 2)) < 0.03


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_not_finite_is_like_an_unusable_one_in_its_frame_alone(square: Scan, value: float) -> None:
    frames = square.frames[:3].astype(np.float32)
    usable = np.random.default_rng(0).random(SHAPE) > 0.01
    clean, without = follow(square, frames), follow(square, frames, usable)
    frames[1] = np.where(usable, frames[1], value)
    found = follow(square, frames)
    np.testing.assert_array_equal(found.position[1], without.position[1])
    np.testing.assert_array_equal(found.position[[0, 2]], clean.position[[0, 2]])


def test_saturated_pixels_are_not_looked_at(square: Scan) -> None:
    level = int(square.frames[:, 70:].max()) + 1
    assert (square.frames[0] >= level).sum() > 20
    direct = int(np.flatnonzero((square.hk == 0).all(axis=1))[0])
    # the sum of the direct beam is lost, as behind a beam stop; the lattice is not
    capped = np.minimum(square.frames, level).astype(np.uint16)
    found = track(capped, None, Target(SQUARE, miller(square.hk), PROBE, SEARCH_PX, saturation=level))
    assert np.isnan(found.position[:, direct]).all()
    fit = fit_lattice(found, square.hk)
    assert (fit.reason == Reason.FITTED).all()
    assert np.sqrt(np.mean((vectors(fit) - square.g) ** 2)) < 0.04
    unreached = track(square.frames, None, Target(SQUARE, miller(square.hk), PROBE, SEARCH_PX, saturation=65535))
    np.testing.assert_array_equal(unreached.position, follow(square).position)


@pytest.mark.parametrize("scale", [1e-5, 0.37, 300.0])
def test_positions_do_not_depend_on_the_scale_of_the_counts_where_it_is_known(square: Scan, scale: float) -> None:
    expected = follow(square)
    scaled = (square.frames * scale).astype(np.float32)
    found = track(
        scaled,
        None,
        Target(SQUARE, miller(square.hk), PROBE, SEARCH_PX, contrast=replace(USUAL, electrons_per_count=1 / scale)),
    )
    np.testing.assert_allclose(found.position, expected.position, atol=1e-4)
    np.testing.assert_allclose(found.intensity, expected.intensity * scale, rtol=1e-4, atol=0.1 * scale)


def test_one_round_of_filters_is_nearly_as_good_as_two(square: Scan) -> None:
    fits = [
        fit_lattice(
            track(square.frames, None, Target(SQUARE, miller(square.hk), PROBE, SEARCH_PX, estimator=n)), square.hk
        )
        for n in ("fast", "precise")
    ]
    one, two = (np.sqrt(np.mean((vectors(fit) - square.g) ** 2)) for fit in fits)
    assert one < 1.3 * two


@pytest.mark.parametrize("amplitude", [0.05, 0.3])
@pytest.mark.parametrize("at", [(0, 2), (2, 1), (3, 2)])
def test_filters_mirrored_from_another_shift_are_those_made_for_a_shift(amplitude: float, at: tuple[int, int]) -> None:
    contrast = replace(USUAL, amplitude=(amplitude,) * len(USUAL.amplitude))
    mirrored = filters(PROBE, contrast)
    shift = ((at[0] + 0.5) / 4 - 0.5, (at[1] + 0.5) / 4 - 0.5)
    free, modes = disk_model(PROBE, contrast, mirrored.half, shift)
    for kind, electrons in enumerate(CLASSES):
        made = estimator(free, modes, pixel_variance(free[2], electrons, contrast))[:3]
        found = mirrored.bank[kind, at[0], at[1]]
        np.testing.assert_allclose(found[:3], made, atol=1e-4 * np.abs(made).max())
        np.testing.assert_allclose(found[3], free[2], rtol=1e-5)


@pytest.mark.parametrize("shape", [(128, 131), (127, 130), (121, 128)])
def test_frames_whose_sides_are_no_multiple_of_a_bin_are_tracked(square: Scan, shape: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).poisson(0.2, (4, *shape)).astype(np.uint16)
    rows, columns = (min(a, b) for a, b in zip(shape, SHAPE, strict=True))
    frames[:, :rows, :columns] = square.frames[:4, :rows, :columns]
    fit = fit_lattice(follow(square, frames), square.hk)
    assert np.sqrt(np.mean((vectors(fit) - square.g[:4]) ** 2)) < 0.04


def test_disks_that_leave_the_frame_are_not_found(square: Scan) -> None:
    far = np.array([[0, 0], [2, 0], [-3, 0], [9, 9], [0, 1]])
    found = track(square.frames, None, Target(SQUARE, miller(far), PROBE, SEARCH_PX))
    assert np.isnan(found.position[:, [2, 3]]).all()
    assert np.isfinite(found.position[:, [0, 1, 4]]).all()


def test_disk_sums_are_those_of_a_mask() -> None:
    patch = np.random.default_rng(0).integers(0, 100, (21, 32)).astype(np.float32)
    prefix = np.concatenate([np.zeros((1, 32), np.float32), patch.cumsum(axis=0, dtype=np.float32)])
    columns = np.arange(-3, 4)
    half = np.floor(np.sqrt(3.3**2 - columns**2)).astype(np.int64)
    chords = np.stack([-half * 32 + columns, (half + 1) * 32 + columns], axis=1)
    sums = np.empty((2, 16), np.float32)
    coarse.disk_sums(prefix.reshape(-1), 10 * 32 + 5, np.concatenate([chords, [[0, 0]]]), sums, 1)
    r, c = np.indices(patch.shape)
    for k in range(16):
        assert sums[1, k] == patch[(r - 10) ** 2 + (c - 5 - k) ** 2 <= 3.3**2].sum()


@pytest.mark.parametrize("step", [1, 2, 4, 8])
def test_binned_column_sums_are_those_of_numpy(square: Scan, step: int) -> None:
    task = task_for(SHAPE, None, Target(SQUARE, miller(square.hk), PROBE, SEARCH_PX))
    work, margin = work_for(task), task.pixels.margin
    work.image[margin : margin + SHAPE[0], margin : margin + SHAPE[1]] = square.frames[0]
    rows, columns = (side // step for side in work.image.shape)
    inside = (margin // step, (margin + SHAPE[0]) // step)
    search = task.search._replace(step=step, box=(1, rows - 1, 2, columns - 1), inside=inside)
    prefix = np.zeros((rows + 1, columns), np.float32)
    coarse.column_prefix(work.image, search, prefix, work.room.line)
    binned = work.image.reshape(rows, step, columns, step).sum(axis=(1, 3))
    np.testing.assert_array_equal(prefix[2:-1, 2:-1], binned[1:-1, 2:-1].cumsum(axis=0))


@pytest.mark.parametrize("at", [(0, 1), (0, 2), (3, 1), (2, 3)])
def test_filters_answer_one_to_what_they_measure_and_nothing_to_the_background(at: tuple[int, int]) -> None:
    probe = Probe(5.0, 0.8)
    table = filters(probe)
    axis = np.arange(-table.half, table.half + 1.0)
    shift = ((at[0] + 0.5) / 4 - 0.5, (at[1] + 0.5) / 4 - 0.5)
    dr, dc = np.meshgrid(axis - shift[0], axis - shift[1], indexing="ij")
    moved = disk(probe, dr - 0.01, dc + 0.02)
    for weights in table.bank[:, at[0], at[1]]:
        for plane in (np.ones_like(dr), dr, dc):
            np.testing.assert_allclose(weights[:3] @ plane.ravel(), 0.0, atol=5e-3)
        assert weights[2] @ moved.ravel() == pytest.approx(moved.sum(), rel=1e-3)
        np.testing.assert_allclose(weights[:2] @ moved.ravel() / moved.sum(), [0.01, -0.02], atol=5e-4)
