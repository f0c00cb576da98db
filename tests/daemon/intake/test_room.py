"""A scan that does not fit waits until main has removed old ones, or could not."""

from collections.abc import Callable
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
        asked = intake.next(RoomWanted)
        assert asked.bytes > 1 << 44
        assert intake.of(ScanRefused) == []
        intake.command(RoomMade(id=asked.id))
        assert "must stay free (spool.reserve_mib)" in intake.next(ScanRefused).text
        out.start("again", (4, 4), FRAME)
        intake.next(RoomWanted)
        # an intake that is told to end waits for no room
        assert intake.stop() == 0


def test_whoever_waits_goes_on_when_main_says_so_or_says_nothing() -> None:
    told: list[RoomWanted] = []
    room = Room(_noted_in(told), patience_seconds=60)
    waiting = _waiting(room, 7)
    wait_until(lambda: told, what="the question")
    assert told[0].bytes == 7
    room.made(RoomMade(id=told[0].id))
    waiting.join(20)
    assert not waiting.is_alive()
    Room(_noted_in(told), patience_seconds=0.01).make(8)
    assert [wanted.bytes for wanted in told] == [7, 8]
    room.stop()
    room.make(9)
    assert len(told) == 2


def test_an_answer_that_comes_late_is_not_taken_for_that_of_the_next_scan() -> None:
    told: list[RoomWanted] = []
    room = Room(_noted_in(told), patience_seconds=60)
    first = _waiting(room, 7)
    wait_until(lambda: told, what="the question")
    room.made(RoomMade(id=told[0].id))
    first.join(20)
    second = _waiting(room, 8)
    wait_until(lambda: len(told) == 2, what="the second question")
    for _ in range(2):
        room.made(RoomMade(id=told[0].id))
    second.join(0.1)
    assert second.is_alive()
    room.made(RoomMade(id=told[1].id))
    second.join(20)
    assert not second.is_alive()


def _noted_in(told: list[RoomWanted]) -> Callable[[Message], None]:
    def note(message: Message) -> None:
        assert isinstance(message, RoomWanted)
        told.append(message)

    return note


def _waiting(room: Room, size_bytes: int) -> Thread:
    thread = Thread(target=room.make, args=(size_bytes,))
    thread.start()
    return thread
