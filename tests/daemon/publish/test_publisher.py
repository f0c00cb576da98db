import pytest

from daemon.desk import Desk, Heard
from livestrain_daemon.publish.publisher import Publisher
from livestrain_wire.messages import Event, Heartbeat
from livestrain_wire.topics import Topic


def heartbeats(heard: list[Heard]) -> list[Heartbeat]:
    return [one.message for one in heard if isinstance(one.message, Heartbeat)]


def test_each_topic_counts_for_itself_from_one(desk: Desk) -> None:
    for scan_id, name in (("a", "x"), ("a", "x"), ("b", "x"), ("a", "y"), ("a", "x")):
        desk.publisher.event(scan_id, name, "text")
    heard = [("/".join(one.topic), one.message.sequence) for one in desk.heard()]
    assert heard == [("a/event/x", 1), ("a/event/x", 2), ("b/event/x", 1), ("a/event/y", 1), ("a/event/x", 3)]
    assert desk.publisher.sequence(Topic("a", "event", "x")) == 3
    assert desk.publisher.sequence(Topic("a", "event", "z")) == 0


def test_a_message_made_but_not_sent_uses_no_number(desk: Desk) -> None:
    topic = Topic("a", "event", "x")
    assert desk.publisher.next(topic) == desk.publisher.next(topic)
    assert desk.publisher.sequence(topic) == 0


def test_every_message_carries_the_epoch_and_each_life_has_its_own(desk: Desk) -> None:
    desk.publisher.event("a", "x", "text")
    assert {one.message.epoch for one in desk.heard()} == {desk.publisher.epoch}
    assert Publisher(desk.publisher._socket).epoch != desk.publisher.epoch


def test_an_event_outside_a_scan_has_a_topic_of_its_own(desk: Desk) -> None:
    desk.publisher.event("", "scan_refused", "no space", "error")
    (one,) = desk.heard()
    assert one.topic == Topic("_", "event", "scan_refused")
    assert isinstance(one.message, Event)
    assert (one.message.scan_id, one.message.level, one.message.text) == ("", "error", "no space")


def test_the_heartbeat_lists_the_latest_sequence_of_every_topic(desk: Desk) -> None:
    for scan_id in ("a", "a", "b", ""):
        desk.publisher.event(scan_id, "x", "text")
    desk.publisher.beat("a")
    (beat,) = heartbeats(desk.heard())
    assert beat.scan_id == "a"
    assert beat.topics == {"a/event/x": 2, "b/event/x": 1, "_/event/x": 1}


def test_the_heart_beats_once_a_second_however_often_it_is_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for _ in range(50):
        desk.publisher.beat("a")
        now[0] += 0.1
    assert [beat.sequence for beat in heartbeats(desk.heard())] == [1, 2, 3, 4, 5]


def test_a_forgotten_scan_leaves_others_alone(desk: Desk) -> None:
    for scan_id in ("a", "ab", ""):
        desk.publisher.event(scan_id, "x", "text")
    desk.publisher.forget("a")
    assert desk.publisher.sequences == {"ab/event/x": 1, "_/event/x": 1}


def test_what_was_sent_is_counted(desk: Desk) -> None:
    desk.publisher.event("a", "x", "text")
    desk.publisher.event("a", "x", "text")
    assert desk.publisher.messages_sent == 2
    assert desk.publisher.bytes_sent > 2 * len(b"a/event/x")
