"""A receiver that comes when a scan has begun has missed its start: what still comes is taken, and that is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.campaign import SIDE, pixels
from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_daemon.messages import FaultSeen
from livestrain_simulator.emulators.dectris.emulator import DectrisEmulator, EmulatorSettings
from livestrain_simulator.emulators.dectris.rest import RestServer
from livestrain_simulator.emulators.dectris.series import Setting
from livestrain_simulator.emulators.faults import Faults
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind
from livestrain_simulator.emulators.native_faults import FaultySender
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.send import Sending, send_scan
from livestrain_simulator.sender import FrameSender
from livestrain_wire.messages import ScanStart

SHAPE = (6, 6)
MISSED = 5
"""Frames before the receiver is there."""
FRAMES = pixels(1, 36)
STORED = 1


def check(intake: IntakeProcess, record: ScanRecord, expected: int) -> None:
    """All that came is stored, and nothing else."""
    closed = intake.closed()
    ledger, frames = intake.on_disk(closed.scan_id)
    stored = np.flatnonzero(ledger == STORED)
    assert stored.tolist() == sorted(record.whole)
    assert len(stored) == expected
    np.testing.assert_array_equal(frames[stored], FRAMES[stored])


def told(intake: IntakeProcess) -> dict[str, str]:
    return {fault.kind: fault.text for fault in intake.of(FaultSeen)}


@pytest.mark.parametrize("shape", [SHAPE, None], ids=["configured", "asked"])
@pytest.mark.parametrize("stream", ["v1", "v2"])
def test_a_series_of_a_dectris_detector(tmp_path: Path, stream: str, shape: Any) -> None:
    form = "legacy" if stream == "v1" else "cbor"
    config: dict[str, Setting] = {"compression": "lz4", "trigger_mode": "inte", "nimages": 1, "ntrigger": 36}
    settings = EmulatorSettings(stream={"format": form}, config=config, when_full="drop")
    with RestServer(DectrisEmulator(lambda number: {"one": FRAMES[number]}, settings)) as server:
        emulator = server.emulator
        table = {"host": "127.0.0.1", "stream": stream, "stream_port": emulator.outlet.port(emulator.form)}
        emulator.arm()
        for _ in range(MISSED):
            emulator.trigger()
        assert emulator.outlet.dropped == 1 + MISSED
        with IntakeProcess(
            tmp_path, intake={"dectris": {**table, "rest_port": server.port}, "scan": {"shape": shape}}
        ) as intake:
            wait_until(lambda: emulator.outlet.heard(emulator.form), what="the receiver")
            for _ in range(36 - MISSED):
                emulator.trigger()
            assert intake.opened().start.scan_shape == SHAPE
            check(intake, emulator.record[0], 36 - MISSED)
            assert "expected the start of series 1" in told(intake)["bad_message"]


def test_an_acquisition_of_a_merlin(tmp_path: Path) -> None:
    kind = PixelKind("U16", 12)
    with MerlinEmulator(lambda number: FRAMES[number], kind) as emulator:
        table = {"host": "127.0.0.1", "data_port": emulator.data_port}
        for request in ("SET,NUMFRAMESTOACQUIRE,36", "SET,TRIGGERSTART,5", "CMD,STARTACQUISITION"):
            emulator.ask(request)
        for _ in range(MISSED):
            emulator.ask("CMD,SOFTTRIGGER")
        wait_until(lambda: len(emulator.unheard) == MISSED, what="frames that nobody took")
        with IntakeProcess(tmp_path, intake={"merlin": table, "scan": {"shape": SHAPE}}) as intake:
            wait_until(lambda: emulator.listeners, what="the receiver")
            for _ in range(36 - MISSED):
                emulator.ask("CMD,SOFTTRIGGER")
            assert intake.opened().start.scan_shape == SHAPE
            wait_until(lambda: emulator.is_idle)
            # without its header nobody knows that the acquisition is over until the next one begins
            emulator.ask("CMD,STARTACQUISITION")
            check(intake, emulator.record[0], 36 - MISSED)
            assert "expected the header of an acquisition" in told(intake)["bad_message"]


def test_our_own_protocol_needs_the_start_and_says_so(tmp_path: Path) -> None:
    start = ScanStart(scan_id="late", scan_shape=SHAPE, frame_shape=(SIDE, SIDE), dtype="uint16")
    record = ScanRecord(0, 36)
    with IntakeProcess(tmp_path) as intake, FrameSender(intake.endpoint) as sender:
        send_scan(FaultySender(sender, Faults(late_header=7).plan(0, 36), record), start, [FRAMES], Sending())
        check(intake, record, 29)
        assert "found scan late, which has not been started" in told(intake)["unknown_scan"]
