from dataclasses import replace
from typing import Any

import pytest

from livestrain_daemon.intake.detectors.events import Trouble
from livestrain_daemon.intake.detectors.merging import MOST_FRAMES
from livestrain_daemon.intake.joining import joined
from livestrain_daemon.intake.receiver import Arrival
from livestrain_wire.messages import Frames, ScanEnd


def frame(number: int, count: int = 1, parts: bool = False, **changes: Any) -> Arrival:
    told = {"scan_id": "s", "first_index": number, "count": count, "shape": (4, 5), "dtype": "uint16", **changes}
    payload = memoryview(bytes([number % 256]) * 40 * count)
    each = tuple(payload[at * 40 : at * 40 + 40] for at in range(count)) if parts else ()
    return Arrival(Frames.model_validate(told), None if parts else payload, 100 * count, count, each)


def runs(*arrivals: Arrival) -> list[tuple[int, int]]:
    found = [one.message for one in joined(arrivals)]
    return [(one.first_index, one.count) for one in found if isinstance(one, Frames)]


def test_frames_that_follow_each_other_are_joined_with_a_part_each() -> None:
    (whole,) = joined([frame(3), frame(4, 2, parts=True), frame(6)])
    assert isinstance(whole.message, Frames)
    assert (whole.message.first_index, whole.message.count, whole.frames, whole.size) == (3, 4, 4, 400)
    assert [part[0] for part in whole.parts] == [3, 4, 4, 6]
    assert whole.payload is None


def test_raw_frames_in_one_block_are_joined_with_a_part_each() -> None:
    """Also with single ones; nothing is copied for it."""
    block = frame(4, 2)
    (whole,) = joined([frame(3), block, frame(6, 3)])
    assert (whole.message, whole.frames, whole.size) == (frame(3, 6).message, 6, 600)
    assert [bytes(part) for part in whole.parts] == [bytes([value]) * 40 for value in (3, 4, 4, 6, 6, 6)]
    assert whole.parts[1].obj is block.payload.obj if block.payload else False


@pytest.mark.parametrize("size", [0, 40, 79, 81, 120])
def test_a_raw_block_of_another_size_than_its_frames_is_not_joined(size: int) -> None:
    """It is refused by itself, and the frames before it are not."""
    wrong = replace(frame(4, 2), payload=memoryview(bytes(size)))
    assert list(joined([frame(3), wrong, frame(6)])) == [frame(3), wrong, frame(6)]


def test_what_is_alone_stays_as_it_is() -> None:
    alone = [
        frame(3),
        Arrival(Trouble("lost", "")),
        frame(4, 2, encoding="lz4"),
        frame(6),
        Arrival(ScanEnd(scan_id="s")),
    ]
    assert list(joined(alone)) == alone


@pytest.mark.parametrize(
    "second",
    [
        frame(5),
        frame(3),
        frame(4, 2, encoding="lz4"),
        frame(4, scan_id="t"),
        frame(4, shape=(5, 4)),
        frame(4, dtype="uint8"),
        frame(4, encoding="lz4"),
    ],
)
def test_frames_that_do_not_fit_are_not_joined(second: Arrival) -> None:
    assert isinstance(second.message, Frames)
    assert runs(frame(3), second) == [(3, 1), (second.message.first_index, second.message.count)]


def test_a_run_is_bounded() -> None:
    assert runs(*(frame(number) for number in range(MOST_FRAMES + 2))) == [(0, MOST_FRAMES), (MOST_FRAMES, 2)]
