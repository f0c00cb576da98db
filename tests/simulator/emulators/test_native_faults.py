from typing import Any

import numpy as np
import pytest

from livestrain_simulator.emulators.faults import EXCLUSIVE, Action, Among, Faults
from livestrain_simulator.emulators.native_faults import FAR_AWAY, Corruption, FaultySender
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.send import Sending, send_scan
from livestrain_simulator.sender import FrameSender
from livestrain_wire.messages import Encoding, Frames, ScanStart
from simulator.receiving import receiving, unpack

FRAMES = np.arange(60, dtype=np.uint16)[:, None, None] + np.arange(200, dtype=np.uint16).reshape(10, 20)
START = ScanStart(scan_id="one", scan_shape=(6, 10), frame_shape=(10, 20), dtype="uint16")


def sent_with(
    faults: dict[int, Action], encoding: Encoding = "raw"
) -> tuple[ScanRecord, list[tuple[int, Corruption]], list[Any]]:
    """What was recorded, which frames have a wrong header, and the messages between start and end."""
    record = ScanRecord(0, len(FRAMES))
    with receiving() as receiver, FrameSender(receiver.endpoint) as sender:
        faulty = FaultySender(sender, lambda number: (faults[number],) if number in faults else (), record)
        send_scan(faulty, START, [FRAMES], Sending(encoding, frames_per_message=8))
        messages = receiver.scan()
    return record, faulty.corrupted, messages[1:-1]


def lost(record: ScanRecord) -> list[int]:
    return np.flatnonzero(~record.stored()).tolist()


def intact(messages: list[Any]) -> list[int]:
    """Numbers of the frames that arrived as they should, in the order of arrival."""
    numbers: list[int] = []
    for header, payload in messages:
        assert isinstance(header, Frames)
        block = unpack(header, payload[0])
        np.testing.assert_array_equal(block, FRAMES[header.first_index : header.first_index + header.count])
        numbers.extend(range(header.first_index, header.first_index + header.count))
    return numbers


def test_without_faults_everything_arrives_once_and_in_order() -> None:
    record, _, messages = sent_with({})
    assert intact(messages) == list(range(60))
    assert (record.done, lost(record), record.duplicates) == ([], [], 0)
    assert record.started
    assert record.ended


def test_dropped_frames_never_arrive_and_the_others_do() -> None:
    record, _, messages = sent_with({0: "drop", 7: "drop", 8: "short", 59: "drop"})
    assert lost(record) == record.numbers("drop", "short") == [0, 7, 8, 59]
    assert intact(messages) == [number for number in range(60) if number not in {0, 7, 8, 59}]


def test_duplicated_frames_arrive_twice() -> None:
    record, _, messages = sent_with({5: "duplicate", 40: "duplicate"})
    assert record.numbers("duplicate") == [5, 40]
    assert sorted(intact(messages)) == sorted([*range(60), 5, 40])
    assert (lost(record), record.duplicates) == ([], 2)


def test_reordered_frames_arrive_late_and_none_is_lost() -> None:
    record, _, messages = sent_with({5: "reorder", 20: "reorder", 21: "reorder", 59: "reorder"})
    numbers = intact(messages)
    assert record.numbers("reorder") == [5, 20, 21, 59]
    assert sorted(numbers) == list(range(60))
    assert numbers != list(range(60))
    assert numbers.index(5) > numbers.index(6)
    assert lost(record) == []


@pytest.mark.parametrize("encoding", ["raw", "lz4", "bslz4"])
def test_truncated_frames_arrive_with_half_their_payload(encoding: Encoding) -> None:
    whole = sent_with({13: "duplicate"}, encoding)[2]
    record, _, messages = sent_with({13: "truncate"}, encoding)
    full = next(payload[0] for header, payload in whole if header.first_index == 13)
    short = [(header, payload[0]) for header, payload in messages if header.first_index == 13]
    assert record.numbers("truncate") == lost(record) == [13]
    assert [len(payload) for _, payload in short] == [len(full) // 2]


def test_every_corruption_is_recorded_as_what_it_is() -> None:
    record, corrupted, messages = sent_with(dict.fromkeys(range(60), "corrupt"))
    assert lost(record) == list(range(60))
    assert len(messages) == 60
    seen = set()
    for (number, how), (header, _) in zip(corrupted, messages, strict=True):
        seen.add(how)
        if header is None:
            assert how == "header"
            continue
        expected = {
            "dtype": header.dtype == "float32",
            "shape": header.shape == (11, 20),
            "index": header.first_index == number + FAR_AWAY,
            "scan_id": header.scan_id == "not-one",
            "encoding": header.encoding == "lz4",
        }
        assert [kind for kind, is_so in expected.items() if is_so] == [how]
    assert seen == {"header", "dtype", "shape", "index", "scan_id", "encoding"}


def test_a_frame_of_a_scan_that_nobody_began_comes_beside_the_right_one() -> None:
    record, _, messages = sent_with({30: "second_series"})
    foreign = [header.first_index for header, _ in messages if header.scan_id != "one"]
    assert foreign == [30]
    assert lost(record) == []
    assert sorted(number for header, _ in messages if header.scan_id == "one" for number in numbers(header)) == [
        *range(60)
    ]


def numbers(header: Frames) -> list[int]:
    return list(range(header.first_index, header.first_index + header.count))


def test_frames_before_a_late_start_are_lost_and_those_behind_it_are_not() -> None:
    record = ScanRecord(0, 60)
    with receiving() as receiver, FrameSender(receiver.endpoint) as sender:
        faulty = FaultySender(sender, Faults(late_header=9).plan(0, 60), record)
        send_scan(faulty, START, [FRAMES], Sending(frames_per_message=8))
        messages = receiver.scan()
    kinds = [type(header).__name__ for header, _ in messages]
    assert kinds[:9] == ["Frames"] * 9
    assert kinds.index("ScanStart") == 9
    assert lost(record) == list(range(9))
    assert record.started


def test_a_scan_that_breaks_off_says_nothing_and_its_last_frames_follow_the_next_start() -> None:
    start = START.model_copy(update={"scan_id": "two"})
    faults = Faults(rearm=20)
    with receiving() as receiver, FrameSender(receiver.endpoint) as sender:
        first = FaultySender(sender, faults.plan(0, 60), ScanRecord(0, 60))
        send_scan(first, START, [FRAMES], Sending(frames_per_message=8, abort_at=23))
        second = FaultySender(sender, faults.plan(1, 60, last=True), ScanRecord(1, 60), stale=first.left_behind)
        send_scan(second, start, [FRAMES], Sending(frames_per_message=60))
        messages = receiver.scan()
    told = [
        (header.type, getattr(header, "scan_id", ""), getattr(header, "first_index", None))
        for header, _ in messages
        if header
    ]
    assert told[0] == ("scan_start", "one", None)
    assert [number for _, name, number in told if name == "one"][1:] == [0, 8, 16, 20, 21, 22]
    assert told[4:] == [
        ("scan_start", "two", None),
        ("frames", "one", 20),
        ("frames", "one", 21),
        ("frames", "one", 22),
        ("frames", "two", 0),
        ("scan_end", "two", None),
    ]
    assert first.record.whole == set(range(20))
    assert first.record.numbers("rearm") == [20]
    assert second.record.whole == set(range(60))


def test_faults_of_all_kinds_are_counted_exactly() -> None:
    plan = Faults({kind: Among(0.1) for kind in EXCLUSIVE}, seed=2).plan(0, 60)
    faults = {number: actions[0] for number in range(60) if (actions := plan(number))}
    record, _, messages = sent_with(faults)
    assert record.counts() == {
        kind: sum(fault == kind for fault in faults.values()) for kind in EXCLUSIVE if kind in faults.values()
    }
    bad = set(lost(record))
    good = [
        number
        for header, _ in messages
        if header is not None and header.scan_id == "one"
        for number in numbers(header)
        if number not in bad and number < 60
    ]
    assert sorted(good) == sorted([*(set(range(60)) - bad), *record.numbers("duplicate")])
