"""What becomes of the files of removed scans, and of scans that cannot be removed."""

from collections.abc import Callable

from daemon.housekeeping.kept import Kept
from livestrain_daemon.scanfolder.removal import NAMES_FILE, PREFIX, leftovers, set_aside


def test_what_an_earlier_daemon_has_not_deleted_is_deleted_at_the_start(kept: Callable[..., Kept]) -> None:
    first = kept()
    first.scan("a")
    first.desk.scans.forget("a")
    set_aside(first.desk.folder / "a")
    assert len(leftovers(first.desk.folder)) == 1
    kept().settle()
    assert leftovers(first.desk.folder) == []


def test_a_scan_that_cannot_be_removed_is_told_left_and_tried_again_later(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    for name in "ab":
        spool.scan(name)
    # no folder can be given the name of a link that points nowhere
    in_the_way = spool.desk.folder / f"{PREFIX}a"
    in_the_way.symlink_to("nowhere")
    spool.settle()
    assert spool.left() == ["a", "b"]
    assert spool.removed_by_hand("a").endswith("cannot be removed: Not a directory")
    in_the_way.unlink()
    spool.scan("c")
    spool.settle()
    assert spool.left() == ["a", "c"]
    spool.settle_later()
    assert spool.left() == ["c"]


def test_an_id_that_cannot_be_noted_is_no_reason_to_keep_a_scan(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    for name in "ab":
        spool.scan(name)
    (spool.desk.folder / NAMES_FILE).mkdir()
    spool.settle()
    assert spool.left() == ["b"]
    assert spool.spool.is_taken("a")
    (spool.desk.folder / NAMES_FILE).rmdir()
    kept(scans=1).settle()
    assert leftovers(spool.desk.folder) == []
    assert spool.spool.is_taken("a")
