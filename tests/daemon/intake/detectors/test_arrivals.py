"""Scans made of what a detector tells."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livestrain_daemon.intake.detectors.arrivals import LONGEST_ID, Scans
from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesEnd, SeriesFrames, SeriesStart, Trouble
from livestrain_daemon.intake_config import ScanGeometry
from livestrain_wire.messages import Frames, ScanEnd, ScanStart

PIXELS = np.arange(6, dtype="<u2").tobytes()


def begun(geometry: ScanGeometry, **fields: Any) -> list[Any]:
    start = {"series": "7", "frame_shape": (2, 3), "dtype": "uint16", "frames": None, **fields}
    return [arrival.message for arrival in Scans("dectris", geometry).arrivals(SeriesStart(**start))]


def series_of(geometry: ScanGeometry, **fields: Any) -> Scans:
    """Scans of a series that has begun."""
    scans = Scans("dectris", geometry)
    list(
        scans.arrivals(SeriesStart(**{"series": "7", "frame_shape": (2, 3), "dtype": "uint16", "frames": 4, **fields}))
    )
    return scans


def frames(first: int, count: int = 1) -> SeriesFrames:
    return SeriesFrames("7", first, count, (2, 3), "uint16", "raw", memoryview(PIXELS * count), 12 * count)


@pytest.mark.parametrize(
    ("geometry", "told", "shape"),
    [
        (ScanGeometry(shape=(3, 4)), {"frames": 12, "scan_shape": (2, 6)}, (3, 4)),
        (ScanGeometry(), {"frames": 12, "scan_shape": (2, 6)}, (2, 6)),
        (ScanGeometry(), {"frames": 16}, (4, 4)),
        (ScanGeometry(flyback_frames=3), {"frames": 4 * 7}, (4, 4)),
        (ScanGeometry(skip_frames=2), {"frames": 18}, (4, 4)),
        (ScanGeometry(), {"frames": 1}, (1, 1)),
        (ScanGeometry(), {"frames": 1 << 24}, (4096, 4096)),
    ],
)
def test_the_scan_has_the_shape_given_or_told_or_is_a_square(
    geometry: ScanGeometry, told: dict[str, Any], shape: tuple[int, int]
) -> None:
    (start,) = begun(geometry, **told)
    assert isinstance(start, ScanStart)
    assert (start.scan_id, start.scan_shape, start.frame_shape, start.dtype) == ("dectris-7", shape, (2, 3), "uint16")


@pytest.mark.parametrize(("count", "shape"), [(15, (5, 3)), (17, (5, 4)), (11, (4, 3)), (2, (2, 1))])
def test_frames_that_make_no_square_all_get_a_place_and_that_is_said(count: int, shape: tuple[int, int]) -> None:
    start, trouble = begun(ScanGeometry(), frames=count)
    assert start.scan_shape == shape
    assert shape[0] * shape[1] >= count
    assert isinstance(trouble, Trouble)
    assert trouble.kind == "wrong_count"
    assert f"found {count}: taken for {shape[0]} x {shape[1]}" in trouble.text


def test_a_count_that_does_not_fit_a_given_shape_is_said_at_once() -> None:
    start, trouble = begun(ScanGeometry(shape=(3, 4), flyback_frames=1, skip_frames=2), frames=20)
    assert (start.scan_shape, start.flyback_frames) == ((3, 4), 1)
    assert "expected 17 frames" in trouble.text
    assert len(begun(ScanGeometry(shape=(3, 4), flyback_frames=1, skip_frames=2), frames=17)) == 1


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize(("columns", "begins"), [(1 << 16, True), ((1 << 16) + 1, False)])
def test_a_series_whose_scan_is_larger_than_any_can_be_is_told_and_its_frames_are_counted(
    columns: int, begins: bool, repeat: bool
) -> None:
    scans = Scans("merlin", ScanGeometry(repeat=repeat))
    told = [arrival.message for arrival in scans.arrivals(SeriesStart("7", (2, 3), "uint16", None, (1, columns)))]
    taken = [arrival.message for arrival in scans.arrivals(frames(0, 3))]
    troubles = [message.kind for message in [*told, *taken] if isinstance(message, Trouble)]
    assert troubles == ([] if begins else ["no_scan_shape", "unknown_scan"])
    assert any(isinstance(message, Frames) for message in taken) is begins


def test_an_endless_series_without_a_shape_is_told() -> None:
    (told,) = begun(ScanGeometry(), frames=2_000_000_000 * 10)
    assert isinstance(told, Trouble)
    assert told.kind == "no_scan_shape"


def test_without_a_shape_and_a_count_a_series_is_no_scan_and_its_frames_are_counted() -> None:
    scans = Scans("merlin", ScanGeometry())
    (told,) = scans.arrivals(SeriesStart("7", (2, 3), "uint16", None))
    assert isinstance(told.message, Trouble)
    assert "intake.scan.shape" in told.message.text
    (lost,) = scans.arrivals(frames(0, 3))
    assert isinstance(lost.message, Trouble)
    assert (lost.message.kind, lost.message.frames) == ("unknown_scan", 3)
    assert list(scans.arrivals(SeriesEnd("7"))) == []
    (start,) = scans.arrivals(SeriesStart("8", (2, 3), "uint16", 4))
    assert isinstance(start.message, ScanStart)


def test_frames_keep_their_pixels_and_lose_those_to_be_skipped() -> None:
    scans = series_of(ScanGeometry(skip_frames=2, shape=(2, 2)))
    skipped, kept = (next(scans.arrivals(frames(first))) for first in (1, 2))
    assert isinstance(skipped.message, Trouble)
    assert (skipped.message.kind, skipped.message.frames) == ("flyback", 1)
    assert isinstance(kept.message, Frames)
    assert (kept.message.first_index, kept.message.count, kept.frames) == (0, 1, 1)
    assert bytes(kept.payload or b"") == PIXELS
    before, behind = scans.arrivals(frames(1, 2))
    assert isinstance(before.message, Trouble)
    assert (before.message.kind, before.message.frames) == ("flyback", 1)
    assert isinstance(behind.message, Frames)
    assert (behind.message.first_index, bytes(behind.payload or b"")) == (0, PIXELS)


def test_a_packed_message_that_cannot_be_split_is_counted_whole() -> None:
    scans = series_of(ScanGeometry(skip_frames=2, shape=(2, 2)))
    packed = replace(frames(1, 3), encoding="bslz4")
    told = [arrival.message for arrival in scans.arrivals(packed)]
    assert [(one.kind, one.frames) for one in told if isinstance(one, Trouble)] == [("flyback", 1), ("wrong_index", 2)]
    assert len(told) == 2
    # one that lies within a scan is not looked into
    (whole,) = scans.arrivals(replace(frames(3, 3), encoding="bslz4"))
    assert isinstance(whole.message, Frames)


@pytest.mark.parametrize("announced", [None, 4, 1 << 31])
def test_a_series_without_end_ends_its_scan_with_the_first_frame_too_many(announced: int | None) -> None:
    scans = series_of(ScanGeometry(shape=(1, 2)), frames=announced)
    told = [arrival.message for number in range(5) for arrival in scans.arrivals(frames(number))]
    assert [type(one) for one in told] == [Frames, Frames, Trouble, ScanEnd, Trouble, Trouble]
    end = told[3]
    assert isinstance(end, ScanEnd)
    assert (end.scan_id, end.reason) == ("dectris-7", "complete")
    assert {one.kind for one in told if isinstance(one, Trouble)} == {"wrong_index"}
    # where the detector says how many there are, its own end counts
    scans = series_of(ScanGeometry(shape=(1, 2)), frames=3)
    told = [arrival.message for number in range(3) for arrival in scans.arrivals(frames(number))]
    assert [type(one) for one in told] == [Frames, Frames, Trouble]


def test_one_frame_far_ahead_ends_no_scan_and_two_do() -> None:
    scans = series_of(ScanGeometry(shape=(1, 2), repeat=True), frames=None)
    told = [arrival.message for number in (0, 60, 1, 60, 61) for arrival in scans.arrivals(frames(number))]
    assert [type(one) for one in told] == [ScanStart, Frames, Trouble, Frames, Trouble, ScanEnd, ScanStart, Frames]
    assert [one.scan_id for one in told if isinstance(one, ScanStart)] == ["dectris-7.1", "dectris-7.31"]


def test_the_end_of_a_series_ends_the_scan_in_progress_only() -> None:
    scans = series_of(ScanGeometry(shape=(1, 2), repeat=True), frames=None)
    assert list(scans.arrivals(SeriesEnd("7"))) == []
    scans = series_of(ScanGeometry(shape=(1, 2), repeat=True), frames=None)
    told = [arrival.message for number in range(3) for arrival in scans.arrivals(frames(number))]
    (end,) = [arrival.message for arrival in scans.arrivals(SeriesEnd("7", aborted=True))]
    assert isinstance(end, ScanEnd)
    assert (end.scan_id, end.reason) == ("dectris-7.2", "aborted")
    assert [one.reason for one in told if isinstance(one, ScanEnd)] == ["complete"]
    # what comes late begins no scan
    assert [type(arrival.message) for arrival in scans.arrivals(frames(4))] == [Frames]


@pytest.mark.parametrize(
    ("geometry", "announced", "said"),
    [
        (ScanGeometry(shape=(2, 3), flyback_frames=1), 8, False),
        # the flyback frame behind the last row need not come
        (ScanGeometry(shape=(2, 3), flyback_frames=1), 7, False),
        (ScanGeometry(shape=(2, 3), flyback_frames=1), 6, True),
        (ScanGeometry(shape=(2, 3), flyback_frames_per_scan=4), 10, False),
        (ScanGeometry(shape=(2, 3), flyback_frames_per_scan=4), 6, False),
        (ScanGeometry(shape=(2, 3), flyback_frames_per_scan=4), 11, True),
        (ScanGeometry(shape=(2, 3), repeat=True, skip_frames=1), 31, False),
        (ScanGeometry(shape=(2, 3), repeat=True, skip_frames=1), 30, True),
        (ScanGeometry(shape=(2, 3), repeat=True, flyback_frames_per_scan=2), 38, False),
        (ScanGeometry(shape=(2, 3), repeat=True, flyback_frames_per_scan=2), 36, True),
    ],
)
def test_a_number_of_frames_that_makes_no_whole_scan_is_said(
    geometry: ScanGeometry, announced: int, said: bool
) -> None:
    troubles = [one for one in begun(geometry, frames=announced) if isinstance(one, Trouble)]
    assert [one.kind for one in troubles] == ["wrong_count"] * said
    assert all(f"found {announced} announced" in one.text for one in troubles)


def test_scan_after_scan_needs_a_shape() -> None:
    (trouble,) = begun(ScanGeometry(repeat=True), frames=16)
    assert (trouble.kind, "intake.scan.shape" in trouble.text) == ("no_scan_shape", True)
    assert begun(ScanGeometry(repeat=True), frames=16, scan_shape=(2, 4)) == []


def test_a_list_of_positions_goes_with_the_start(tmp_path: Path) -> None:
    np.save(tmp_path / "list.npy", [[1, 1], [0, 0], [1, 0]])
    geometry = ScanGeometry(shape=(2, 2), positions=tmp_path / "list.npy", skip_frames=1, repeat=True)
    scans = series_of(geometry, frames=None)
    arrivals = [arrival for number in range(5) for arrival in scans.arrivals(frames(number))]
    starts = [arrival for arrival in arrivals if isinstance(arrival.message, ScanStart)]
    assert [arrival.message.order for arrival in starts if isinstance(arrival.message, ScanStart)] == ["explicit"] * 2
    assert [np.frombuffer(arrival.payload or b"", "<u4").tolist() for arrival in starts] == [[3, 0, 2]] * 2


@pytest.mark.parametrize(("aborted", "reason"), [(False, "complete"), (True, "aborted")])
def test_the_end_says_how_it_came(aborted: bool, reason: str) -> None:
    (end,) = Scans("dectris", ScanGeometry()).arrivals(SeriesEnd("7", aborted))
    assert isinstance(end.message, ScanEnd)
    assert end.message.reason == reason


def test_any_name_of_a_series_makes_an_id() -> None:
    (start,) = begun(ScanGeometry(), series="9-år/" + "x" * 99, frames=1)
    assert start.scan_id.startswith("dectris-9--r-xxx")
    assert len(start.scan_id) == LONGEST_ID


def told_by(scans: Scans, event: DetectorEvent) -> list[Any]:
    return [arrival.message for arrival in scans.arrivals(event)]


def messages(scans: Scans, *numbers: int) -> list[Any]:
    return [one for number in numbers for one in told_by(scans, frames(number))]


def test_one_wild_first_number_costs_one_frame() -> None:
    scans = series_of(ScanGeometry(shape=(2, 2), repeat=True), frames=None)
    wild, *others = messages(scans, 1000, *range(8))
    assert (wild.kind, wild.frames) == ("wrong_index", 1)
    assert [one.scan_id for one in others if isinstance(one, ScanStart)] == ["dectris-7.1", "dectris-7.2"]
    assert [one.first_index for one in others if isinstance(one, Frames)] == [0, 1, 2, 3] * 2


def test_a_series_that_is_met_in_the_middle_begins_with_its_second_message() -> None:
    scans = series_of(ScanGeometry(shape=(2, 2), repeat=True), frames=None)
    doubted, start, *others = messages(scans, 40, 41, 42)
    assert (doubted.kind, start.scan_id) == ("wrong_index", "dectris-7.11")
    assert [one.first_index for one in others] == [1, 2]
    # scans may be as short as messages
    scans = series_of(ScanGeometry(shape=(1, 1), repeat=True), frames=None)
    assert [one.scan_id for one in messages(scans, 40, 41, 42) if isinstance(one, Frames)] == [
        "dectris-7.42",
        "dectris-7.43",
    ]


def test_a_message_with_frames_of_several_scans_does_not_confirm_itself() -> None:
    scans = series_of(ScanGeometry(shape=(1, 1), repeat=True), frames=None)
    told = [arrival.message for arrival in scans.arrivals(frames(40, 3))]
    assert [(one.kind, one.frames) for one in told if isinstance(one, Trouble)] == [("wrong_index", 1)] * 3


def test_two_messages_of_a_scan_that_was_left_out_win_over_wrong_numbers() -> None:
    scans = series_of(ScanGeometry(shape=(2, 2), repeat=True), frames=None)
    told = messages(scans, 0, 1000, 1001, 1, 2, 3, 4)
    starts = [one.scan_id for one in told if isinstance(one, ScanStart)]
    assert starts == ["dectris-7.1", "dectris-7.251", "dectris-7.1", "dectris-7.2"]
    # those of a scan that has ended in its turn are late
    scans = series_of(ScanGeometry(shape=(2, 2), repeat=True), frames=None)
    told = messages(scans, 0, 1, 4, 2, 3, 5)
    assert [one.scan_id for one in told if isinstance(one, ScanStart)] == ["dectris-7.1", "dectris-7.2"]


@pytest.mark.parametrize("geometry", [ScanGeometry(), ScanGeometry(repeat=True)])
def test_a_series_without_a_shape_ends_the_scan_before_and_each_frame_of_it_is_counted(geometry: ScanGeometry) -> None:
    scans = series_of(geometry, series="6", scan_shape=(2, 2))
    list(scans.arrivals(replace(frames(0), series="6")))
    end, trouble = told_by(scans, SeriesStart("7", (2, 3), "uint16", None))
    assert isinstance(end, ScanEnd)
    assert (end.reason, trouble.kind) == ("aborted", "no_scan_shape")
    told = messages(scans, *range(10))
    assert {one.kind for one in told} == {"unknown_scan"}
    assert sum(one.frames for one in told) == 10


def test_what_a_count_of_frames_lacks_is_of_no_scan_before() -> None:
    scans = series_of(ScanGeometry(shape=(1, 2), repeat=True), series="6")
    list(scans.arrivals(replace(frames(0), series="6")))
    end, trouble = told_by(scans, SeriesStart("7", (2, 3), "uint16", 7))
    assert (type(end), trouble.kind) == (ScanEnd, "wrong_count")
    assert "expected whole scans of 2 frames" in trouble.text


def test_a_trouble_is_of_the_scan_of_its_series() -> None:
    scans = series_of(ScanGeometry(shape=(2, 2)))
    troubles = [
        Trouble("lost", "", 1, "7"),
        Trouble("lost", "", 1, "6"),
        Trouble("lost", ""),
        Trouble("connection", ""),
    ]
    found = [arrival.scan_id for trouble in troubles for arrival in scans.arrivals(trouble)]
    assert found == ["dectris-7", "", None, ""]
