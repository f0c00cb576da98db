"""Dropped images by series: each told once, with its series."""

import pytest

from livestrain_daemon.intake.detectors.dectris.drops import HELD_SAMPLES, Drops
from livestrain_daemon.intake.detectors.events import Trouble


class Told:
    def __init__(self) -> None:
        self.troubles: list[Trouble] = []
        self.drops = Drops(self.troubles.append)

    def seen(self, state: str, count: int) -> None:
        while not self.drops.seen(self.drops.mark, state, count):
            pass

    def lost(self) -> list[tuple[str | None, int]]:
        return [(one.series, one.frames) for one in self.troubles]


def test_what_was_dropped_before_we_came_is_no_loss_and_the_next_series_counts_from_0() -> None:
    told = Told()
    told.seen("idle", 42)
    told.seen("idle", 42)
    told.drops.heard("2", 2)
    told.seen("acquire", 40)
    told.seen("acquire", 52)
    assert told.lost() == [("2", 40), ("2", 12)]


def test_a_series_that_began_before_we_came_is_ours_once_its_start_comes() -> None:
    told = Told()
    told.seen("acquire", 10)
    assert told.lost() == []
    told.drops.heard("1", 1)
    told.seen("acquire", 12)
    assert told.lost() == [("1", 10), ("1", 2)]


def test_a_start_that_comes_before_or_after_the_state_resets_once() -> None:
    for early in (True, False):
        told = Told()
        told.seen("idle", 7)
        if early:
            told.drops.heard("1", 1)
        told.seen("acquire", 5)
        if not early:
            told.drops.heard("1", 1)
        told.seen("acquire", 5)
        told.seen("acquire", 9)
        assert sum(frames for _, frames in told.lost()) == 9
        assert {series for series, _ in told.lost()} == {"1"}


def test_a_counter_that_falls_is_that_of_a_new_series() -> None:
    told = Told()
    told.drops.heard("1", 1)
    told.seen("acquire", 20)
    told.seen("acquire", 3)
    told.drops.heard("2", 2)
    assert told.lost() == [("1", 20), ("2", 3)]


def test_a_series_that_came_and_went_unseen_is_told_in_full_and_in_the_end_without_a_name() -> None:
    told = Told()
    told.seen("acquire", 42)
    told.seen("idle", 42)
    for _ in range(HELD_SAMPLES):
        assert told.lost() == []
        told.seen("idle", 52)
    assert told.lost() == [(None, 52)]


def test_a_series_that_comes_and_goes_while_the_count_is_read_is_told_once() -> None:
    told = Told()
    told.drops.heard("1", 1)
    told.seen("idle", 0)
    assert not told.drops.seen(told.drops.mark, "idle", 20)
    told.seen("idle", 52)
    told.drops.heard("2", 2)
    assert told.lost() == [("2", 52)]


def test_a_count_read_before_a_start_is_not_that_of_the_new_series() -> None:
    told = Told()
    told.drops.heard("1", 1)
    told.seen("acquire", 42)
    mark = told.drops.mark
    told.drops.heard("2", 2)
    assert not told.drops.seen(mark, "acquire", 42)
    told.seen("acquire", 1)
    assert told.lost() == [("1", 42), ("2", 1)]


@pytest.mark.parametrize("early", [False, True])
def test_a_start_names_the_series_begun_here_though_it_comes_before_the_detector_s_answer(early: bool) -> None:
    told = Told()
    for number in (1, 2):
        if early:
            told.drops.heard(f"{number}-x", number)
        told.drops.armed(number)
        if not early:
            told.drops.heard(f"{number}-x", number)
        told.seen("ready", 10 * number)
    assert told.lost() == [("1-x", 10), ("2-x", 20)]


def test_the_start_of_an_older_series_does_not_name_the_one_begun_here() -> None:
    told = Told()
    told.drops.armed(5)
    told.drops.heard("4-x", 4)
    told.seen("acquire", 6)
    assert told.lost() == []
    told.drops.heard("5-x", 5)
    told.drops.armed(6)
    told.seen("acquire", 6)
    told.drops.heard("6-x", 6)
    assert told.lost() == [("5-x", 6), ("6-x", 6)]


def test_series_with_no_sample_between_them_are_told_once_in_all_though_the_second_one_starts_late() -> None:
    for first, second in ((0, 10), (3, 5), (5, 3), (4, 0)):
        told = Told()
        told.drops.heard("1", 1)
        told.seen("acquire", first)
        # the counter has begun again, and the first images of the second series are on their way
        told.seen("acquire", second)
        told.drops.heard("2", 2, missing=first)
        told.seen("acquire", second)
        told.seen("acquire", second + 6)
        assert sum(frames for _, frames in told.lost()) == first + second + 6
        assert told.lost()[-1] == ("2", 6)
