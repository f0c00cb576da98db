"""What main hears of a detector."""

import time

import pytest

from livestrain_daemon.intake.detectors.events import (
    Connection,
    DetectorEvent,
    SeriesEnd,
    SeriesFrames,
    SeriesStart,
    Trouble,
)
from livestrain_daemon.intake.detectors.standing import Standing
from livestrain_daemon.messages import DetectorSeen
from livestrain_wire.messages import Message

START = SeriesStart("7", (2, 3), "uint16", 4)
FRAME = SeriesFrames("7", 0, 1, (2, 3), "uint16", "raw", memoryview(bytes(12)), 12)


def test_main_hears_of_changes_and_of_nothing_else() -> None:
    told: list[Message] = []
    standing = Standing("merlin", "tcp://merlin:6342", told.append)
    events: list[DetectorEvent] = [
        Trouble("connection", "nobody there"),
        Connection(up=False),
        Trouble("connection", "nobody there"),
        Connection(up=True),
        Trouble("wrong_size", "a frame"),
        START,
        FRAME,
        FRAME,
        Trouble("connection", "gone"),
        SeriesEnd("7"),
        START,
    ]
    for event in events:
        standing.hear(event)
    seen = [(one.state, one.trouble) for one in told if isinstance(one, DetectorSeen)]
    assert seen == [
        ("connecting", ""),
        ("connecting", "nobody there"),
        ("waiting", ""),
        ("receiving", ""),
        ("receiving", "gone"),
        ("waiting", "gone"),
        ("receiving", ""),
    ]
    assert [one.lost_ns for one in told if isinstance(one, DetectorSeen)] == [None] * 7
    assert {(one.name, one.endpoint) for one in told if isinstance(one, DetectorSeen)} == {
        ("merlin", "tcp://merlin:6342")
    }


def test_a_detector_that_has_gone_is_not_taken_for_connected_at_the_end_of_its_series() -> None:
    told: list[Message] = []
    standing = Standing("asi", "tcp://asi:8088", told.append)
    before = time.time_ns()
    for event in (START, Connection(up=False), SeriesEnd("7"), Connection(up=False), Connection(up=True)):
        standing.hear(event)
    seen = [(one.state, one.lost_ns is not None) for one in told if isinstance(one, DetectorSeen)]
    assert seen == [("connecting", False), ("receiving", False), ("connecting", True), ("waiting", False)]
    assert [before <= one.lost_ns for one in told if isinstance(one, DetectorSeen) and one.lost_ns] == [True]


@pytest.mark.parametrize("over", [False, True])
def test_a_series_that_outlasts_its_connection_is_still_coming(over: bool) -> None:
    told: list[Message] = []
    standing = Standing("asi", "tcp://asi:8088", told.append)
    end: list[DetectorEvent] = [SeriesEnd("7")] if over else []
    for event in (START, Connection(up=False), *end, Connection(up=True)):
        standing.hear(event)
    states = [one.state for one in told if isinstance(one, DetectorSeen)]
    assert states == ["connecting", "receiving", "connecting", "waiting" if over else "receiving"]


def test_a_trouble_is_passed_on_once_in_an_outage() -> None:
    standing = Standing("merlin", "tcp://merlin:6342", lambda message: None)
    closed, refused = Trouble("connection", "it was closed"), Trouble("connection", "Connection refused")
    down, up = Connection(up=False), Connection(up=True)
    outage: list[DetectorEvent] = [down, closed, refused, refused, down, refused]
    assert [standing.hear(event) for event in [*outage, up, *outage]] == [
        *(True, True, True, False, True, False),
        *(True, True, True, True, False, True, False),
    ]
    assert standing.hear(Trouble("bad_message", "x"))
    assert standing.hear(Trouble("bad_message", "x"))
