"""What main hears of a detector."""

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
    assert {(one.name, one.endpoint) for one in told if isinstance(one, DetectorSeen)} == {
        ("merlin", "tcp://merlin:6342")
    }
