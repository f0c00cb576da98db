"""Scans that are written, exported, read or forced to the disk while the spool is over its limits."""

from collections.abc import Callable

from daemon.desk import EVERYTHING
from daemon.housekeeping.kept import Kept, left_unfinished
from livestrain_daemon.scanfolder import FrameWriter, open_frames
from livestrain_daemon.scanfolder.hold import Held


def test_a_scan_that_is_being_written_is_not_removed_though_nobody_has_heard_of_it(kept: Callable[..., Kept]) -> None:
    spool = kept()
    spool.keeper.expect_no_more()
    left_unfinished(spool, "a")
    with FrameWriter(open_frames(spool.desk.folder / "a")):
        assert spool.removed_by_hand("a").endswith("a: is being written or exported: try again")
    assert spool.removed_by_hand("a") == ""


def test_a_scan_that_is_being_exported_is_passed_over_until_that_is_done(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    for name in "ab":
        spool.scan(name)
    with Held(spool.desk.folder / "a"):
        spool.settle()
        assert spool.left() == ["a", "b"]
    spool.settle_later()
    assert spool.left() == ["b"]


def test_a_scan_whose_results_are_on_their_way_to_the_disk_stays_until_they_are_there(
    kept: Callable[..., Kept],
) -> None:
    spool = kept(scans=1)
    spool.desk.planned(scan_id="a")
    spool.desk.store(*EVERYTHING, scan_id="a")
    spool.desk.end("a")
    hand = spool.desk.scans.find("a")
    assert hand is not None
    while not hand.scan.final:
        spool.desk.work()
        spool.desk.scans.flush()
        spool.desk.scans.step()
    assert hand.scan.syncing == 1
    spool.settle()
    assert spool.removed_by_hand("a") == "the results of scan a are being forced to the disk: try again"
    spool.desk.work()
    assert hand.scan.syncing == 0
    assert spool.removed_by_hand("a") == ""


def test_what_is_deleted_while_remains_are_looked_at_is_not_forgotten(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    for name in "ab":
        spool.scan(name)
    with (spool.desk.folder / "a" / "frames.h5").open("rb"):
        spool.settle()
        # both wait for their outcome to be taken: a look at the remains, and another removal
        spool.keeper._removals._next_remains = 0.0
        spool.keeper.turn()
        spool.scan("c")
        with (spool.desk.folder / "b" / "frames.h5").open("rb"):
            spool.settle()
            spool.settle()
            assert len(spool.keeper._removals._remains) == 2
            assert spool.keeper._removals.open_elsewhere == sum(
                one.size_bytes for one in spool.keeper._removals._remains
            )
