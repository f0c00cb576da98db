"""Scan after scan without a hand on the daemon, within the limits of the spool."""

import json
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

from helpers.rig import RenderedScan, Rig, follow, running
from helpers.waiting import wait_until
from livestrain_client.live import Live
from livestrain_client.updates import EventSeen, ScanBegan
from livestrain_simulator.sender import FrameSender

SHAPES = [(10, 12), (12, 10), (9, 14)]


@pytest.fixture(scope="module")
def small_scans() -> list[RenderedScan]:
    return [RenderedScan(shape, seed=seed) for seed, shape in enumerate(SHAPES)]


def descriptors(rig: Rig) -> dict[str, int]:
    """Open files and sockets of main and its children, by what they run."""
    found = {"main": rig.main.num_fds()}
    for number, child in enumerate(sorted(rig.children(), key=lambda child: child.pid)):
        found[f"{child.cmdline()[2]} {number}"] = child.num_fds()
    return found


def test_twelve_scans_back_to_back_keep_three_folders_and_a_viewer_sees_all(
    tmp_path: Path, small_scans: list[RenderedScan]
) -> None:
    began: list[str] = []
    removed: list[str] = []
    with running(tmp_path, spool__keep_scans="3") as rig, rig.live() as live:

        def listen() -> None:
            for update in live.poll(0.02):
                if isinstance(update, ScanBegan):
                    began.append(update.scan.start.scan_id)
                if isinstance(update, EventSeen) and update.event.name == "scan_removed":
                    removed.append(update.event.text.split()[1])

        def ended(scan_id: str) -> bool:
            listen()
            return live.scan is not None and live.scan.start.scan_id == scan_id and live.final

        counts = []
        with FrameSender(rig.ports.frames_endpoint) as sender:
            for number in range(12):
                scan = small_scans[number % 3]
                sender.start(scan.start(f"scan-{number:02d}"))
                scan.send_frames(sender, 0)
                sender.end("complete", len(scan.frames))
                sender.flush()
                if number % 4 == 3:
                    # some are over before the next begins, the others are not
                    wait_until(lambda number=number: ended(f"scan-{number:02d}"), 60, f"scan {number}")
                    counts.append(descriptors(rig))
        wait_until(lambda: listen() or len(removed) == 9, 30, "nine scans to be removed")
        wait_until(lambda: len(left(rig)) == 3, 30, "three folders")
        assert began == [f"scan-{number:02d}" for number in range(12)]
        assert sorted(removed) == began[:9]
        assert left(rig) == began[9:]
        total = live.maps["total"].values
        assert np.array_equal(total.ravel(), small_scans[11 % 3].frames.sum(axis=(1, 2), dtype=np.uint64))
        for number in range(9, 12):
            check_whole(rig.spool / f"scan-{number:02d}", small_scans[number % 3])
        assert not [path.name for path in rig.spool.iterdir() if path.name.startswith(".removed-")]


def left(rig: Rig) -> list[str]:
    return sorted(path.name for path in rig.spool.iterdir() if path.is_dir())


def check_whole(folder: Path, scan: RenderedScan) -> None:
    """Every frame is at its place, every position analysed."""
    with h5py.File(folder / "frames.h5") as frames:
        assert np.array_equal(frames["frames"][...].reshape(scan.frames.shape), scan.frames)
    with h5py.File(folder / "results-0001.h5") as results:
        assert np.all(results["ledger/diffraction"][...] == 1)
        assert np.array_equal(results["maps/total"][...].ravel(), scan.frames.sum(axis=(1, 2), dtype=np.uint64))
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    (end,) = [line for line in lines if line["kind"] == "scan_ended"]
    assert (end["stored"], end["missing"], end["reason"]) == (len(scan.frames), 0, "complete")
