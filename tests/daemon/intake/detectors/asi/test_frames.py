"""Series of the images that Serval sends."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.asi import LARGEST, Told, fed, sparse
from helpers.merlin import Heard
from livestrain_daemon.intake.detectors.asi.frames import FrameReading
from livestrain_daemon.intake.detectors.asi.measurement import Measurement
from livestrain_daemon.intake.detectors.events import SeriesEnd, SeriesFrames, SeriesStart, Trouble
from livestrain_daemon.intake.detectors.patience import Patience
from livestrain_simulator.emulators.asi.forms import Form, Kind, image

FRAMES = sparse(12)
PATIENCE = Patience(silence_seconds=10, settle_seconds=1)
RUNNING = Measurement("100", 12, recording=True)
OVER = Measurement("100", 12, recording=False)
NEXT = Measurement("200", 12, recording=True)
IMAGES: tuple[Form, ...] = ("pgm", "jsonimage")


def reading(*measurements: Measurement, frames: int | None = None, before: str | None = None) -> FrameReading:
    return FrameReading(Told(*measurements), PATIENCE, frames, lambda: "now", LARGEST, before)


def sent(form: Form, *numbers: int, measurement: str = "100") -> bytes:
    kind = Kind.of(form, FRAMES[0])
    return b"".join(image(kind, number, FRAMES[number], measurement, ()) for number in numbers)


def places(heard: Heard, series: str) -> dict[int, int]:
    """Which frame is in which place."""
    known = {frame.tobytes(): number for number, frame in enumerate(FRAMES)}
    return {place: known[frame.tobytes()] for place, frame in heard.frames(series).items()}


def kinds(heard: Heard) -> list[tuple[str, int]]:
    return [(trouble.kind, trouble.frames) for trouble in heard.troubles]


@pytest.mark.parametrize("at_once", [100, 1 << 20])
@pytest.mark.parametrize("form", IMAGES)
def test_a_series_begins_with_its_first_image_and_ends_with_its_last(form: Form, at_once: int) -> None:
    told = reading(RUNNING)
    heard = fed(told, sent(form, *range(12)), at_once=at_once, quiet=True)
    heard.events += told.events(1.5, quiet=True)
    start, *frames, end = heard.events
    assert isinstance(start, SeriesStart)
    assert (start.series, start.frame_shape, start.dtype, start.frames) == ("now", (24, 32), "uint16", 12)
    assert start.metadata["started"] == "100"
    assert places(heard, "now") == {number: number for number in range(12)}
    assert end == SeriesEnd("now")
    if at_once > 1000:
        assert len(frames) <= 2


@pytest.mark.parametrize("form", IMAGES)
def test_measurements_one_after_the_other_are_series_of_their_own(form: Form) -> None:
    told = reading(RUNNING, Measurement("200", 12, recording=True))
    heard = fed(told, sent(form, *range(12)) + sent(form, *range(12), measurement="200"), quiet=True)
    heard.events += told.events(1.5, quiet=True)
    assert heard.ends == [SeriesEnd("now"), SeriesEnd("now-2")]
    assert places(heard, "now-2") == {number: number for number in range(12)}


def test_without_serval_the_configuration_says_how_many_images_a_series_has() -> None:
    heard = fed(reading(frames=6), sent("pgm", *range(12)), quiet=True)
    assert heard.ends == [SeriesEnd("now"), SeriesEnd("now-2")]
    assert places(heard, "now-2") == {number: number + 6 for number in range(6)}


def test_a_series_of_unknown_length_ends_by_silence() -> None:
    told = reading()
    heard = fed(told, sent("pgm", *range(5)), now=100.0, quiet=True)
    assert heard.starts[0].frames is None
    assert not [*told.events(109.0, quiet=True)]
    assert [*told.events(110.5, quiet=True)] == [SeriesEnd("now")]


def test_a_series_of_unknown_length_ends_with_its_connection() -> None:
    told = reading()
    heard = fed(told, sent("pgm", *range(5)))
    heard.events += told.closed(0.0)
    assert places(heard, "now") == {number: number for number in range(5)}
    assert heard.ends == [SeriesEnd("now")]
    assert not heard.troubles


def test_a_series_that_is_short_ends_when_serval_says_so_and_the_count_is_told() -> None:
    told = reading(RUNNING, RUNNING, Measurement("100", 12, recording=False))
    heard = fed(told, sent("pgm", *range(9)), now=100.0, quiet=True)
    assert not [*told.events(100.5, quiet=True)], "too early to ask"
    assert not [*told.events(101.5, quiet=True)], "it goes on"
    assert not [*told.events(103.0, quiet=True)], "more may be on its way"
    heard.events += told.events(104.5, quiet=True)
    assert heard.ends == [SeriesEnd("now", aborted=True)]
    assert kinds(heard) == [("wrong_count", 0)]
    assert "expected 12 images, found 9; they have no numbers" in heard.troubles[0].text


def test_frames_that_the_detector_dropped_are_told() -> None:
    told = reading(RUNNING, Measurement("100", 12, recording=False, dropped=3))
    heard = fed(told, sent("jsonimage", *range(9)), now=100.0, quiet=True)
    heard.events += [*told.events(103.0, quiet=True), *told.events(104.5, quiet=True)]
    assert kinds(heard) == [("lost", 3)]


def test_a_series_goes_on_while_bytes_of_an_image_arrive() -> None:
    told, image_bytes = reading(OVER), sent("pgm", 2)
    heard = fed(told, sent("pgm", 0, 1) + image_bytes[:100])
    heard.events += fed(told, image_bytes[100:700], now=2.5).events
    heard.events += fed(told, image_bytes[700:], now=20.0).events
    heard.events += fed(told, sent("pgm", *range(3, 12)), now=20.5, quiet=True).events
    assert not heard.ends
    assert places(heard, "now") == {number: number for number in range(12)}


def test_images_that_came_while_serval_said_that_it_is_idle_are_of_the_same_series() -> None:
    told = reading(RUNNING, OVER)
    heard = fed(told, sent("pgm", *range(5)), now=100.0, quiet=True)
    heard.events += told.events(101.5, quiet=True)
    heard.events += fed(told, sent("pgm", *range(5, 10)), now=103.0).events
    heard.events += told.events(103.5, quiet=True)
    assert not heard.ends
    heard.events += [*told.events(105.0, quiet=True), *told.events(106.5, quiet=True)]
    assert heard.ends == [SeriesEnd("now", aborted=True)]
    assert places(heard, "now") == {number: number for number in range(10)}


@pytest.mark.parametrize("answer", ["the same", "nothing"])
def test_images_that_come_after_the_end_of_a_short_series_are_counted_and_not_placed(answer: str) -> None:
    told = reading(RUNNING, OVER, OVER, OVER if answer == "the same" else Measurement(), NEXT)
    heard = fed(told, sent("pgm", *range(5)), now=100.0, quiet=True)
    heard.events += [*told.events(101.5, quiet=True), *told.events(103.0, quiet=True)]
    assert heard.ends == [SeriesEnd("now", aborted=True)]
    heard.events += fed(told, sent("pgm", 5), now=104.0, quiet=True).events
    heard.events += fed(told, sent("pgm", *range(12)), now=105.0, quiet=True).events
    assert kinds(heard) == [("wrong_count", 0), ("wrong_count", 1)]
    assert places(heard, "now") == {number: number for number in range(5)}
    assert places(heard, "now-2") == {number: number for number in range(12)}


def test_a_serval_that_answers_no_more_holds_up_a_measurement_no_longer_than_a_silence() -> None:
    told = reading(RUNNING, Measurement(frames=12))
    heard = fed(told, sent("pgm", *range(12)), now=100.0, quiet=True)
    heard.events += told.events(101.5, quiet=True)
    heard.events += fed(told, sent("pgm", 3), now=109.0, quiet=True).events
    heard.events += fed(told, sent("pgm", *range(12)), now=111.0, quiet=True).events
    assert kinds(heard) == [("wrong_count", 1)]
    assert places(heard, "now-2") == {number: number for number in range(12)}


def test_numbers_keep_frames_in_their_places_without_them_nobody_can_know() -> None:
    order = [0, 1, 3, 2, 4, 4, 5, 6, 8, 9, 10, 11]
    numbered = fed(reading(RUNNING), sent("jsonimage", *order), quiet=True)
    assert places(numbered, "now") == {number: number for number in range(12) if number != 7}
    plain = fed(reading(RUNNING), sent("pgm", *order), quiet=True)
    assert places(plain, "now") == dict(enumerate(order))


def test_an_image_more_than_announced_begins_no_series_of_the_same_measurement() -> None:
    told = reading(RUNNING, RUNNING, Measurement("200", 12))
    heard = fed(told, sent("pgm", *range(12), 3, *range(12)), quiet=True)
    assert kinds(heard) == [("wrong_count", 1)]
    assert heard.troubles[0].series == "now", "that one may be wrong"
    assert places(heard, "now-2") == {number: number for number in range(12)}


@pytest.mark.parametrize("pause", [0.1, 1.5])
def test_images_beyond_the_last_are_counted_when_serval_has_gone(pause: float) -> None:
    told = reading(RUNNING, Measurement())
    heard = fed(told, sent("pgm", *range(12)), now=100.0, quiet=True)
    heard.events += told.events(100.0 + pause, quiet=True)
    heard.events += fed(told, sent("pgm", 3, 4), now=100.0 + pause, quiet=True).events
    heard.events += told.events(103.0, quiet=True)
    assert kinds(heard) == [("wrong_count", 1)] * 2
    assert {trouble.series for trouble in heard.troubles} == {"now" if pause < 1 else ""}
    assert heard.ends == [SeriesEnd("now")]


def test_a_damaged_first_image_behind_a_whole_series_costs_its_place_only() -> None:
    told = reading(RUNNING, NEXT)
    data = sent("pgm", *range(12)) + b"\xff\xff" + sent("pgm", 0)[2:] + sent("pgm", *range(1, 12))
    heard = fed(told, data, quiet=True)
    assert kinds(heard) == [("bad_message", 1)]
    assert places(heard, "now-2") == {number: number for number in range(1, 12)}


@pytest.mark.parametrize("name", ["", "the same each time", "100"])
@pytest.mark.parametrize("asked", [True, False])
def test_a_second_copy_of_the_last_image_begins_no_series_and_the_next_measurement_does(asked: bool, name: str) -> None:
    running = [RUNNING, Measurement("200", 12)] if asked else [Measurement(frames=12)]
    data = sent("jsonimage", *range(12), 11, measurement=name) + sent("jsonimage", *range(12), measurement=name)
    heard = fed(reading(*running), data, quiet=True)
    assert kinds(heard) == [("wrong_count", 1)]
    assert heard.ends == [SeriesEnd("now"), SeriesEnd("now-2")]
    assert places(heard, "now-2") == {number: number for number in range(12)}


@pytest.mark.parametrize("name", ["", "the same each time"])
def test_a_lost_first_image_costs_itself_only_where_images_do_not_tell_their_measurement(name: str) -> None:
    lost = sent("jsonimage", *range(12), measurement=name) + sent("jsonimage", *range(1, 12), measurement=name)
    heard = fed(reading(RUNNING, NEXT), lost, quiet=True)
    assert places(heard, "now-2") == {number: number for number in range(1, 12)}
    assert not heard.troubles
    still_the_same = fed(reading(RUNNING), lost, quiet=True)
    assert kinds(still_the_same) == [("wrong_count", 1)] * 11
    assert len(still_the_same.starts) == 1


def test_images_that_tell_their_measurement_are_believed_whatever_serval_is_at() -> None:
    told = Told(RUNNING, NEXT, Measurement("300", 12))
    late = sent("jsonimage", 3, 4, measurement="b")
    data = sent("jsonimage", *range(12), measurement="a") + sent("jsonimage", *range(12), measurement="b") + late
    heard = fed(FrameReading(told, PATIENCE, None, lambda: "now", LARGEST), data, quiet=True)
    assert kinds(heard) == [("wrong_count", 1)] * 2
    assert (len(heard.starts), told.asked) == (2, 2)


def test_a_serval_that_has_gone_is_asked_about_late_images_once_in_a_silence() -> None:
    told = Told(RUNNING, Measurement())
    numbered = FrameReading(told, PATIENCE, None, lambda: "now", LARGEST)
    heard = fed(numbered, sent("jsonimage", *range(12), 3, 4, 5, measurement=""), now=100.0, quiet=True)
    assert (kinds(heard), told.asked) == ([("wrong_count", 1)] * 3, 2)
    heard = fed(numbered, sent("jsonimage", 6, 7, measurement=""), now=111.0, quiet=True)
    assert (kinds(heard), told.asked) == ([("wrong_count", 1)] * 2, 3)


@pytest.mark.parametrize("bad", [0, 5, 11])
def test_a_damaged_image_costs_its_place_only(bad: int) -> None:
    data = sent("pgm", *range(bad)) + b"\xff\xff" + sent("pgm", bad)[2:] + sent("pgm", *range(bad + 1, 12))
    told = reading(RUNNING)
    heard = fed(told, data, now=100.0, quiet=True)
    heard.events += told.events(101.5, quiet=True)
    assert places(heard, "now") == {number: number for number in range(12) if number != bad}
    assert kinds(heard) == [("bad_message", 1)]
    assert heard.ends == [SeriesEnd("now")]


def test_images_of_another_form_are_counted_and_take_up_their_place() -> None:
    other = image(Kind.of("pgm", sparse(1, 8, 8)[0]), 0, sparse(1, 8, 8)[0], "", ())
    heard = fed(reading(RUNNING), sent("pgm", *range(4)) + other + sent("pgm", *range(5, 12)), quiet=True)
    assert places(heard, "now") == {number: number for number in range(12) if number != 4}
    assert kinds(heard) == [("wrong_size", 1)]
    assert "expected images of 24 x 32 uint16 in now, found 8 x 8 uint16" in heard.troubles[0].text


def test_with_numbers_a_series_goes_on_in_the_next_connection() -> None:
    told = reading(RUNNING)
    heard = fed(told, sent("jsonimage", *range(5)))
    assert told.cut
    heard.events += told.closed(0.0)
    heard.events += fed(told, sent("jsonimage", *range(7, 12)), quiet=True).events
    heard.events += told.events(1.5, quiet=True)
    assert places(heard, "now") == {number: number for number in range(12) if number not in (5, 6)}
    assert heard.ends == [SeriesEnd("now")]


def test_without_numbers_the_rest_of_a_measurement_whose_connection_was_lost_is_not_guessed() -> None:
    told = reading(RUNNING)
    heard = fed(told, sent("pgm", *range(5)))
    heard.events += told.closed(0.0)
    heard.events += fed(told, sent("pgm", *range(7, 12)), quiet=True).events
    assert places(heard, "now") == {number: number for number in range(5)}
    assert heard.ends == [SeriesEnd("now", aborted=True)]
    assert kinds(heard) == [("wrong_count", 0), *[("wrong_count", 1)] * 5]


@pytest.mark.parametrize(
    ("form", "before", "measurement", "surplus"),
    [
        ("pgm", None, RUNNING, False),
        ("pgm", "100", RUNNING, True),
        ("pgm", "99", RUNNING, False),
        ("pgm", "", RUNNING, True),
        ("pgm", "99", Measurement(), True),
        ("pgm", "", Measurement(), True),
        ("jsonimage", "100", RUNNING, False),
        ("jsonimage", "", Measurement(), False),
    ],
)
def test_images_without_numbers_that_may_be_the_rest_of_an_interrupted_measurement_are_not_placed(
    form: Form, before: str | None, measurement: Measurement, surplus: bool
) -> None:
    told = reading(measurement, before=before)
    heard = fed(told, sent(form, 5, 6, 7), now=100.0, quiet=True)
    assert kinds(heard) == ([("wrong_count", 1)] * 3 if surplus else [])
    assert [start.beginning for start in heard.starts] == (
        [] if surplus else ["nameless" if form == "jsonimage" else "seen"]
    )


@pytest.mark.parametrize("closed", [False, True])
def test_without_serval_a_pause_or_a_new_connection_says_that_an_interrupted_measurement_is_over(closed: bool) -> None:
    told = reading(frames=12, before="")
    heard = fed(told, sent("pgm", 5, 6), now=100.0, quiet=True)
    assert "found another image of the one that a restart has interrupted" in heard.troubles[0].text
    heard.events += told.closed(101.0) if closed else told.events(111.0, quiet=True)
    heard.events += fed(told, sent("pgm", *range(12)), now=112.0, quiet=True).events
    assert kinds(heard) == [("wrong_count", 1)] * 2
    assert places(heard, "now") == {number: number for number in range(12)}


def test_nothing_for_a_while_says_so_too() -> None:
    told = reading(frames=12, before="")
    assert not [*told.events(100.0, quiet=True), *told.events(110.5, quiet=True)]
    heard = fed(told, sent("pgm", *range(12)), now=111.0, quiet=True)
    assert places(heard, "now") == {number: number for number in range(12)}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60), st.sampled_from([sent(form, number) for form in IMAGES for number in (0, 1)])
        ),
        max_size=8,
    ),
    st.integers(1, 3000),
)
def test_any_bytes_become_events(parts: list[bytes], at_once: int) -> None:
    told = reading(Measurement("1", 4))
    heard = fed(told, b"".join(parts), at_once=at_once, quiet=True)
    heard.events += told.closed(0.0)
    expected: tuple[Any, ...] = (SeriesStart, SeriesFrames, SeriesEnd, Trouble)
    assert all(isinstance(event, expected) for event in heard.events)
    assert all(
        len(event.payload) == event.count * np.prod(event.frame_shape) * 2
        for event in heard.of(SeriesFrames)
        if event.dtype == "uint16"
    )
