"""Which series is in progress, whatever order the messages of a detector come in."""

from dataclasses import replace

import pytest

from helpers.dectris_series import FRAMES, end, header, image, packed, short, told, tracker
from livestrain_daemon.intake.detectors.dectris.pixels import Packed
from livestrain_daemon.intake.detectors.dectris.series import EARLY_SECONDS
from livestrain_daemon.intake.detectors.dectris.told import Image, Images, Told
from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesFrames, SeriesStart, Trouble


def run(first: int, count: int, number: int = 1, shape: tuple[int, int] = (2, 3)) -> Images:
    begun = image(first, number, {"a": packed(first, shape)})
    return Images(begun, tuple(packed(first + at, shape).payload for at in range(1, count)), 12 * count)


def apart(events: list[DetectorEvent]) -> list[DetectorEvent]:
    """The same, with every frame for itself."""
    found: list[DetectorEvent] = []
    for event in events:
        if isinstance(event, SeriesFrames) and event.parts:
            size = event.size // event.count
            each = [replace(event, count=1, payload=part, parts=(), size=size) for part in event.parts]
            found += [replace(one, first=event.first + at) for at, one in enumerate(each)]
        else:
            found.append(event)
    return found


@pytest.mark.parametrize(
    "messages",
    [
        (header(), run(0, 8), run(8, 12), end()),
        (header(), run(0, 5), run(3, 4), image(12), run(14, 3), end()),
        (run(0, 4), header(), run(4, 4), end()),
        (run(0, 4), run(4, 4), end(), run(8, 2)),
        (header(1), run(0, 4), header(2), run(4, 4, 1), run(0, 3, 2), end(2)),
        (header(), run(0, 4, shape=(3, 2)), run(4, 4), end()),
        (header(dtype="uint8"), run(0, 4), end()),
        (header(), *(image(at) for at in range(0, 18, 2)), run(18, 2), end()),
        (header(channels=("a", "b")), run(0, 3), end()),
        (run(0, 1), header(), run(1, 1)),
    ],
)
@pytest.mark.parametrize("channel", ["", "sum", "b"])
def test_images_told_together_are_what_they_are_one_by_one(messages: tuple[Told, ...], channel: str) -> None:
    together, single = tracker(channel), tracker(channel)
    one_by_one = [one for told in messages for one in (told.one_by_one() if isinstance(told, Images) else (told,))]
    found, expected = told(together, *messages), told(single, *one_by_one)
    assert apart(found) == expected
    assert apart(together.tick(EARLY_SECONDS)) == single.tick(EARLY_SECONDS)
    assert together.finished == single.finished


def test_images_told_together_are_one_run_of_frames() -> None:
    assert [event.count for event in told(tracker(), header(), run(0, 8)) if isinstance(event, SeriesFrames)] == [8]


def test_a_second_receiver_is_noticed_between_runs() -> None:
    follower = tracker()
    told(follower, header(frames=100), run(0, 5))
    assert ("lost", 0) not in short(told(follower, run(5, 5), image(12)))
    assert ("lost", 0) in short(told(follower, *(image(at) for at in range(14, 40, 2))))


def test_a_whole_series_begins_comes_and_ends() -> None:
    events = told(tracker(), header(frames=3), image(0), image(1), image(2), end())
    assert short(events) == ["start 1-x", 0, 1, 2, "end 1-x"]


def test_a_series_that_ends_early_is_aborted() -> None:
    assert short(told(tracker(), header(), image(0), end())) == ["start 1-x", 0, "aborted 1-x"]


def test_an_end_that_comes_twice_is_one() -> None:
    assert short(told(tracker(), header(frames=1), image(0), end(), end())) == ["start 1-x", 0, "end 1-x"]


def test_a_start_that_comes_twice_is_one() -> None:
    follower = tracker()
    assert short(told(follower, header(frames=1), header(frames=1), image(0), end())) == ["start 1-x", 0, "end 1-x"]
    assert short(told(follower, header(frames=1))) == [("unknown_scan", 0)]


def test_a_detector_that_was_switched_on_again_counts_from_the_beginning() -> None:
    begun = header(unique=False)
    events = told(tracker(), begun, image(0), begun, image(0), image(1))
    assert short(events) == ["start 1-x", 0, "aborted 1-x", "start 1-x", 0, 1]


def test_a_start_that_comes_after_its_images_were_taken_without_it_changes_nothing() -> None:
    follower = tracker()
    told(follower, image(0), image(1))
    follower.tick(EARLY_SECONDS)
    assert short(told(follower, header(unique=False), image(2))) == [2]


def test_a_new_start_ends_the_series_before_and_its_late_images_are_strays() -> None:
    events = told(tracker(), header(), image(0), header(2), image(1), image(0, 2), end(), image(1, 2))
    assert short(events) == ["start 1-x", 0, "aborted 1-x", "start 2-x", ("unknown_scan", 1), 0, 1]


@pytest.mark.parametrize(("images", "word"), [(3, "end"), (2, "aborted")])
def test_a_series_whose_end_is_lost_is_aborted_only_if_its_last_image_has_not_come(images: int, word: str) -> None:
    events = told(tracker(), header(frames=3), *map(image, range(images)), header(2))
    assert short(events)[-2:] == [f"{word} 1-x", "start 2-x"]


def test_images_wait_for_a_late_header() -> None:
    follower = tracker()
    assert told(follower, image(0), image(1)) == []
    assert short(told(follower, header(), image(2))) == ["start 1-x", 0, 1, 2]


def test_images_whose_header_never_comes_make_a_series_and_it_is_said() -> None:
    follower = tracker(frames=7)
    assert told(follower, image(4), image(5)) == []
    assert follower.tick(EARLY_SECONDS / 2) == []
    events = follower.tick(EARLY_SECONDS)
    assert short(events) == [("bad_message", 0), "start 1-x", 4, 5]
    assert isinstance(events[1], SeriesStart)
    assert (events[1].frames, events[1].frame_shape, events[1].dtype) == (7, (2, 3), "uint16")
    assert short(told(follower, image(6), end())) == [6, "end 1-x"]


def test_an_end_shows_that_the_images_before_it_are_a_series() -> None:
    assert short(told(tracker(), image(0), end())) == [("bad_message", 0), "start 1-x", 0, "end 1-x"]


def test_one_image_of_an_unknown_series_does_not_disturb_the_one_in_progress() -> None:
    follower = tracker()
    events = told(follower, header(), image(0), image(5, 9), image(1))
    events += follower.tick(EARLY_SECONDS)
    assert short(events) == ["start 1-x", 0, 1, ("unknown_scan", 1)]
    assert short(told(follower, image(2))) == [2]


def test_many_images_of_an_unknown_series_do_not_disturb_one_that_goes_on() -> None:
    follower = tracker()
    events = told(follower, header(), image(0), image(5, 9), image(6, 9))
    events += told(follower, image(1), now=0.5) + follower.tick(EARLY_SECONDS)
    assert short(events) == ["start 1-x", 0, 1, ("unknown_scan", 2)]


def test_an_end_of_an_unknown_series_is_said() -> None:
    assert short(told(tracker(), header(), end(9))) == ["start 1-x", ("unknown_scan", 0)]


def test_waiting_images_are_bounded() -> None:
    large = {"a": packed(shape=(1, 1))}
    follower = tracker()
    events: list[DetectorEvent] = []
    for first in range(5):
        events += follower.take(Image("1-x", 1, first, large, 10 << 20), 0.0)
    assert short(events) == [("bad_message", 0), "start 1-x", 0, 1, 2, 3, 4]


def test_a_wrong_image_costs_itself_only() -> None:
    wrong = {"a": packed(shape=(3, 2))}
    cut = {"a": Packed((2, 3), "uint16", "raw", memoryview(bytes(11)))}
    events = told(tracker(), header(), image(0), image(1, channels=wrong), image(2, channels=cut), image(3))
    assert short(events) == ["start 1-x", 0, ("bad_message", 1), ("wrong_size", 1), 3]


def test_the_first_image_decides_only_if_it_can_be_unpacked() -> None:
    bare = header(frame_shape=None, dtype=None)
    cut = {"a": Packed((9, 9), "uint16", "lz4", memoryview(b"\xff" * 9))}
    events = told(tracker(), bare, image(0, channels=cut), image(1))
    assert short(events) == [("bad_encoding", 1), "start 1-x", 1]


def test_a_start_without_a_type_takes_that_of_the_first_image_of_its_shape() -> None:
    wrong = {"a": packed(shape=(3, 2))}
    events = told(tracker(), header(dtype=None), image(0, channels=wrong), image(1))
    assert short(events) == [("bad_message", 1), "start 1-x", 1]
    assert isinstance(events[1], SeriesStart)
    assert (events[1].frame_shape, events[1].dtype) == ((2, 3), "uint16")


def test_a_series_that_ends_without_an_image_is_said() -> None:
    assert short(told(tracker(), header(frame_shape=None, dtype=None), end())) == [("lost", 0)]


@pytest.mark.parametrize(("step", "said"), [(1, 0), (2, 1), (3, 1)])
def test_images_in_steps_tell_of_another_client_once(step: int, said: int) -> None:
    events = told(tracker(), header(frames=100), *(image(first) for first in range(0, 60, step)))
    troubles = [event for event in events if isinstance(event, Trouble)]
    assert len(troubles) == said
    assert all(f"every {step}" in trouble.text and "another program" in trouble.text for trouble in troubles)


def test_single_lost_images_are_not_taken_for_another_client() -> None:
    numbers = [first for first in range(60) if first % 7 != 3]
    assert short(told(tracker(), header(frames=60), *(image(first) for first in numbers)))[1:] == numbers


@pytest.mark.parametrize("number", [FRAMES, 10**6], ids=["one too many", "a wild number"])
def test_an_image_beyond_the_last_is_none_of_the_series(number: int) -> None:
    follower = tracker()
    begun = told(follower, header(), *map(image, range(FRAMES // 2)))
    assert short(told(follower, image(number))) == [("wrong_index", 1)]
    assert follower.finished is None
    assert short(told(follower, end())) == ["aborted 1-x"]
    assert len(begun) == 1 + FRAMES // 2


def test_images_behind_one_that_is_beyond_the_last_still_finish_the_series() -> None:
    follower = tracker()
    told(follower, header(), *map(image, range(FRAMES // 2)), image(10**6))
    told(follower, *map(image, range(FRAMES // 2, FRAMES)))
    assert follower.finished == 1
    assert short(told(follower, end())) == ["end 1-x"]


def test_a_run_of_images_that_goes_beyond_the_last_is_cut_there() -> None:
    follower = tracker()
    events = short(told(follower, header(), run(FRAMES - 2, 4)))
    assert events == ["start 1-x", FRAMES - 2, FRAMES - 1, ("wrong_index", 1), ("wrong_index", 1)]
    assert short(told(tracker(), header(), run(FRAMES - 2, 2))) == ["start 1-x", FRAMES - 2]
