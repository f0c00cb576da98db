from dataclasses import replace

import pytest

from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesEnd, SeriesFrames, Trouble
from livestrain_daemon.intake.detectors.merging import MOST_BYTES, MOST_FRAMES, merged

FRAME = SeriesFrames("1", 0, 1, (4, 5), "uint16", "raw", memoryview(bytes(40)), 60)


def frames(*numbers: int) -> list[DetectorEvent]:
    return [replace(FRAME, first=number, payload=memoryview(bytes([number % 256]) * 40)) for number in numbers]


def runs(events: list[DetectorEvent]) -> list[tuple[int, int]]:
    return [(event.first, event.count) for event in merged(events) if isinstance(event, SeriesFrames)]


def test_frames_that_follow_each_other_are_one_run_with_a_part_each() -> None:
    (run,) = merged(frames(3, 4, 5))
    assert isinstance(run, SeriesFrames)
    assert (run.first, run.count, run.size) == (3, 3, 180)
    assert [bytes(part) for part in run.parts] == [bytes([number]) * 40 for number in (3, 4, 5)]


def test_a_frame_alone_stays_as_it_is() -> None:
    assert list(merged(frames(3))) == frames(3)


@pytest.mark.parametrize("numbers", [(0, 2), (1, 0), (1, 1)])
def test_a_gap_a_step_back_and_a_repetition_end_a_run(numbers: tuple[int, int]) -> None:
    assert runs(frames(*numbers)) == [(number, 1) for number in numbers]


@pytest.mark.parametrize(
    "changed",
    [{"series": "2"}, {"frame_shape": (5, 4)}, {"dtype": "uint8"}, {"encoding": "lz4"}, {"count": 2}],
)
def test_a_frame_of_another_kind_ends_a_run(changed: dict[str, object]) -> None:
    assert runs([*frames(0, 1), replace(FRAME, first=2, **changed)]) == [(0, 2), (2, changed.get("count", 1))]  # type: ignore[arg-type]


def test_what_comes_between_frames_stays_between_them() -> None:
    others: list[DetectorEvent] = [Trouble("lost", ""), SeriesEnd("1")]
    events = [*frames(0, 1), others[0], *frames(2), others[1]]
    kept = list(merged(events))
    assert [event for event in kept if not isinstance(event, SeriesFrames)] == others
    assert [kept.index(event) for event in others] == [1, 3]


def test_a_run_is_bounded() -> None:
    assert runs(frames(*range(MOST_FRAMES + 3))) == [(0, MOST_FRAMES), (MOST_FRAMES, 3)]
    side = 1024
    large = [replace(FRAME, first=number, frame_shape=(side, side)) for number in range(5)]
    most = MOST_BYTES // (2 * side * side)
    assert [count for _, count in runs(list(large))] == [most, most, 1]
