"""What an emulator remembers of its scans takes little memory, and not for ever."""

import gc
import socket
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.waiting import wait_until
from livestrain_simulator.delivery import Delivery, EmulatedDetector, Report
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.emulators.tally import Tally
from livestrain_simulator.replay import replay

HOST = "127.0.0.1"


def test_counts_are_those_of_a_dictionary() -> None:
    random = np.random.default_rng(3)
    tally = Tally()
    expected: dict[int, int] = {}
    for number, times in zip(
        random.integers(0, 5000, 3000).tolist(), random.integers(1, 4, 3000).tolist(), strict=True
    ):
        tally.add(number, times)
        expected[number] = expected.get(number, 0) + times
    assert tally.counts() == expected
    assert (tally.total, tally.different) == (sum(expected.values()), len(expected))


def test_a_frame_that_leaves_very_often_is_counted_in_the_total() -> None:
    tally = Tally()
    tally.add(2, 1000)
    assert (tally.total, tally.different, tally.counts()) == (1000, 1, {2: 255})


def test_the_record_of_a_large_scan_takes_a_byte_or_two_for_each_frame() -> None:
    record = ScanRecord(0, 1 << 16)
    for number in range(1 << 16):
        record.left(number)
    assert record.nbytes <= 2 << 16
    assert (record.sent, record.lost) == (1 << 16, 0)
    assert record.stored().all()


@pytest.mark.parametrize("name", ["merlin", "asi"])
def test_scans_that_have_been_told_are_forgotten(tmp_path: Path, name: Any) -> None:
    np.save(tmp_path / "scan.npy", np.ones((4, 5, 16, 16), np.uint16))
    records: list[weakref.ref[Any]] = []
    alive: list[int] = []

    def tell(report: Report) -> None:
        records.append(weakref.ref(report.record))
        gc.collect()
        alive.append(sum(record() is not None for record in records))

    with socket.create_server((HOST, 0)) as taken:
        port = int(taken.getsockname()[1])
    delivery = Delivery(detector=EmulatedDetector(name, stream_port=port, control_port=0), scans=6)
    receiver = socket.socket()

    def say(line: str) -> None:
        if "[intake.scan]" in line:
            wait_until(lambda: receiver.connect_ex((HOST, port)) == 0, 20, "a detector")

    with receiver:
        last = replay(tmp_path / "scan.npy", delivery, say=say, tell=tell)
    assert len(alive) == 6
    assert max(alive) <= 2
    assert last.record is not None
    assert last.record.whole == set(range(20))
