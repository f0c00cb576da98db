from typing import Any

import numpy as np
import pytest

from livestrain_simulator.faults import FAR_AWAY, Fault, FaultRecord, FaultySender, choose_faults
from livestrain_simulator.send import Sending, send_scan
from livestrain_simulator.sender import FrameSender
from livestrain_wire.messages import Encoding, Frames, ScanStart
from simulator.receiving import receiving, unpack

FRAMES = np.arange(60, dtype=np.uint16)[:, None, None] + np.arange(200, dtype=np.uint16).reshape(10, 20)
START = ScanStart(scan_id="one", scan_shape=(6, 10), frame_shape=(10, 20), dtype="uint16")


def sent_with(faults: dict[int, Fault], encoding: Encoding = "raw") -> tuple[FaultRecord, list[Any]]:
    """What was recorded, and the messages between start and end."""
    with receiving() as receiver, FrameSender(receiver.endpoint) as sender:
        faulty = FaultySender(sender, faults)
        send_scan(faulty, START, [FRAMES], Sending(encoding, frames_per_message=8))
        messages = receiver.scan()
    return faulty.record, messages[1:-1]


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
    record, messages = sent_with({})
    assert intact(messages) == list(range(60))
    assert record == FaultRecord()
    assert record.lost() == []


def test_dropped_frames_never_arrive_and_the_others_do() -> None:
    record, messages = sent_with({0: "drop", 7: "drop", 8: "drop", 59: "drop"})
    assert record.dropped == record.lost() == [0, 7, 8, 59]
    assert intact(messages) == [number for number in range(60) if number not in {0, 7, 8, 59}]


def test_duplicated_frames_arrive_twice() -> None:
    record, messages = sent_with({5: "duplicate", 40: "duplicate"})
    assert record.duplicated == [5, 40]
    assert sorted(intact(messages)) == sorted([*range(60), 5, 40])
    assert record.lost() == []


def test_reordered_frames_arrive_late_and_none_is_lost() -> None:
    record, messages = sent_with({5: "reorder", 20: "reorder", 21: "reorder", 59: "reorder"})
    numbers = intact(messages)
    assert record.reordered == [5, 20, 21, 59]
    assert sorted(numbers) == list(range(60))
    assert numbers != list(range(60))
    assert numbers.index(5) > numbers.index(6)
    assert record.lost() == []


@pytest.mark.parametrize("encoding", ["raw", "lz4", "bslz4"])
def test_truncated_frames_arrive_with_half_their_payload(encoding: Encoding) -> None:
    whole = sent_with({13: "duplicate"}, encoding)[1]
    record, messages = sent_with({13: "truncate"}, encoding)
    full = next(payload[0] for header, payload in whole if header.first_index == 13)
    short = [(header, payload[0]) for header, payload in messages if header.first_index == 13]
    assert record.truncated == record.lost() == [13]
    assert [len(payload) for _, payload in short] == [len(full) // 2]


def test_every_corruption_is_recorded_as_what_it_is() -> None:
    record, messages = sent_with(dict.fromkeys(range(60), "corrupt"))
    assert record.lost() == list(range(60))
    assert len(messages) == 60
    seen = set()
    for (number, how), (header, _) in zip(record.corrupted, messages, strict=True):
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


def test_faults_of_all_kinds_are_counted_exactly() -> None:
    rates: dict[Fault, float] = {"drop": 0.1, "duplicate": 0.1, "reorder": 0.1, "corrupt": 0.1, "truncate": 0.1}
    faults = choose_faults(rates, 60, seed=2)
    record, messages = sent_with(faults)
    assert record.counts() == {
        name: sum(fault == kind for fault in faults.values())
        for name, kind in {
            "dropped": "drop", "duplicated": "duplicate", "reordered": "reorder",
            "truncated": "truncate", "corrupted": "corrupt",
        }.items()
    }  # fmt: skip
    bad = set(record.lost())
    good = [
        number
        for header, _ in messages
        if header is not None and header.scan_id == "one"
        for number in range(header.first_index, header.first_index + header.count)
        if number not in bad and number < 60
    ]
    assert sorted(good) == sorted([*(set(range(60)) - bad), *record.duplicated])


def test_chosen_faults_follow_their_probabilities_and_the_seed() -> None:
    rates: dict[Fault, float] = {"drop": 0.2, "corrupt": 0.05}
    faults = choose_faults(rates, 20_000, seed=5)
    assert faults == choose_faults(rates, 20_000, seed=5)
    assert faults != choose_faults(rates, 20_000, seed=6)
    shares = {kind: sum(fault == kind for fault in faults.values()) / 20_000 for kind in set(faults.values())}
    assert shares == {"drop": pytest.approx(0.2, abs=0.01), "corrupt": pytest.approx(0.05, abs=0.006)}
    assert choose_faults({"drop": 0.0}, 1000, seed=5) == {}
    assert set(choose_faults({"drop": 1.0}, 1000, seed=5).values()) == {"drop"}


@pytest.mark.parametrize("rates", [{"drop": -0.1}, {"drop": 0.6, "corrupt": 0.6}])
def test_probabilities_that_cannot_be_are_refused(rates: dict[Fault, float]) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        choose_faults(rates, 10, seed=0)
