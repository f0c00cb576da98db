"""A scan that does not fit waits until main has removed old ones, or could not."""

from pathlib import Path
from threading import Thread

import numpy as np

from helpers.frames_out import FramesOut
from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_daemon.intake.room import Room
from livestrain_daemon.messages import RoomMade, RoomWanted, ScanRefused
from livestrain_wire.messages import Message

FRAME = np.ones((1, 5, 7), np.uint16)


def test_main_is_asked_for_the_space_and_a_scan_that_has_none_then_is_refused(tmp_path: Path) -> None:
    limits = {"reserve_mib": 1 << 24, "keep_scans": 1}
    with IntakeProcess(tmp_path, spool=limits) as intake, FramesOut(intake.endpoint) as out:
        out.start("large", (4, 4), FRAME)
        assert intake.next(RoomWanted).bytes > 1 << 44
        assert intake.of(ScanRefused) == []
        intake.command(RoomMade())
        assert "must stay free (spool.reserve_mib)" in intake.next(ScanRefused).text
        out.start("again", (4, 4), FRAME)
        intake.next(RoomWanted)
        # an intake that is told to end waits for no room
        assert intake.stop() == 0


def test_whoever_waits_goes_on_when_main_says_so_or_says_nothing() -> None:
    told: list[Message] = []
    room = Room(told.append, patience_seconds=60)
    waiting = Thread(target=lambda: room.make(7))
    waiting.start()
    wait_until(lambda: told, what="the question")
    assert told == [RoomWanted(bytes=7)]
    room.made()
    waiting.join(20)
    assert not waiting.is_alive()
    Room(told.append, patience_seconds=0.01).make(8)
    assert told[1:] == [RoomWanted(bytes=8)]
    room.stop()
    room.make(9)
    assert len(told) == 2
