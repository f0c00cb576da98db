from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.frames_out import FramesOut
from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_daemon.intake.placement import joined
from livestrain_daemon.messages import Stored

Pixels = NDArray[Any]


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[IntakeProcess]:
    with IntakeProcess(tmp_path) as process:
        yield process


@pytest.fixture
def out(intake: IntakeProcess) -> Iterator[FramesOut]:
    with FramesOut(intake.endpoint) as sender:
        yield sender


def pixels(count: int, dtype: str = "uint16", shape: tuple[int, int] = (5, 7)) -> Pixels:
    return np.random.default_rng(count).integers(0, 200, (count, *shape)).astype(dtype)


def test_a_raster_scan_is_stored_and_main_hears_of_every_position(intake: IntakeProcess, out: FramesOut) -> None:
    frames = pixels(24)
    out.start("scan", (4, 6), frames)
    for first in range(0, 24, 5):
        out.frames("scan", first, frames[first : first + 5])
    out.end("scan", frames_sent=24)
    opened = intake.opened()
    closed = intake.closed()
    assert (opened.scan_id, opened.recording, opened.resumed) == ("scan", True, False)
    assert (closed.reason, closed.stored, closed.missing, closed.faults) == ("complete", 24, 0, {})
    assert joined(run for message in intake.of(Stored) for run in message.runs) == ((0, 24),)
    ledger, stored = intake.on_disk("scan")
    assert ledger.tolist() == [1] * 24
    np.testing.assert_array_equal(stored, frames)
    assert intake.stop() == 0


def test_frames_are_told_of_at_once_when_nothing_else_comes(intake: IntakeProcess, out: FramesOut) -> None:
    frames = pixels(4)
    out.start("scan", (2, 2), frames)
    out.frames("scan", 2, frames[2:3])
    intake.opened()
    wait_until(lambda: intake.of(Stored))
    assert intake.of(Stored)[0].runs == ((2, 1),)
