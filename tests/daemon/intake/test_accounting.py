"""Whose faults are whose: of the scan in progress, or of none."""

from pathlib import Path

import pytest

from livestrain_daemon.config import SpoolConfig
from livestrain_daemon.intake.detectors.arrivals import Scans
from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesFrames, SeriesStart, Trouble
from livestrain_daemon.intake.folders import ScanFolders
from livestrain_daemon.intake.gate import OpenGate
from livestrain_daemon.intake.openscan import OpenScan
from livestrain_daemon.intake.receiver import Arrival
from livestrain_daemon.intake.session import Session
from livestrain_daemon.intake_config import ScanGeometry
from livestrain_daemon.messages import FaultSeen, ScanClosed
from livestrain_daemon.scanfolder.spool import Spool
from livestrain_wire.messages import Message, ScanEnd

PIXELS = memoryview(bytes(4))


class Intake:
    """A session, and what a detector tells it."""

    def __init__(self, spool: Path, geometry: ScanGeometry) -> None:
        self.told: list[Message] = []
        config = SpoolConfig(folder=spool, record=True)
        folders = ScanFolders(config, Spool.joined(spool), None, 1 << 20, OpenGate(), self.told.append)
        self.session = Session(folders, self.told.append, OpenScan.close, 60.0, armed=True)
        self._scans = Scans("d", geometry)

    def hear(self, *events: DetectorEvent) -> None:
        for event in events:
            for arrival in self._scans.arrivals(event):
                self.session.take(arrival)

    @property
    def lost(self) -> dict[str, int]:
        """What is of no scan."""
        return dict(+self.session.idle_faults.counts)

    def closed(self) -> list[tuple[str, str, dict[str, int]]]:
        return [(one.scan_id, one.reason, one.faults) for one in self.told if isinstance(one, ScanClosed)]


def start(series: str, frames: int | None = 4) -> SeriesStart:
    return SeriesStart(series, (2, 2), "uint8", frames)


def frame(series: str, number: int) -> SeriesFrames:
    return SeriesFrames(series, number, 1, (2, 2), "uint8", "raw", PIXELS, 4)


def test_a_trouble_counts_for_the_scan_of_its_series_and_a_connection_for_none(tmp_path: Path) -> None:
    intake = Intake(tmp_path, ScanGeometry(shape=(2, 2)))
    intake.hear(start("1"), frame("1", 0), Trouble("lost", "", 3, "1"), Trouble("lost", "", 5, "0"))
    intake.hear(Trouble("connection", "nobody there"), Trouble("bad_message", ""))
    intake.session.close("complete")
    assert intake.closed() == [("d-1", "complete", {"lost": 3, "bad_message": 1})]
    assert intake.lost == {"lost": 5, "connection": 1}


def test_a_wrong_count_is_not_of_the_scan_before(tmp_path: Path) -> None:
    intake = Intake(tmp_path, ScanGeometry(shape=(1, 2), repeat=True))
    intake.hear(start("1"), frame("1", 0), frame("1", 1), start("2", frames=7), frame("2", 0))
    assert intake.closed() == [("d-1.1", "complete", {})]
    assert intake.lost == {"wrong_count": 1}


@pytest.mark.parametrize(("frames", "reason"), [(4, "complete"), (3, "aborted")])
def test_a_scan_whose_end_is_lost_is_complete_if_it_has_all_its_frames(
    tmp_path: Path, frames: int, reason: str
) -> None:
    intake = Intake(tmp_path, ScanGeometry(shape=(2, 2)))
    intake.hear(start("1"), *(frame("1", number) for number in range(frames)), start("2"))
    assert intake.closed() == [("d-1", reason, {})]


@pytest.mark.parametrize("frames", [4, 3])
def test_a_scan_of_a_sender_that_begins_the_next_or_is_stopped_is_complete_with_all_its_frames(
    tmp_path: Path, frames: int
) -> None:
    intake = Intake(tmp_path, ScanGeometry(shape=(2, 2)))
    for scan, reason in (("1", "stopped"), ("2", "silence"), ("3", "superseded"), ("4", "aborted")):
        intake.hear(start(scan), *(frame(scan, number) for number in range(frames)))
        intake.session.close(reason)
        assert intake.closed()[-1] == (f"d-{scan}", "complete" if frames == 4 else reason, {})


def test_each_frame_of_a_series_without_a_shape_is_counted_and_the_scan_before_is_over(tmp_path: Path) -> None:
    intake = Intake(tmp_path, ScanGeometry())
    intake.hear(start("1"), frame("1", 0), start("2", None), *(frame("2", number) for number in range(9)))
    assert intake.session.scan is None
    assert intake.closed() == [("d-1", "aborted", {})]
    assert intake.lost == {"no_scan_shape": 1, "unknown_scan": 9}
    assert len([one for one in intake.told if isinstance(one, FaultSeen)]) == 2


@pytest.mark.parametrize("scan_id", ["d-1", "somebody"])
def test_an_end_that_ends_nothing_is_no_lost_frame(tmp_path: Path, scan_id: str) -> None:
    intake = Intake(tmp_path, ScanGeometry())
    intake.hear(start("1"), *(frame("1", number) for number in range(4)))
    intake.session.take(Arrival(ScanEnd(scan_id="d-1")))
    intake.session.take(Arrival(ScanEnd(scan_id=scan_id)))
    assert intake.closed() == [("d-1", "complete", {})]
    assert intake.lost == {}
    said = [one.text for one in intake.told if isinstance(one, FaultSeen)]
    assert len(said) == (scan_id == "somebody")
    assert all("found that of scan somebody" in text for text in said)
