"""An intake that is killed in the middle of a measurement of ASI goes on with it where images have numbers."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Condition
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.intake.test_restart_in_a_series import BEFORE, FRAMES, MISSING, STORED, check, run
from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_daemon.messages import FaultSeen, ScanOpened
from livestrain_simulator.emulators.asi import AsiEmulator, AsiSettings, Form, ServalServer


class Held:
    """A measurement whose images leave one by one, when they are asked for."""

    def __init__(self, form: Form) -> None:
        self._allowed = 0
        self._changed = Condition()
        self.emulator = AsiEmulator(self._frame, AsiSettings(form=form, scan_shape=(6, 6), chunk_frames=1))

    def _frame(self, number: int) -> NDArray[Any]:
        with self._changed:
            self._changed.wait_for(lambda: self._allowed > number or not number)
        frame: NDArray[Any] = FRAMES[number]
        return frame

    def let_go(self) -> None:
        with self._changed:
            self._allowed = 1 << 30
            self._changed.notify_all()

    def trigger(self) -> None:
        with self._changed:
            self._allowed += 1
            self._changed.notify_all()
            number = self._allowed - 1
        record = self.emulator.record[-1]
        # without numbers, those that nobody hears leave no place
        wait_until(lambda: record.copies.total() + len(record.unheard) > number, what="an image that has left")

    def begin(self) -> None:
        with self._changed:
            self._allowed = 0
        before = len(self.emulator.record)
        wait_until(self.emulator.start, what="a measurement")
        wait_until(lambda: len(self.emulator.record) > before, what="its beginning")

    def heard(self) -> bool:
        return bool(self.emulator.listeners)


@contextmanager
def measured(folder: Path, form: Form, killed: bool) -> Iterator[tuple[Held, IntakeProcess]]:
    held = Held(form)
    with ServalServer(held.emulator) as serval, ExitStack() as stack:
        stack.callback(held.let_go)
        table: dict[str, Any] = {"host": "127.0.0.1", "data_port": held.emulator.data_port}
        table |= {"form": "tpx3"} if form == "tpx3" else {"rest_port": serval.port}
        # nobody says that the rest of a scan does not come
        tables = {"asi": table, "silence_seconds": 3.0}
        with run(folder, tables, held.begin, held.trigger, held.heard, killed) as intake:
            yield held, intake


@pytest.mark.parametrize("killed", [False, True], ids=["left alone", "killed"])
def test_images_with_numbers(tmp_path: Path, killed: bool) -> None:
    with measured(tmp_path, "jsonimage", killed) as (_, intake):
        check(intake, killed)


@pytest.mark.parametrize("form", ["pgm", "tpx3"])
def test_frames_without_numbers_that_nobody_has_interrupted(tmp_path: Path, form: Form) -> None:
    with measured(tmp_path, form, killed=False) as (_, intake):
        check(intake, killed=False)


@pytest.mark.parametrize(
    ("form", "kind", "text"),
    [
        ("pgm", "wrong_count", "expected a new measurement, found another image of the one that began at "),
        ("tpx3", "unknown_scan", "expected the start of a scan, found frames; where they belong nobody knows"),
    ],
)
def test_the_rest_of_frames_without_numbers_is_missing_and_the_next_measurement_is_whole(
    tmp_path: Path, form: Form, kind: str, text: str
) -> None:
    with measured(tmp_path, form, killed=True) as (held, intake):
        first = intake.closed()
        ledger, frames = intake.on_disk(first.scan_id)
        assert ledger.tolist() == [STORED] * BEFORE + [MISSING] * (36 - BEFORE)
        np.testing.assert_array_equal(frames[:BEFORE], FRAMES[:BEFORE])
        (told,) = {(fault.kind, fault.text) for fault in intake.of(FaultSeen) if fault.kind != "connection"}
        assert told[0] == kind
        assert told[1].startswith(text)
        assert {scan.scan_id for scan in intake.of(ScanOpened)} == {first.scan_id}
        held.begin()
        for _ in range(36):
            held.trigger()
        second = intake.closed()
        ledger, frames = intake.on_disk(second.scan_id)
        assert ledger.tolist() == [STORED] * 36
        np.testing.assert_array_equal(frames, FRAMES)
        assert second.scan_id != first.scan_id
