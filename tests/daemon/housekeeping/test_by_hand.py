"""Scans that are removed because somebody wants it."""

from collections.abc import Callable

from daemon.housekeeping.kept import Kept, left_unfinished


def test_a_scan_is_removed_by_hand_once_it_is_over_and_released(kept: Callable[..., Kept]) -> None:
    spool = kept()
    spool.scan("a")
    spool.desk.planned(scan_id="b")
    assert spool.removed_by_hand("b") == "scan b is not over: receiving"
    spool.keeper.retain("a", True)
    assert spool.removed_by_hand("a") == "scan a is retained: release it first"
    spool.keeper.retain("a", False)
    assert spool.removed_by_hand("a") == ""
    assert spool.removed_by_hand("a").startswith("no scan a in ")
    assert spool.left() == ["b"]
    assert spool.keeper.removed == {"asked": 1}


def test_the_newest_scan_can_be_removed_by_hand_while_it_is_shown(kept: Callable[..., Kept]) -> None:
    spool = kept()
    spool.scan("a")
    assert spool.removed_by_hand("a") == ""
    assert spool.desk.scans.newest is None
    spool.scan("b")
    assert spool.left() == ["b"]


def test_an_unfinished_scan_is_removed_by_hand_only_when_nobody_goes_on_with_it(kept: Callable[..., Kept]) -> None:
    spool = kept()
    left_unfinished(spool, "a")
    assert spool.removed_by_hand("a") == "scan a is unfinished, and may still be gone on with"
    spool.keeper.expect_no_more()
    assert spool.removed_by_hand("a") == ""
