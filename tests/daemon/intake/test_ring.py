"""An intake that keeps the newest frames only, in a ring."""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from helpers.frames_out import FramesOut
from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_daemon.intake.gate import PATIENCE_SECONDS
from livestrain_daemon.intake.placement import joined
from livestrain_daemon.messages import (
    Recycled,
    Released,
)
from livestrain_daemon.scanfolder.layout import open_frames
from livestrain_daemon.scanfolder.reader import FrameReader

EXPECTED, STORED, MISSING, RECYCLED = range(4)


def pixels(count: int) -> NDArray[np.uint8]:
    """Frames of which a ring of 1 MiB holds 16."""
    return np.random.default_rng(count).integers(0, 200, (count, 256, 256)).astype(np.uint8)


def test_a_ring_keeps_the_newest_frames_and_tells_which_are_gone(tmp_path: Path) -> None:
    frames = pixels(40)
    spool = {"record": False, "ring_mib": 1}
    with IntakeProcess(tmp_path, spool=spool) as intake, FramesOut(intake.endpoint) as out:
        out.start("ring", (5, 8), frames)
        for first in range(0, 40, 4):
            out.frames("ring", first, frames[first : first + 4])
        out.frames("ring", 0, frames[:1])
        out.end("ring")
        assert not intake.opened().recording
        closed = intake.closed()
        assert (closed.stored, closed.missing, closed.faults) == (40, 0, {"duplicate": 1})
        told = joined(run for message in intake.of(Recycled) for run in message.runs)
        assert told == ((0, 24),)
        layout = open_frames(intake.spool / "ring")
        with FrameReader(layout) as reader:
            assert reader.ledger().tolist() == [RECYCLED] * 24 + [STORED] * 16
            np.testing.assert_array_equal(reader.read(24, 16), frames[24:])


def test_a_new_scan_in_the_ring_takes_the_place_of_the_oldest_frames(tmp_path: Path) -> None:
    frames = pixels(16)
    spool = {"record": False, "ring_mib": 1}
    with IntakeProcess(tmp_path, spool=spool) as intake, FramesOut(intake.endpoint) as out:
        out.start("first", (4, 5), frames)
        out.frames("first", 0, frames[:3])
        out.frames("first", 9, frames[3:14])
        out.start("second", (2, 3), frames)
        assert intake.closed().missing == 6
        out.frames("second", 0, frames[:6])
        out.end("second")
        assert (intake.closed().stored, intake.of(Recycled)[0].scan_id) == (6, "first")
        ledger = FrameReader(open_frames(intake.spool / "first")).ledger().tolist()
        slots_taken = {position for position in range(20) if position % 16 < 6}
        for position, state in enumerate(ledger):
            stored = position < 3 or position >= 9
            assert state == (MISSING if not stored else RECYCLED if position in slots_taken else STORED), position


WAITING = {"record": False, "ring_mib": 1, "when_full": "wait"}
"""A ring of 16 frames of 256 x 256 bytes that holds the sender back."""


def fill_ring(intake: IntakeProcess, out: FramesOut, scan: str) -> None:
    """As many frames as the ring holds, four in a message."""
    frames = pixels(16)
    out.start(scan, (4, 4), frames)
    for first in range(0, 16, 4):
        out.frames(scan, first, frames[first : first + 4])
    out.end(scan)


def test_a_ring_that_is_full_of_frames_from_before_a_restart_holds_nobody_back(tmp_path: Path) -> None:
    with IntakeProcess(tmp_path, spool=WAITING) as intake, FramesOut(intake.endpoint) as out:
        fill_ring(intake, out, "before")
        assert intake.closed().stored == 16
    with IntakeProcess(tmp_path, spool=WAITING) as intake, FramesOut(intake.endpoint) as out:
        started = time.monotonic()
        fill_ring(intake, out, "after")
        assert intake.closed().stored == 16
        assert time.monotonic() - started < PATIENCE_SECONDS / 2
        assert {message.scan_id for message in intake.of(Recycled)} == {"before"}


def test_a_ring_that_is_full_holds_the_sender_back_until_released_or_stopped(tmp_path: Path) -> None:
    with IntakeProcess(tmp_path, spool=WAITING) as intake, FramesOut(intake.endpoint) as out:
        fill_ring(intake, out, "first")
        assert intake.closed().stored == 16
        intake.command(Released(scan_id="first", runs=((0, 4),)))
        fill_ring(intake, out, "second")
        wait_until(lambda: intake.positions_told("second") == ((0, 4),))
        started = time.monotonic()
        assert intake.stop() == 0
        assert time.monotonic() - started < PATIENCE_SECONDS / 2
        assert intake.closed().scan_id == "second"
