"""What an intake finds of a scan that an earlier one has left unfinished."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from livestrain_daemon.config import SpoolConfig
from livestrain_daemon.intake.continuing import goes_on
from livestrain_daemon.intake.detectors.arrivals import Scans
from livestrain_daemon.intake.detectors.events import SeriesStart, Trouble
from livestrain_daemon.intake.folders import ScanFolders
from livestrain_daemon.intake.gate import OpenGate
from livestrain_daemon.intake.interrupted import Interrupted, interrupted_scan
from livestrain_daemon.intake_config import ScanGeometry
from livestrain_daemon.scanfolder.layout import FRAMES_FILE
from livestrain_daemon.scanfolder.listed import POSITIONS_FILE, Table
from livestrain_daemon.scanfolder.spool import Spool
from livestrain_wire.messages import Frames, ScanStart

START = ScanStart(scan_id="merlin-1.3", scan_shape=(4, 5), frame_shape=(2, 2), dtype="uint16", flyback_frames=1)
NAMELESS = SeriesStart("now", (2, 2), "uint16", None, beginning="nameless")


EXPLICIT = START.model_copy(update={"order": "explicit", "flyback_frames": 0})


def written(folder: Path, *frames: int, start: ScanStart = START, table: Table | None = None) -> Spool:
    """A spool with an unfinished scan of these frames."""
    folder.mkdir(exist_ok=True)
    spool = Spool.joined(folder)
    folders = ScanFolders(SpoolConfig(folder=folder, reserve_mib=0), spool, None, 1 << 20, OpenGate(), lambda _: None)
    scan = folders.open(*folders.lay_out(start, table), lambda _: lambda _kind, _text: None)
    for number in frames:
        message = Frames(scan_id="x", first_index=number, count=1, shape=(2, 2), dtype="uint16", encoding="raw")
        scan.store(message, memoryview(np.zeros((2, 2), np.uint16).tobytes()))
    scan.writer.close()
    return spool


@pytest.mark.parametrize(
    ("geometry", "reached"),
    [(ScanGeometry(), 12), (ScanGeometry(skip_frames=7), 19), (ScanGeometry(flyback_frames=1, repeat=True), 60)],
)
def test_it_is_as_far_as_the_row_of_its_last_frame(tmp_path: Path, geometry: ScanGeometry, reached: int) -> None:
    found = interrupted_scan(written(tmp_path, 0, 1, 14), geometry, 30.0)
    assert found is not None
    assert (found.start.scan_shape, found.reached, found.lasts) == ((4, 5), reached, True)


@pytest.mark.parametrize(("geometry", "reached"), [({}, 2), ({"skip_frames": 7}, 9), ({"repeat": True}, 12)])
def test_in_a_list_of_positions_it_is_as_far_as_its_last_frame(
    tmp_path: Path, geometry: dict[str, int], reached: int
) -> None:
    """Scan follows scan after as many frames as are listed, which need not be as many as there are positions."""
    table = np.array([3, 19, 7, 0, 12], np.uint32)
    np.save(tmp_path / "list.npy", table)
    spool = written(tmp_path / "spool", 0, 2, start=EXPLICIT, table=table)
    found = interrupted_scan(
        spool, ScanGeometry.model_validate({"shape": (4, 5), "positions": tmp_path / "list.npy"} | geometry), 30.0
    )
    assert found is not None
    assert found.reached == reached


def test_a_list_whose_positions_have_all_come_expects_no_rest(tmp_path: Path) -> None:
    table = np.array([3, 19, 7], np.uint32)
    assert interrupted_scan(written(tmp_path, 0, 1, 2, start=EXPLICIT, table=table), ScanGeometry(), 30.0) is None


def test_a_scan_whose_list_is_gone_is_not_gone_on_with(tmp_path: Path) -> None:
    spool = written(tmp_path, 0, start=EXPLICIT, table=np.array([3, 19, 7], np.uint32))
    (tmp_path / EXPLICIT.scan_id / POSITIONS_FILE).unlink()
    assert interrupted_scan(spool, ScanGeometry(), 30.0) is None


def test_a_spool_without_scans_has_none(tmp_path: Path) -> None:
    assert interrupted_scan(Spool.joined(tmp_path), ScanGeometry(), 30.0) is None


def test_a_scan_with_all_its_frames_expects_no_rest(tmp_path: Path) -> None:
    frames = [6 * row + column for row in range(4) for column in range(5)]
    assert interrupted_scan(written(tmp_path / "one", *frames), ScanGeometry(), 30.0) is None
    assert interrupted_scan(written(tmp_path / "two", *frames[1:]), ScanGeometry(), 30.0) is not None


def test_silence_has_ended_it(tmp_path: Path) -> None:
    spool = written(tmp_path, 0)
    before = time.time() - 31
    os.utime(tmp_path / START.scan_id / FRAMES_FILE, (before, before))
    found = interrupted_scan(spool, ScanGeometry(), 30.0)
    assert found is not None
    assert not found.lasts


def test_frames_without_a_header_have_the_shape_of_what_they_go_on_with_and_the_next_series_has_not() -> None:
    scans = Scans("merlin", ScanGeometry(), Interrupted(START, 0, time.time_ns() + 10**10))
    (arrival,) = scans.arrivals(NAMELESS)
    assert isinstance(arrival.message, ScanStart)
    assert arrival.message.scan_shape == (4, 5)
    (later,) = scans.arrivals(NAMELESS)
    assert isinstance(later.message, Trouble)
    assert later.message.kind == "no_scan_shape"


@pytest.mark.parametrize("interrupted", [None, Interrupted(START, 0, 0)], ids=["none", "too long ago"])
def test_without_such_a_scan_nobody_knows_their_shape(interrupted: Interrupted | None) -> None:
    (arrival,) = Scans("merlin", ScanGeometry(), interrupted).arrivals(NAMELESS)
    assert isinstance(arrival.message, Trouble)
    assert arrival.message.kind == "no_scan_shape"


@pytest.mark.parametrize(
    ("told", "expected"), [({}, True), ({"started": "100"}, True), ({"started": "200"}, False), ({"more": 1}, True)]
)
def test_frames_of_another_measurement_are_not_its_rest(
    told: dict[str, str | int | float | bool], expected: bool
) -> None:
    scan = START.model_copy(update={"metadata": {"started": "100"}})
    found = scan.model_copy(update={"scan_id": "merlin-2.3", "metadata": told})
    assert goes_on(scan, found, "nameless") is expected
