"""Every kind of file gives the same pixels: read, and in place of a detector."""

from itertools import takewhile
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.events import SeriesEnd, SeriesFrames, SeriesStart
from livestrain_daemon.intake.detectors.recorded import RecordedDetector
from livestrain_daemon.intake.recorded_file import RecordedFile
from livestrain_daemon.intake_config import ScanGeometry
from livestrain_recordings.opening import open_recording
from recordings.kinds import STACKS, every_kind, made


@every_kind
def test_a_file_is_read_as_it_was_written(kind: str, tmp_path: Path) -> None:
    path, truth = made(kind, tmp_path)
    with open_recording(path) as recording:
        assert recording.shape == truth.shape
        assert recording.dtype == truth.dtype.name
        assert recording.absent is None
        np.testing.assert_array_equal(np.concatenate(list(recording.blocks())).reshape(truth.shape), truth)


@every_kind
def test_a_file_is_a_detector_for_the_pipeline(kind: str, tmp_path: Path) -> None:
    path, truth = made(kind, tmp_path)
    scan = truth.shape[:2] if truth.ndim == 4 else (len(truth), 1)
    # a file that has a place for each position is not asked where it is
    geometry = ScanGeometry() if truth.ndim == 4 else ScanGeometry(shape=scan)
    events = RecordedDetector(RecordedFile(path=path, scan_id="one"), geometry).events(Event())
    start, *frames, end = takewhile(lambda event: event is not None, events)
    assert isinstance(start, SeriesStart)
    assert (start.scan_shape, start.frames, start.dtype) == (scan, scan[0] * scan[1], truth.dtype.name)
    assert end == SeriesEnd("one")
    pixels = []
    for one in frames:
        assert isinstance(one, SeriesFrames)
        pixels.append(np.frombuffer(one.payload, one.dtype))
    np.testing.assert_array_equal(np.concatenate(pixels), truth.ravel())


@pytest.mark.parametrize("kind", STACKS)
def test_a_stack_asks_for_the_shape_of_the_scan(kind: str, tmp_path: Path) -> None:
    path, truth = made(kind, tmp_path)
    with pytest.raises(Unavailable, match=rf"has {len(truth)} frames, .*: give --scan-shape ROWSxCOLUMNS"):
        next(RecordedDetector(RecordedFile(path=path, scan_id="one"), ScanGeometry()).events(Event()))
