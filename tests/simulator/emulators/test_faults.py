"""What is asked for, and the plan of each scan that follows from it."""

from typing import Any

import numpy as np
import pytest

from livestrain_simulator.emulators.faults import HEADER, Among, Faults, WrongFault
from livestrain_simulator.emulators.record import ScanRecord

SCAN = 20_000


def happened(faults: Faults, scan: int = 0, frames: int = SCAN) -> dict[int, tuple[str, ...]]:
    plan = faults.plan(scan, frames)
    return {number: tuple(actions) for number in range(frames) if (actions := plan(number))}


def test_chances_follow_their_probabilities_and_the_seed() -> None:
    asked = {"drop": Among(0.2), "corrupt": Among(0.05), "stall": Among(0.1)}
    faults = happened(Faults(asked, seed=5))  # type: ignore[arg-type]
    assert faults == happened(Faults(asked, seed=5))  # type: ignore[arg-type]
    assert faults != happened(Faults(asked, seed=6))  # type: ignore[arg-type]
    assert faults != happened(Faults(asked, seed=5), scan=1)  # type: ignore[arg-type]
    shares = {kind: sum(kind in actions for actions in faults.values()) / SCAN for kind in asked}
    expected = {"drop": 0.2, "corrupt": 0.05, "stall": 0.1}
    assert shares == pytest.approx(expected, abs=0.01)
    assert not any({"drop", "corrupt"} <= set(actions) for actions in faults.values())


def test_a_plan_says_the_same_whatever_it_was_asked_before_and_without_an_end() -> None:
    faults = Faults({"drop": Among(0.3), "second_series": Among(0.3)}, seed=3)
    forwards, endless = faults.plan(2, SCAN), faults.plan(2, 0)
    numbers = np.random.default_rng(0).permutation(SCAN).tolist()
    assert {number: faults.plan(2, SCAN)(number) for number in numbers[:50]} == {
        number: forwards(number) for number in numbers[:50]
    }
    assert [endless(number) for number in numbers] == [forwards(number) for number in numbers]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.01", Among(0.01)),
        ("1.0", Among(1.0)),
        ("0.0", Among()),
        ("1e-3", Among(1e-3)),
        ("5", Among(numbers=(range(5, 6),))),
        ("5,17,20-30", Among(numbers=(range(5, 6), range(17, 18), range(20, 31)))),
        ("0-0, 3", Among(numbers=(range(1), range(3, 4)))),
    ],
)
def test_a_number_with_a_point_is_a_probability_and_whole_numbers_are_frames(text: str, expected: Among) -> None:
    assert Among.parse(text, "--drop") == expected


@pytest.mark.parametrize("text", ["", "often", "1.5", "-0.1", "nan", "inf", "5-", "-5", "7-3", "5,,6", "9" * 20, "5;6"])
def test_what_is_neither_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(WrongFault, match=r"^--drop: expected a probability such as 0.01, or numbers .*, found .*$"):
        Among.parse(text, "--drop")


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"abort_at": 3, "rearm": 4}, "abort_at and rearm"),
        ({"frames": {"drop": Among(0.6), "corrupt": Among(0.6)}}, "at most 1 together, found drop 0.6, corrupt 0.6"),
        (
            {"frames": {"drop": Among(numbers=(range(9),)), "truncate": Among(numbers=(range(7, 12),))}},
            "drop and truncate both name frame 7",
        ),
    ],
)
def test_faults_that_exclude_each_other_are_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(WrongFault, match=text):
        Faults(**wrong)


def test_frames_that_are_named_are_hit_and_no_others() -> None:
    faults = Faults({"drop": Among(numbers=(range(3, 5),)), "stall": Among(numbers=(range(4, 6),))})
    assert happened(faults, frames=9) == {3: ("drop",), 4: ("stall", "drop"), 5: ("stall",)}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {}),
        ({"abort_at": 5}, {5: ("abort",), 6: ("abort",)}),
        ({"rearm": 5}, {5: ("rearm",), 6: ("rearm",)}),
        ({"short_by": 2}, {5: ("short",), 6: ("short",)}),
        ({"late_header": 2}, {0: ("late_header",), 1: ("late_header",)}),
        ({"short_by": 9}, dict.fromkeys(range(7), ("short",))),
    ],
)
def test_beginnings_and_ends(asked: dict[str, int], expected: dict[int, tuple[str, ...]]) -> None:
    faults = Faults(**asked)  # type: ignore[arg-type]
    assert happened(faults, frames=7) == expected
    assert (faults.plan(0, 7)(HEADER), faults.plan(0, 7)(7)) == ((), ())
    assert bool(faults) == bool(asked)
    assert faults.asked() == tuple(asked)


def test_the_last_scan_is_not_cut_short_by_the_next() -> None:
    assert Faults(rearm=2).plan(1, 5, last=True)(3) == ()


def test_a_record_tells_what_a_receiver_must_have() -> None:
    record = ScanRecord(0, 6)
    record.do(1, ["drop"])
    record.do(3, ["duplicate"])
    record.do(4, ["truncate"])
    for number, times in ((0, 1), (2, 1), (3, 2)):
        record.left(number, times)
    assert record.stored().tolist() == [True, False, True, True, False, False]
    assert (record.duplicates, record.sent, record.counts()) == (1, 5, {"drop": 1, "duplicate": 1, "truncate": 1})
