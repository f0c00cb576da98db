"""An intake that is killed in the middle of a detector's series and started again goes on with the same scan."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.campaign import pixels
from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_daemon.messages import ResumeScan, ScanClosed, ScanOpened, Stored
from livestrain_simulator.emulators.dectris.emulator import DectrisEmulator, EmulatorSettings
from livestrain_simulator.emulators.dectris.rest import RestServer
from livestrain_simulator.emulators.dectris.series import Setting
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind

SHAPE = (6, 6)
BEFORE, UNHEARD = 12, 5
"""Frames before the intake is killed, and until there is another."""
FRAMES = pixels(1, 36)
STORED, MISSING = 1, 2


def stored(intake: IntakeProcess) -> int:
    return sum(count for message in intake.of(Stored) for _, count in message.runs)


def run(
    folder: Path,
    table: dict[str, Any],
    begin: Callable[[], object],
    trigger: Callable[[], object],
    heard: Callable[[], bool],
    killed: bool,
    shape: bool = True,
) -> IntakeProcess:
    """Take a series, the intake killed in the middle of it or not; the last intake, still running."""
    settings: dict[str, Any] = {"intake": {**table, "scan": {"shape": SHAPE} if shape else {}}}
    intake = IntakeProcess(folder, **settings)
    try:
        wait_until(heard, what="the receiver")
        begin()
        for _ in range(BEFORE):
            trigger()
        scan = intake.opened()
        wait_until(lambda: stored(intake) == BEFORE, what="the first frames")
        if killed:
            intake.close()
            wait_until(lambda: not heard(), what="the end of the connection")
            for _ in range(UNHEARD):
                trigger()
            intake = IntakeProcess(folder, **settings)
            intake.command(ResumeScan(folder=scan.folder))
            wait_until(heard, what="the next receiver")
        for _ in range(36 - BEFORE - (UNHEARD if killed else 0)):
            trigger()
    except BaseException:
        intake.close()
        raise
    return intake


def check(intake: IntakeProcess, killed: bool) -> None:
    """There is one scan, and it has every frame that somebody heard."""
    closed = intake.closed()
    # main may be told of a resumed scan twice
    opened = {(scan.scan_id, scan.resumed) for scan in intake.of(ScanOpened)}
    ledger, frames = intake.on_disk(closed.scan_id)
    expected = [STORED] * 36
    if killed:
        expected[BEFORE : BEFORE + UNHEARD] = [MISSING] * UNHEARD
    assert ledger.tolist() == expected
    assert (opened, len(intake.of(ScanClosed))) == ({(closed.scan_id, killed)}, 1)
    assert [path.name for path in intake.spool.glob("*/frames.h5")] == ["frames.h5"]
    np.testing.assert_array_equal(frames[ledger == STORED], FRAMES[ledger == STORED])


@pytest.mark.parametrize("killed", [False, True], ids=["left alone", "killed"])
def test_a_series_of_a_dectris_detector(tmp_path: Path, killed: bool) -> None:
    config: dict[str, Setting] = {"compression": "lz4", "trigger_mode": "inte", "nimages": 1, "ntrigger": 36}
    settings = EmulatorSettings(stream={"format": "cbor"}, config=config, when_full="drop")
    with ExitStack() as stack:
        server = stack.enter_context(
            RestServer(DectrisEmulator(lambda number: {"threshold_1": FRAMES[number]}, settings))
        )
        emulator = server.emulator
        port = emulator.outlet.port(emulator.form)
        table = {"host": "127.0.0.1", "stream": "v2", "stream_port": port, "rest_port": server.port}

        def heard() -> bool:
            return bool(emulator.outlet.heard(emulator.form))

        check(
            stack.enter_context(run(tmp_path, {"dectris": table}, emulator.arm, emulator.trigger, heard, killed)),
            killed,
        )


@pytest.mark.parametrize("configured", [True, False], ids=["shape configured", "shape from the header"])
@pytest.mark.parametrize("killed", [False, True], ids=["left alone", "killed"])
def test_an_acquisition_of_a_merlin(tmp_path: Path, killed: bool, configured: bool) -> None:
    with ExitStack() as stack:
        emulator = stack.enter_context(MerlinEmulator(lambda number: FRAMES[number], PixelKind("U16", 12)))
        for request in ("SET,NUMFRAMESTOACQUIRE,36", "SET,TRIGGERSTART,5", "SET,STEMSCANX,6", "SET,STEMSCANY,6"):
            emulator.ask(request)
        sent: list[int] = []

        def heard() -> bool:
            return bool(emulator.listeners)

        def begin() -> None:
            emulator.ask("CMD,STARTACQUISITION")

        def trigger() -> None:
            emulator.ask("CMD,SOFTTRIGGER")
            sent.append(len(sent))
            unheard = len(sent) - BEFORE
            wait_until(lambda: heard() or len(emulator.unheard) == unheard, what="a frame that nobody took")

        table = {"host": "127.0.0.1", "data_port": emulator.data_port}
        intake = stack.enter_context(run(tmp_path, {"merlin": table}, begin, trigger, heard, killed, configured))
        left = 36 - BEFORE - UNHEARD if killed else 36
        wait_until(lambda: stored(intake) == left, what="the last frames")
        # without its header nobody knows that the acquisition is over until the next one begins
        emulator.ask("CMD,STARTACQUISITION")
        check(intake, killed)
