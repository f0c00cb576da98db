"""A spool of two scans under load: somebody watches, exports and keeps while scan after scan comes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from helpers.rig import RenderedScan, Rig, maps_of, running
from helpers.waiting import wait_until
from livestrain_client.cli import exits
from livestrain_client.cli.command import run
from livestrain_client.errors import RequestRefused
from livestrain_client.live import Live
from livestrain_client.updates import EventSeen, ScanBegan
from livestrain_daemon.export import Choice, read_scan, write_scan
from livestrain_simulator.sender import FrameSender
from livestrain_wire.messages import Event

NAMES = [f"scan-{number}" for number in range(6)]
KEPT, EXPORTED = NAMES[:2]
PIB = str(1 << 30)
"""More MiB than any disk has."""


class Viewer:
    """Follows, and keeps what it was told."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.began: list[str] = []
        self._events: list[Event] = []

    def listen(self) -> None:
        for update in self.live.poll(0.02):
            if isinstance(update, ScanBegan):
                self.began.append(update.scan.start.scan_id)
            if isinstance(update, EventSeen):
                self._events.append(update.event)

    def follow(self, scan_id: str) -> None:
        """Until all of a scan is here."""

        def whole() -> bool:
            self.listen()
            return self.live.scan is not None and self.live.scan.start.scan_id == scan_id and self.live.final

        wait_until(whole, 60, scan_id)

    def texts(self, name: str) -> list[str]:
        """What the events of a name say."""
        self.listen()
        return [event.text for event in self._events if event.name == name]


def send(rig: Rig, scan: RenderedScan, *names: str) -> None:
    with FrameSender(rig.ports.frames_endpoint) as sender:
        for name in names:
            sender.start(scan.start(name))
            scan.send_frames(sender, 0)
            sender.end("complete", len(scan.frames))
        sender.flush()


def folders(rig: Rig) -> list[str]:
    return sorted(path.name for path in rig.spool.iterdir() if (path / "frames.h5").exists())


def journal(rig: Rig, scan_id: str) -> list[str]:
    """The kinds of its lines."""
    lines = (rig.spool / scan_id / "journal.jsonl").read_text().splitlines()
    return [json.loads(line)["kind"] for line in lines]


def removals_counted(rig: Rig) -> set[str]:
    """Of the metrics, the lines about scans that were removed, without their name."""
    name = "livestrain_scans_removed"
    lines = rig.daemon.metrics().splitlines()
    return {line.removeprefix(name) for line in lines if line.startswith(name)}


def check_table(path: Path, scan: RenderedScan) -> None:
    """The exported counts are those of the frames."""
    rows = list(csv.DictReader(line for line in path.read_text().splitlines() if not line.startswith("#")))
    total = scan.frames.sum(axis=(1, 2), dtype=np.uint64)
    assert [int(float(row["total"])) for row in rows] == total.tolist()


def test_nothing_goes_that_is_kept_or_exported_all_else_goes_and_a_viewer_sees_every_scan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = RenderedScan((8, 10))
    limits = {"spool__keep_scans": "2", "spool__keep_free_mib": PIB}
    with running(tmp_path, **limits) as rig, rig.live() as live, rig.live() as other, rig.control() as control:
        viewer = Viewer(live)
        send(rig, scan, KEPT)
        viewer.follow(KEPT)
        assert run(["scans", "--keep", KEPT, "--control", rig.ports.control_endpoint]) == exits.OK
        send(rig, scan, EXPORTED)
        viewer.follow(EXPORTED)
        # an export that takes as long as four scans
        exported = read_scan(rig.spool / EXPORTED, Choice(maps=("total",)))
        send(rig, scan, *NAMES[2:])
        viewer.follow(NAMES[-1])
        expected = [KEPT, EXPORTED, *NAMES[-2:]]
        wait_until(lambda: folders(rig) == expected, 60, "two scans to go")
        assert exported.vectors is not None
        check_table(write_scan(exported, "csv", tmp_path / "table.csv")[0], scan)
        with pytest.raises(RequestRefused, match="is being written or exported: try again"):
            control.remove(EXPORTED)
        del exported
        control.remove(EXPORTED)
        with pytest.raises(RequestRefused, match=f"scan {KEPT} is retained: release it first"):
            control.remove(KEPT)
        wait_until(lambda: len(viewer.texts("scan_removed")) == 3, 20, "three removals to be told")
        why = {text.split()[1]: text.rpartition(": ")[2] for text in viewer.texts("scan_removed")}
        too_many = "more scans than spool.keep_scans"
        assert why == {NAMES[2]: too_many, NAMES[3]: too_many, EXPORTED: "as asked for"}
        # space that cannot be had is told once, and costs no scan
        log = rig.daemon.log.read_text().splitlines()
        (told,) = [line for line in log if "spool_over_limit" in line]
        assert "spool.keep_free_mib needs " in told
        assert viewer.began == NAMES
        late = Viewer(other)
        late.follow(NAMES[-1])
        assert maps_of(other) == maps_of(live)
        assert journal(rig, KEPT).count("retained") == 1
        listed = control.scans()
        assert [(one.scan_id, one.state, one.stored, one.analysed, one.retained) for one in listed.scans] == [
            (name, "ended", 80, 80, name == KEPT) for name in (*NAMES[:-3:-1], KEPT)
        ]
        assert listed.total == 3
        counts = {'_total{why="count"} 2.0', '_total{why="asked"} 1.0'}
        wait_until(lambda: counts <= removals_counted(rig), 20, "the metrics to tell of three removals")
    assert f"{KEPT} is retained" in capsys.readouterr().err
