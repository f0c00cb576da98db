"""After a crash with several scans in hand, all of them get their end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.desk import EVERYTHING, Desk, entries
from helpers.waiting import wait_until
from livestrain_daemon.housekeeping import Housekeeper
from livestrain_daemon.messages import ResumeScan
from livestrain_daemon.resumption import Resumption
from livestrain_daemon.retention import Limits
from livestrain_daemon.scanfolder import Spool


class Started:
    """A daemon after its start."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.asked: list[str] = []
        spool = Spool.joined(desk.folder)
        self.keeper = Housekeeper(spool, Limits(scans=1), desk.scans, desk.publisher, lambda message: None)
        self.resumption = Resumption(desk.scans, self.keeper, self.ask)

    def ask(self, message: ResumeScan) -> None:
        """What the intake is asked for."""
        self.asked.append(Path(message.folder).name)

    def settle(self) -> None:
        """Turns until there is nothing to do."""

        def idle() -> bool:
            self.resumption.step()
            self.keeper.turn()
            return self.keeper.idle

        for _ in range(3):
            wait_until(idle, 20, "the housekeeper")

    def go_on(self, scan_id: str) -> None:
        """The intake opens a scan again, and closes it; it is analysed."""
        self.desk.open(scan_id, resumed=True)
        self.desk.end(scan_id)
        self.desk.finish()

    def left(self) -> list[str]:
        """The scans that there are."""
        return sorted(path.name for path in self.desk.folder.iterdir() if (path / "frames.h5").exists())


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """With three scans that an earlier daemon has stored and not analysed."""
    with Desk(tmp_path) as desk:
        for name in "abc":
            desk.planned(scan_id=name)
            desk.store(*EVERYTHING, scan_id=name)
            desk.let_go(name)
            desk.scans.forget(name)
        one = Started(desk)
        yield one
        one.keeper.close()


def test_unfinished_scans_are_gone_on_with_from_the_newest_to_the_oldest(started: Started) -> None:
    started.settle()
    # the newest is asked for when the intake is ready
    assert started.asked == []
    started.go_on("c")
    started.settle()
    assert started.asked == ["b"]
    # beyond the limit, and yet nobody removes what will be gone on with
    assert started.left() == ["a", "b", "c"]
    started.go_on("b")
    started.settle()
    assert started.asked == ["b", "a"]
    started.go_on("a")
    started.settle()
    assert started.asked == ["b", "a"]
    for name in ("c",):
        assert len(entries(started.desk, "scan_ended", name)) == 1
    assert started.left() == ["c"]


def test_a_new_scan_ends_the_search_and_the_rest_is_given_up(started: Started) -> None:
    started.go_on("c")
    started.desk.planned(scan_id="d")
    started.settle()
    assert started.asked == []
    started.desk.store(*EVERYTHING, scan_id="d")
    started.desk.end("d")
    started.desk.finish()
    started.settle()
    assert started.asked == []
    assert started.left() == ["d"]


def test_without_unfinished_scans_nothing_is_asked_for(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        one = Started(desk)
        desk.planned(scan_id="a")
        desk.store(*EVERYTHING, scan_id="a")
        desk.end("a")
        desk.finish()
        one.settle()
        one.keeper.close()
        assert one.asked == []
        assert one.left() == ["a"]
