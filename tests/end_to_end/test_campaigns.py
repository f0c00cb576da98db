"""A few mixtures of faults through the complete daemon: every position is analysed or missing, and counts agree."""

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.rig import RenderedScan, running
from helpers.waiting import wait_until
from livestrain_client.rig.processes import free_ports
from livestrain_daemon.scanfolder.layout import open_frames
from livestrain_daemon.scanfolder.reader import FrameReader
from livestrain_simulator.delivery import Acquisition, Delivery, DetectorName, EmulatedDetector, Report, no_news
from livestrain_simulator.emulators.choice import DETECTORS, deliver
from livestrain_simulator.emulators.faults import EXCLUSIVE, Among, Faults, Kind
from livestrain_simulator.send import Sending

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


@pytest.mark.parametrize("name", NAMES)
def test_mixtures_of_faults(tmp_path: Path, small: RenderedScan, name: DetectorName) -> None:
    ports = free_ports()
    stream, control = (int(endpoint.rpartition(":")[2]) for endpoint in (ports.frames_endpoint, ports.maps_endpoint))
    section, table = table_of(name, stream, control)
    settings = {f"intake__{section}": json.dumps(table), "intake__scan": json.dumps({"shape": SHAPE})}
    possible = [kind for kind in KINDS if kind not in DETECTORS[name].cannot]
    faults = Faults({kind: Among(0.1) for kind in possible}, seed=3)
    acquisition = Acquisition(small.start("scan"), FRAMES, lambda: iter([small.frames]))
    detector = EmulatedDetector(name, "127.0.0.1", stream, control)
    delivery = Delivery(sending=Sending("lz4"), faults=faults, detector=detector, scans=SCANS)
    reports: list[Report] = []
    with running(tmp_path, intake__silence_seconds="3", **settings) as rig:
        deliver(acquisition, delivery, no_news, reports.append)
        deliver(acquisition, replace(delivery, faults=Faults(), scans=1), no_news, reports.append)

        def folders() -> list[Path]:
            return [path.parent for path in rig.spool.glob("*/frames.h5")]

        wait_until(lambda: len(folders()) == SCANS + 1, 30, "all scans")
        wait_until(lambda: (ended := rig.status().ended) is not None and ended.stored == FRAMES, 60, "the last scan")
        found: Counter[frozenset[int]] = Counter()
        for folder in folders():
            numbers, frames = stored_frames(folder)
            found[frozenset(numbers)] += 1
            there = sorted(numbers)
            np.testing.assert_array_equal(frames[there], small.frames[there])
        assert found == Counter(frozenset(report.record.whole) for report in reports if report.record)
