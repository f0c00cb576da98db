"""Free space for a scan that does not fit, from the question to the answer."""

import time
from collections.abc import Callable

import pytest

from daemon.desk import only
from daemon.housekeeping.kept import HUGE, Kept
from livestrain_daemon.housekeeping import wish
from livestrain_daemon.messages import RoomMade
from livestrain_daemon.scanfolder.files import free_bytes
from livestrain_wire.messages import Event


def test_room_is_made_for_a_scan_that_needs_it(kept: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch) -> None:
    # the desk keeps its files open, so that their space does not come back
    monkeypatch.setattr(wish, "FREED_SECONDS", 0.05)
    spool = kept(scans=9)
    for name in "abc":
        spool.scan(name)
    spool.settle()
    size = spool.listed()[0].size_bytes
    # other programs use the same disk, by less than this
    spool.want(free_bytes(spool.desk.folder) + size // 2)
    spool.answer()
    assert spool.keeper.removed["room"] >= 1
    assert "c" in spool.left()


def test_where_there_can_be_no_room_nothing_is_removed_and_the_intake_hears_of_it(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=9)
    for name in "abc":
        spool.scan(name)
    spool.want(HUGE)
    spool.answer()
    assert spool.told == [RoomMade(id="wish")]
    assert spool.left() == ["a", "b", "c"]
    (event,) = [event for event in only(spool.desk.heard(), Event) if event.name == "spool_over_limit"]
    assert event.text.startswith("the new scan needs ")


def test_without_limits_there_is_no_room_to_wait_for(kept: Callable[..., Kept]) -> None:
    spool = kept()
    spool.scan("a")
    spool.want(HUGE)
    spool.answer()
    assert spool.left() == ["a"]


def test_a_disk_that_is_gone_ends_the_wait_for_room_and_nothing_else(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=9)
    spool.want(HUGE)
    spool.keeper._wish._until = time.monotonic() + 60
    spool.spool.folder /= "gone"
    spool.keeper.turn()
    assert spool.told == [RoomMade(id="wish")]
