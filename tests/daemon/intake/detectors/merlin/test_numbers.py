"""Frames keep their places, whatever happens to the numbers of others."""

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.intake.detectors.merlin.test_acquisition import KIND, Told, frame, header
from livestrain_daemon.intake.detectors.events import SeriesFrames
from livestrain_daemon.intake.detectors.merlin.numbers import MILLION, gone_on, unwrapped

PIXELS = np.zeros((1, 256), np.uint16)


def places(told: Told) -> list[int]:
    return [event.first + offset for event in told.heard.of(SeriesFrames) for offset in range(event.count)]


def numbered(number: int) -> bytes:
    return frame(number % MILLION - 1, PIXELS, KIND)


def sent(rng: np.random.Generator) -> NDArray[np.int64]:
    """True numbers: two turns, two outages, frames missing, twice and out of order."""
    parts = [range(1, 301), range(999_600, 1_000_200), range(1_500_000, 1_500_200), range(1_930_000, 1_930_100)]
    numbers = np.concatenate([np.array(part) for part in [*parts, range(2_000_040, 2_000_300)]])
    numbers = numbers[rng.random(len(numbers)) > 0.05]
    numbers = np.repeat(numbers, 1 + (rng.random(len(numbers)) < 0.05))
    # of two neighbours that change places, none may be the first behind an outage
    for at in range(3, len(numbers) - 3, 7):
        if numbers[at + 1] - numbers[at - 2] < 100:
            numbers[[at, at + 1]] = numbers[[at + 1, at]]
    return numbers


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_number_moves_no_other_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = sent(rng)
    outages = np.flatnonzero(np.abs(np.diff(numbers)) > 100)
    damaged = [at for at in range(5, len(numbers) - 5, 11) if np.abs(outages - at).min() > 5]
    told = Told()
    told.take([header(0)])
    for at, number in enumerate(numbers):
        found = int(rng.integers(MILLION)) if at in damaged else int(number)
        told.take([numbered(found)])
    expected = set(np.delete(numbers, damaged) - 1)
    found_places = places(told)
    wild = [place for place in found_places if place not in expected]
    assert expected <= set(found_places)
    # those that happen to lie near enough cannot be told from true ones
    assert len(wild) < 0.02 * len(damaged) + 3
    assert all(trouble.kind == "bad_message" for trouble in told.heard.troubles)
    lost = sum(trouble.frames for trouble in told.heard.troubles)
    assert lost + len(found_places) == len(numbers)


@pytest.mark.parametrize("seed", range(6))
def test_whole_numbers_are_unwrapped_as_they_were_sent(seed: int) -> None:
    numbers = sent(np.random.default_rng(seed))
    told = Told()
    told.take([header(0), *map(numbered, numbers)])
    assert sorted(places(told)) == sorted(numbers - 1)
    assert not told.heard.troubles


def test_one_wild_number_in_an_acquisition_of_a_million_frames_costs_its_own_frame_only() -> None:
    told = Told()
    told.take([header(1 << 20), *map(numbered, [1, 2, 3, 4, 700_004, 6, 7, 8])])
    assert places(told) == [0, 1, 2, 3, 5, 6, 7]
    (trouble,) = told.heard.troubles
    assert (trouble.kind, trouble.frames) == ("bad_message", 1)
    assert trouble.text == "expected frames near 4 in 20260415-144441, found 700004"


def test_frames_behind_many_lost_ones_are_all_taken() -> None:
    told = Told()
    told.take([header(1 << 20), *map(numbered, [1, 2, 700_004, 700_005, 700_006])])
    assert places(told) == [0, 1, 700_003, 700_004, 700_005]
    assert not told.heard.troubles


def test_a_jump_to_right_before_the_turn_is_followed_over_it() -> None:
    told = Told()
    told.take([header(0), *map(numbered, [1, 500_000, 500_001, 999_999, 1_000_000, 1_000_001])])
    assert places(told)[-3:] == [999_998, 999_999, 1_000_000]


def test_a_wild_number_at_the_end_is_told_with_the_end() -> None:
    told = Told()
    told.take([header(1 << 20), *map(numbered, [1, 2, 700_004])])
    heard = told.tick(11.0)
    assert places(told) == [0, 1]
    assert [trouble.frames for trouble in heard.troubles] == [1]
    assert heard.ends[0].aborted


def test_numbers_begin_again_only_near_their_end() -> None:
    assert unwrapped(8, 700_004) == 8
    assert unwrapped(8, 1_700_004) == 1_000_008
    assert unwrapped(8, 950_000) == 1_000_008


def test_a_jump_of_exactly_one_scan_waits_for_the_next_frame() -> None:
    told = Told()
    told.take([header(0), *map(numbered, [1, 2, 3, 4 + 64, 5, 6])])
    assert places(told) == [0, 1, 2, 4, 5]
    (trouble,) = told.heard.troubles
    assert (trouble.kind, trouble.frames, trouble.series) == ("bad_message", 1, "20260415-144441")


def test_frames_behind_a_lost_scan_are_all_taken() -> None:
    told = Told()
    told.take([header(0), *map(numbered, [1, 2, 3, 4 + 64, 5 + 64, 6 + 64])])
    assert places(told) == [0, 1, 2, 67, 68, 69]
    assert not told.heard.troubles


@pytest.mark.parametrize(
    ("number", "before", "reached"),
    [
        (6, 0, 0),
        (240_000, 1_234_567, 1_234_567),
        (50_000, 850_000, 1_000_000),
        (50_000, 1_850_000, 2_000_000),
        (1_234_567, 1_200_000, 1_200_000),
        (233_800, 1_234_567, 1_234_567),
    ],
)
def test_an_acquisition_that_goes_on_is_in_the_million_behind_the_last_frame(
    number: int, before: int, reached: int
) -> None:
    assert gone_on(number, before) == reached
