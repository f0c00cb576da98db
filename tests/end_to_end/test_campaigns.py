"""Faults through the complete daemon: every position is analysed or missing, its values are right, counts agree."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.rig import RenderedScan, follow, running
from helpers.waiting import wait_until
from livestrain_client.rig.processes import free_ports
from livestrain_daemon.scanfolder.journal import read_journal
from livestrain_daemon.scanfolder.layout import open_frames
from livestrain_daemon.scanfolder.reader import FrameReader
from livestrain_daemon.scanfolder.results import ResultsFile, ResultState, open_results, revisions
from livestrain_simulator.delivery import Acquisition, Delivery, DetectorName, EmulatedDetector, Report, no_news
from livestrain_simulator.emulators.choice import DETECTORS, deliver
from livestrain_simulator.emulators.faults import EXCLUSIVE, Among, Faults, Kind
from livestrain_simulator.send import Sending
from livestrain_wire.messages import ScanEntry

SHAPE = (4, 5)
FRAMES = 20
SCANS = 5
NAMES = ("dectris-v2", "merlin", *(("dectris-v1", "asi-jsonimage") if "LIVESTRAIN_CAMPAIGN" in os.environ else ()))
KINDS: tuple[Kind, ...] = (*EXCLUSIVE, "second_series")


@pytest.fixture(scope="module")
def small() -> RenderedScan:
    return RenderedScan(SHAPE)


def table_of(name: str, stream: int, control: int) -> tuple[str, dict[str, Any]]:
    if name == "merlin":
        return "merlin", {"host": "127.0.0.1", "data_port": stream}
    if name == "asi-jsonimage":
        return "asi", {"host": "127.0.0.1", "data_port": stream, "rest_port": control}
    return "dectris", {"host": "127.0.0.1", "stream": name[-2:], "stream_port": stream, "rest_port": control}


def stored_frames(folder: Path) -> tuple[set[int], Any]:
    with FrameReader(open_frames(folder)) as reader:
        return set(np.flatnonzero(np.array(reader.ledger()) == 1).tolist()), np.array(reader.read(0, FRAMES))


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory, small: RenderedScan) -> Path:
    """What the daemon finds out by itself of the same frames, so that all scans are analysed alike."""
    folder = tmp_path_factory.mktemp("native")
    with running(folder) as rig, rig.live() as live:
        small.send(rig, "scan")
        follow(live, "scan")
        assert live.plan is not None
        path = folder / "plan.json"
        path.write_text(json.dumps(live.plan.plan))
        return path


def deliveries(name: DetectorName) -> list[tuple[Faults, int]]:
    """What goes wrong in how many scans, the last of them a scan in which nothing does."""
    possible = [kind for kind in KINDS if kind not in DETECTORS[name].cannot]
    mixed = Faults({kind: Among(0.1) for kind in possible}, seed=3)
    rates: dict[Kind, Among] = {"drop": Among(0.1), "duplicate": Among(0.2)}
    return [
        (mixed, SCANS),
        (Faults(rates, abort_at=13, seed=4), 1),
        (Faults(rates, rearm=9, seed=5), 2),
        (Faults(short_by=3), 1),
        (Faults(), 1),
    ]


def values_of(folder: Path) -> tuple[NDArray[np.uint8], dict[str, NDArray[Any]]]:
    """The ledger of the analysis, and every value of each position."""
    layout = open_results(folder, revisions(folder)[-1])
    names = [name for name in layout.stages["diffraction"] if not layout.outputs[name].per_block]
    with ResultsFile(layout, read_only=True) as results:
        return results.ledger("diffraction"), {name: results.read(name, 0, FRAMES) for name in names}


def check_values(folder: Path, stored: set[int], clean: dict[str, NDArray[Any]]) -> None:
    """What is stored is analysed as in a scan in which nothing went wrong; elsewhere nothing is measured."""
    states, values = values_of(folder)
    there, absent = sorted(stored), sorted(set(range(FRAMES)) - stored)
    assert states.tolist() == [ResultState.ANALYSED if one in stored else ResultState.MISSING for one in range(FRAMES)]
    assert values.keys() == clean.keys()
    for name, found in values.items():
        np.testing.assert_array_equal(found[there], clean[name][there], err_msg=f"{folder.name}: {name}")
        if found.dtype.kind == "f":
            assert np.isnan(found[absent]).all(), f"{folder.name}: {name}"


def check_counts(entry: ScanEntry, stored: set[int]) -> None:
    """The daemon's list of scans and the journal say the same, and every position is in one count."""
    (end,) = [line for line in read_journal(Path(entry.folder)) if line["kind"] == "scan_ended"]
    counts = end["stages"]["diffraction"]
    assert counts["analysed"] + counts["failed"] + counts["dropped"] + counts["missing"] == end["positions"] == FRAMES
    assert (counts["analysed"], counts["missing"]) == (len(stored), FRAMES - len(stored))
    told = (entry.stored, entry.missing, entry.analysed, entry.failed, entry.dropped, entry.reason)
    expected = (end["stored"], end["missing"], counts["analysed"], counts["failed"], counts["dropped"], end["reason"])
    assert told == expected
    assert (entry.stored, entry.missing) == (len(stored), FRAMES - len(stored))


@pytest.mark.parametrize("name", NAMES)
def test_mixtures_of_faults(tmp_path: Path, small: RenderedScan, plan: Path, name: DetectorName) -> None:
    ports = free_ports()
    stream, control = (int(endpoint.rpartition(":")[2]) for endpoint in (ports.frames_endpoint, ports.maps_endpoint))
    section, table = table_of(name, stream, control)
    settings = {f"intake__{section}": json.dumps(table), "intake__scan": json.dumps({"shape": SHAPE})}
    acquisition = Acquisition(small.start("scan"), FRAMES, lambda: iter([small.frames]))
    detector = EmulatedDetector(name, "127.0.0.1", stream, control)
    reports: list[Report] = []
    with running(tmp_path, intake__silence_seconds="3", analysis__plan=str(plan), **settings) as rig:
        for faults, scans in deliveries(name):
            delivery = Delivery(sending=Sending("lz4"), faults=faults, detector=detector, scans=scans)
            deliver(acquisition, delivery, no_news, reports.append)
        expected = Counter(frozenset(report.record.whole) for report in reports if report.record)

        def ended() -> list[ScanEntry]:
            with rig.control() as asked:
                entries = asked.scans().scans
            is_over = len(entries) == expected.total() and all(entry.state == "ended" for entry in entries)
            return list(entries) if is_over else []

        entries = wait_until(ended, 60, "the end of all scans")
        assert entries
        # the newest first
        clean = values_of(Path(entries[0].folder))[1]
        found: Counter[frozenset[int]] = Counter()
        for entry in entries:
            numbers, frames = stored_frames(Path(entry.folder))
            found[frozenset(numbers)] += 1
            there = sorted(numbers)
            np.testing.assert_array_equal(frames[there], small.frames[there])
            check_counts(entry, numbers)
            check_values(Path(entry.folder), numbers, clean)
        assert found == expected
        assert entries[0].missing == 0
        assert {entry.reason for entry in entries} >= {"complete", "aborted"}
