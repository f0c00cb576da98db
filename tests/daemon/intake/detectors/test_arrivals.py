"""Scans made of what a detector tells."""

from typing import Any

import numpy as np
import pytest

from livestrain_daemon.intake.detectors.arrivals import LONGEST_ID, Scans
from livestrain_daemon.intake.detectors.events import SeriesEnd, SeriesFrames, SeriesStart, Trouble
from livestrain_daemon.intake_config import ScanGeometry
from livestrain_wire.messages import Frames, ScanEnd, ScanStart

PIXELS = np.arange(6, dtype="<u2").tobytes()


def begun(geometry: ScanGeometry, **fields: Any) -> list[Any]:
    start = {"series": "7", "frame_shape": (2, 3), "dtype": "uint16", "frames": None, **fields}
    return [arrival.message for arrival in Scans("dectris", geometry).arrivals(SeriesStart(**start))]


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


def test_without_a_shape_and_a_count_a_series_is_no_scan_and_its_frames_are_left() -> None:
    scans = Scans("merlin", ScanGeometry())
    (told,) = scans.arrivals(SeriesStart("7", (2, 3), "uint16", None))
    assert isinstance(told.message, Trouble)
    assert "intake.scan.shape" in told.message.text
    assert list(scans.arrivals(frames(0))) == []
    assert list(scans.arrivals(SeriesEnd("7"))) == []
    (start,) = scans.arrivals(SeriesStart("8", (2, 3), "uint16", 4))
    assert isinstance(start.message, ScanStart)


def test_frames_keep_their_pixels_and_lose_those_to_be_skipped() -> None:
    scans = Scans("dectris", ScanGeometry(skip_frames=2))
    skipped, kept = (next(scans.arrivals(frames(first))) for first in (1, 2))
    assert isinstance(skipped.message, Trouble)
    assert (skipped.message.kind, skipped.message.frames) == ("flyback", 1)
    assert isinstance(kept.message, Frames)
    assert (kept.message.first_index, kept.message.count, kept.frames) == (0, 1, 1)
    assert bytes(kept.payload or b"") == PIXELS
    (both,) = scans.arrivals(frames(1, 2))
    assert isinstance(both.message, Trouble)
    assert both.message.frames == 2


@pytest.mark.parametrize(("aborted", "reason"), [(False, "complete"), (True, "aborted")])
def test_the_end_says_how_it_came(aborted: bool, reason: str) -> None:
    (end,) = Scans("dectris", ScanGeometry()).arrivals(SeriesEnd("7", aborted))
    assert isinstance(end.message, ScanEnd)
    assert end.message.reason == reason


def test_any_name_of_a_series_makes_an_id() -> None:
    (start,) = begun(ScanGeometry(), series="9-år/" + "x" * 99, frames=1)
    assert start.scan_id.startswith("dectris-9--r-xxx")
    assert len(start.scan_id) == LONGEST_ID
