"""A desk with a housekeeper, for tests."""

from collections.abc import Collection

from daemon.desk import EVERYTHING, Desk
from helpers.waiting import wait_until
from livestrain_daemon.housekeeping import Housekeeper
from livestrain_daemon.messages import RoomMade, RoomWanted
from livestrain_daemon.retention import Limits
from livestrain_daemon.scanfolder import Spool
from livestrain_wire.messages import ScanEntry

HUGE = 1 << 60


class Kept:
    """A desk with a housekeeper."""

    def __init__(self, desk: Desk, limits: Limits, named: Collection[str] = ()) -> None:
        self.desk = desk
        self.told: list[RoomMade] = []
        self.spool = Spool.joined(desk.folder)
        self.keeper = Housekeeper(self.spool, limits, desk.scans, desk.publisher, self.told.append, named)

    def scan(self, scan_id: str) -> None:
        """A scan that begins, is analysed and ends."""
        self.desk.planned(scan_id=scan_id)
        self.desk.store(*EVERYTHING, scan_id=scan_id)
        self.desk.end(scan_id)
        self.desk.finish()

    def settle(self) -> None:
        """Turns until there is nothing to do."""

        def idle() -> bool:
            self.keeper.turn()
            return self.keeper.idle

        # what one look has removed another one sees
        for _ in range(2):
            wait_until(idle, 20, "the housekeeper")

    def settle_later(self) -> None:
        """The same when what could not be removed is tried again."""
        self.keeper._removals._again.clear()
        self.keeper._next_look = 0.0
        self.settle()

    def want(self, size_bytes: int) -> None:
        """The intake wants so much free space."""
        self.keeper.make_room(RoomWanted(id="wish", bytes=size_bytes))

    def answer(self) -> None:
        """Turns until the intake has been answered."""

        def told() -> bool:
            self.keeper.turn()
            return bool(self.told)

        wait_until(told, 20, "the answer")

    def left(self) -> list[str]:
        """The scans that there are."""
        return sorted(path.name for path in self.desk.folder.iterdir() if (path / "frames.h5").exists())

    def listed(self) -> list[ScanEntry]:
        """The list that a client gets."""
        found: list[list[ScanEntry]] = []
        self.keeper.entries(found.append, lambda reason, text: None)
        self.settle()
        return found[0]

    def removed_by_hand(self, scan_id: str) -> str:
        """Empty where it was removed, else why not."""
        said: list[str] = []
        self.keeper.remove(scan_id, lambda: said.append(""), lambda reason, text: said.append(text))
        self.settle()
        assert len(said) == 1
        return said[0]


def left_unfinished(spool: Kept, scan_id: str) -> None:
    """A scan that an earlier daemon has not ended."""
    spool.desk.planned(scan_id=scan_id)
    spool.desk.store(*EVERYTHING, scan_id=scan_id)
    spool.desk.let_go(scan_id)
    spool.desk.scans.forget(scan_id)
