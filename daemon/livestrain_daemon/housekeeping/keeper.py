"""Which scans are listed, retained and removed: by the limits of the spool, and by hand."""

import time
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial

import structlog

from livestrain_daemon.errors import NotAScan, StorageError
from livestrain_daemon.housekeeping.listing import Entries, Listing
from livestrain_daemon.housekeeping.removals import Removals
from livestrain_daemon.housekeeping.wish import Wish
from livestrain_daemon.messages import RoomMade, RoomWanted
from livestrain_daemon.publish.publisher import Publisher
from livestrain_daemon.retention import Limits, Why, decide
from livestrain_daemon.scan.scans import Scans
from livestrain_daemon.scanfolder import Journal, Spool
from livestrain_daemon.scanfolder.history import RELEASED, RETAINED
from livestrain_daemon.scanfolder.hold import InUseError
from livestrain_daemon.scanfolder.layout import FRAMES_FILE
from livestrain_wire.messages import RefusalReason, ScanEntry

log = structlog.get_logger()

LOOK_SECONDS = 30.0
"""How often the spool is looked at where nothing has happened in it [s]."""
SYNCING_SECONDS = 0.2
"""So long nothing is removed while results are being forced to the disk; then it is looked at again [s]."""

Refuse = Callable[[RefusalReason, str], None]


class Housekeeper:
    """
    Lists, retains and removes the scans of a spool.

    Parameters
    ----------
    spool
        Locked by this process.
    limits
        What it may hold.
    scans
        Those in memory: nothing is removed that one of them still works on.
    publisher
        Where events go.
    tell_intake
        Sends a message to the intake.
    named
        Ids of scans that the configuration names files of: the next daemon needs them.
    """

    def __init__(
        self,
        spool: Spool,
        limits: Limits,
        scans: Scans,
        publisher: Publisher,
        tell_intake: Callable[[RoomMade], None],
        named: Collection[str] = (),
    ) -> None:
        self._spool = spool
        self._limits = limits
        self._scans = scans
        self._publisher = publisher
        self._named = frozenset(named)
        self._listing = Listing(spool, scans)
        self._removals = Removals(spool, scans, publisher)
        self._wish = Wish(spool, tell_intake)
        self._changes = 0
        self._seen: object = None
        self._looking = False
        self._next_look = 0.0
        self._unmet: set[Why] = set()
        self._expecting = True

    @property
    def removed(self) -> Counter[str]:
        """Scans removed since the start of the daemon, by reason."""
        return self._removals.removed

    @property
    def idle(self) -> bool:
        """Nothing is being looked at, and nothing deleted."""
        return not (self._listing.reading or self._removals.deleting)

    def turn(self) -> None:
        """Takes what the threads have done, and starts what is due."""
        self._listing.turn()
        self._removals.turn()
        if self._limits.any and not self._looking and not self._removals.deleting and self._due():
            self._looking = True
            self._listing.look(partial(self._looked, self._changes, self._wish.bytes))
        if not self._removals.deleting and self._wish.answer():
            self._unmet.discard("room")

    def close(self) -> None:
        """Ends the threads; what is not deleted yet the next daemon deletes."""
        self._listing.close()
        self._removals.close()

    def expect_no_more(self) -> None:
        """No unfinished scan is gone on with any more: from now on they may be removed in their turn."""
        self._expecting = False

    def make_room(self, wanted: RoomWanted) -> None:
        """The intake needs so much free space for a new scan, and waits for `RoomMade`."""
        self._wish.ask(wanted)
        if not self._limits.any:
            # where nothing is removed there is nothing to wait for
            self._wish.decided(removed=False)
        self._next_look = 0.0

    def entries(self, done: Callable[[Entries], None], refuse: Refuse) -> None:
        """All scans as they are now, the newest first, given to ``done`` later."""

        def listed(outcome: Entries | Exception) -> None:
            if isinstance(outcome, Exception):
                refuse("internal", f"the spool cannot be looked at: {outcome}")
            else:
                done(outcome)

        self._listing.entries(listed)

    def retain(self, scan_id: str, retained: bool) -> None:
        """
        Keep a scan whatever the limits are, or no longer.

        Raises
        ------
        NotAScan
            If there is no such scan.
        StorageError
            If it cannot be noted in its journal.
        """
        folder = self._spool.folder_of(scan_id)
        if not (folder / FRAMES_FILE).is_file():
            raise NotAScan(f"no scan {scan_id} in {self._spool.folder}")
        with Journal(folder) as journal:
            journal.append(RETAINED if retained else RELEASED)
            journal.sync()
        self._changes += 1
        self._next_look = 0.0

    # --- by hand ---

    def remove(self, scan_id: str, done: Callable[[], None], refuse: Refuse) -> None:
        """Removes a scan that is over because somebody wants it, and calls one of the two, later."""
        changes = self._changes

        def found(entries: Entries) -> None:
            entry = next((entry for entry in entries if entry.scan_id == scan_id), None)
            if changes != self._changes:
                self.remove(scan_id, done, refuse)
            elif entry is None:
                refuse("no_scan", f"no scan {scan_id} in {self._spool.folder}")
            elif reason := _why_not(entry, self._named, self._expecting):
                refuse("bad_request", reason)
            elif scan_id in self._syncing():
                refuse("bad_request", f"the results of scan {scan_id} are being forced to the disk: try again")
            else:
                self._remove_now(entry, done, refuse)

        self.entries(found, refuse)

    def _remove_now(self, entry: ScanEntry, done: Callable[[], None], refuse: Refuse) -> None:
        try:
            self._removals.remove(entry, "asked")
        except InUseError as error:
            refuse("bad_request", f"{error}: try again")
        except StorageError as error:
            refuse("internal", str(error))
        else:
            done()

    # --- within the limits ---

    def _due(self) -> bool:
        now = time.monotonic()
        state = (
            self._scans.opened_total,
            tuple(hand.scan.final and not hand.scan.syncing for hand in self._scans.all()),
        )
        if state == self._seen and now < self._next_look:
            return False
        self._seen, self._next_look = state, now + LOOK_SECONDS
        return True

    def _looked(self, changes: int, wanted: int, outcome: tuple[Entries, int] | Exception) -> None:
        self._looking = False
        if isinstance(outcome, Exception):
            log.error("the spool cannot be looked at", reason=str(outcome))
            self._wish.decided(removed=False)
            return
        if changes != self._changes or wanted != self._wish.bytes:
            self._next_look = 0.0
            return
        syncing = self._syncing()
        if syncing and not wanted:
            # else a younger one would go in its place
            self._next_look = time.monotonic() + SYNCING_SECONDS
            return
        listed, free = outcome
        stuck = self._removals.stuck
        entries = [entry for entry in listed if entry.scan_id not in stuck]
        expected = {entry.scan_id for entry in entries if self._expecting and entry.state == "unfinished"}
        held = self._named | expected | syncing
        verdict = decide(entries, held, self._limits, free + self._removals.open_elsewhere, wanted)
        removed = [why for entry, why in verdict.remove if self._removals.try_to_remove(entry, why)]
        self._tell_unmet(dict(verdict.unmet))
        if wanted:
            self._wish.decided(removed=bool(removed))

    def _syncing(self) -> set[str]:
        """Scans that a worker forces to the disk now: it must find their files."""
        return {hand.scan.id for hand in self._scans.all() if hand.scan.syncing}

    def _tell_unmet(self, unmet: dict[Why, str]) -> None:
        for why in unmet.keys() - self._unmet:
            log.warning(unmet[why], what="spool_over_limit")
            self._publisher.event("", "spool_over_limit", unmet[why], "warning")
        self._unmet = set(unmet)


def _why_not(entry: ScanEntry, named: Collection[str], expecting: bool) -> str:
    """Why a scan cannot be removed now; empty where it can."""
    if entry.state in {"receiving", "analysing"}:
        return f"scan {entry.scan_id} is not over: {entry.state}"
    if entry.state == "unfinished" and expecting:
        return f"scan {entry.scan_id} is unfinished, and may still be gone on with"
    if entry.scan_id in named:
        return f"scan {entry.scan_id} is named in the configuration"
    return f"scan {entry.scan_id} is retained: release it first" if entry.retained else ""
