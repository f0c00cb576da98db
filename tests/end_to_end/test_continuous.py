"""Scan after scan without a hand on the daemon, within the limits of the spool."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from helpers.rig import RenderedScan, Rig, maps_of, running
from helpers.waiting import wait_until
from livestrain_client.live import Live
from livestrain_client.updates import EventSeen, ScanBegan
from livestrain_simulator.sender import FrameSender

SHAPES = [(10, 12), (12, 10), (9, 14)]
SCANS = 8
MIB = 1 << 20


@pytest.fixture(scope="module")
def scans() -> list[RenderedScan]:
    """Eight scans of three kinds."""
    kinds = [RenderedScan(shape, seed=seed) for seed, shape in enumerate(SHAPES)]
    return [kinds[number % len(kinds)] for number in range(SCANS)]


class Viewer:
    """Follows, and keeps what it was told."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.began: list[str] = []
        self.removals: list[str] = []

    def listen(self) -> None:
        for update in self.live.poll(0.02):
            if isinstance(update, ScanBegan):
                self.began.append(update.scan.start.scan_id)
            if isinstance(update, EventSeen) and update.event.name == "scan_removed":
                self.removals.append(update.event.text)

    def removals_heard(self) -> int:
        self.listen()
        return len(self.removals)

    def has_all_of(self, scan_id: str) -> bool:
        self.listen()
        return self.live.scan is not None and self.live.scan.start.scan_id == scan_id and self.live.final


def name(number: int) -> str:
    return f"scan-{number:02d}"


def folders(rig: Rig) -> list[str]:
    return sorted(path.name for path in rig.spool.iterdir() if path.is_dir())


def descriptors(rig: Rig) -> dict[int, int]:
    """Open files and sockets of main, intake and workers, by process."""
    return {process.pid: process.num_fds() for process in (rig.main, *rig.children())}


def send(sender: FrameSender, scan: RenderedScan, number: int) -> None:
    sender.start(scan.start(name(number)))
    scan.send_frames(sender, 0)
    sender.end("complete", len(scan.frames))
    sender.flush()


def check_whole(folder: Path, scan: RenderedScan) -> None:
    """Every frame is at its place, every position analysed."""
    total = scan.frames.sum(axis=(1, 2), dtype=np.uint64)
    with h5py.File(folder / "frames.h5") as frames:
        assert np.array_equal(frames["frames"][...].reshape(scan.frames.shape), scan.frames)
    with h5py.File(folder / "results-0001.h5") as results:
        assert np.all(results["ledger/diffraction"][...] == 1)
        assert np.array_equal(results["maps/total"][...].ravel(), total)
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    (end,) = [line for line in lines if line["kind"] == "scan_ended"]
    assert (end["stored"], end["missing"], end["reason"]) == (len(scan.frames), 0, "complete")


def test_eight_scans_back_to_back_leave_three_whole_folders_and_a_viewer_sees_all(
    tmp_path: Path, scans: list[RenderedScan]
) -> None:
    with running(tmp_path, spool__keep_scans="3") as rig, rig.live() as live:
        viewer = Viewer(live)
        with FrameSender(rig.ports.frames_endpoint) as sender:
            # these begin before the ones before them are analysed
            for number in range(4):
                send(sender, scans[number], number)
            wait_until(lambda: viewer.has_all_of(name(3)), 60, "the fourth scan")
            wait_until(lambda: folders(rig) == [name(number) for number in (1, 2, 3)], 60, "the first to go")
            before, memory = descriptors(rig), rig.main.memory_info().rss
            with rig.live() as joined:
                for number in range(4, SCANS):
                    send(sender, scans[number], number)
                wait_until(lambda: viewer.has_all_of(name(SCANS - 1)), 60, "the last scan")
                wait_until(lambda: Viewer(joined).has_all_of(name(SCANS - 1)), 60, "the last scan for who came late")
                assert maps_of(joined) == maps_of(live)
        wait_until(lambda: folders(rig) == [name(number) for number in (5, 6, 7)], 60, "three folders")
        wait_until(lambda: viewer.removals_heard() == SCANS - 3, 20, "five removals to be told")
        assert viewer.began == [name(number) for number in range(SCANS)]
        assert sorted(text.split()[1] for text in viewer.removals) == viewer.began[:5]
        # not one went before its analysis was done
        assert not [text for text in viewer.removals if "never analysed" in text]
        for number in (5, 6, 7):
            check_whole(rig.spool / name(number), scans[number])
        with rig.control() as control:
            listed = control.scans().scans
        assert [(one.scan_id, one.state, one.analysed) for one in listed] == [
            (name(number), "ended", len(scans[number].frames)) for number in (7, 6, 5)
        ]
        # one may be in the midst of something
        wait_until(lambda: all(after <= before[pid] + 1 for pid, after in descriptors(rig).items()), 20, "files closed")
        assert rig.main.memory_info().rss < memory + 30 * MIB
        assert not list(rig.spool.glob(".removed-*"))
