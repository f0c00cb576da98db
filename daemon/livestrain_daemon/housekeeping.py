"""The spool within its limits: what is in it is listed, kept or removed, beside the main loop."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import structlog
from pydantic import BaseModel

from livestrain_daemon.background import Background
from livestrain_daemon.errors import NotAScan, StorageError
from livestrain_daemon.messages import RoomMade
from livestrain_daemon.publish.publisher import Publisher
from livestrain_daemon.retention import Limits, Why, decide
from livestrain_daemon.scan.scans import ScanInHand, Scans
from livestrain_daemon.scanfolder import Journal, Spool
from livestrain_daemon.scanfolder.history import RELEASED, RETAINED, History
from livestrain_daemon.scanfolder.hold import InUseError
from livestrain_daemon.scanfolder.layout import FRAMES_FILE
from livestrain_daemon.scanfolder.removal import Remains, delete, forget_oldest_names, leftovers, set_aside
from livestrain_wire.messages import RefusalReason, ScanEntry

log = structlog.get_logger()

LOOK_SECONDS = 30.0
"""How often the spool is looked at where nothing has happened in it [s]."""
SYNCING_SECONDS = 0.2
"""So long nothing is removed while results are being forced to the disk; then it is looked at again [s]."""
REMAINS_SECONDS = 0.2
"""How often it is asked whether a removed file is still open in a program [s]."""
FREED_SECONDS = 3.0
"""How long workers may keep open what was deleted, and a file system may take to give it back [s]."""

REASONS: dict[Why, str] = {
    "count": "more scans than spool.keep_scans",
    "size": "more bytes than spool.keep_mib",
    "free": "less space free than spool.keep_free_mib",
    "room": "a new scan needs the space",
    "asked": "as asked for",
}

Entries = list[ScanEntry]
Refuse = Callable[[RefusalReason, str], None]


class Housekeeper:
    """
    Lists, retains and removes the scans of a spool; the one that removes.

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
        self._tell_intake = tell_intake
        self._named = frozenset(named)
        self._history = History(spool.folder)
        self._reader, self._remover = Background("history"), Background("remove")
        self._changes = 0
        self._seen: object = None
        self._looking = False
        self._next_look = self._next_remains = 0.0
        self._unmet: set[Why] = set()
        self._stuck: dict[str, float] = {}
        """Scans that could not be removed, and when that is tried again [s]."""
        self._expecting = True
        self._wanted = 0
        self._room_until: float | None = None
        self._remains: list[Remains] = []
        self._open_elsewhere = 0
        self.removed: Counter[str] = Counter()
        """Scans removed since the start of the daemon, by reason."""
        forget_oldest_names(spool.folder)
        for aside in leftovers(spool.folder):
            self._remover.submit(partial(delete, aside), partial(self._deleted, aside.name))

    def turn(self) -> None:
        """Takes what the threads have done, and starts what is due."""
        self._reader.turn()
        self._remover.turn()
        if self._remains and not self._remover.waiting and time.monotonic() >= self._next_remains:
            self._next_remains = time.monotonic() + REMAINS_SECONDS
            self._remover.submit(partial(_look_at, tuple(self._remains)), self._looked_at_remains)
        if self._limits.any and not self._looking and not self._remover.waiting and self._due():
            self._look()
        self._tell_of_room()

    def close(self) -> None:
        """Ends the threads; what is not deleted yet the next daemon deletes."""
        self._reader.close()
        self._remover.close()
        for remains in self._remains:
            remains.close()

    def expect_no_more(self) -> None:
        """No unfinished scan is gone on with any more: from now on they may be removed in their turn."""
        self._expecting = False

    def make_room(self, wanted_bytes: int) -> None:
        """The intake needs so much free space for a new scan, and waits for `RoomMade`."""
        # where nothing is removed there is nothing to wait for
        self._wanted, self._room_until = wanted_bytes, None if self._limits.any else time.monotonic()
        self._next_look = 0.0

    def entries(self, done: Callable[[Entries], None], refuse: Refuse) -> None:
        """All scans as they are now, the newest first, given to ``done`` later."""

        def listed(outcome: Entries | Exception) -> None:
            if isinstance(outcome, Exception):
                refuse("internal", f"the spool cannot be looked at: {outcome}")
            else:
                done(self._as_they_are(outcome))

        self._reader.submit(self._history.entries, listed)

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
            self._set_aside(entry, "asked")
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

    def _look(self) -> None:
        self._looking = True
        changes, wanted = self._changes, self._wanted
        self._reader.submit(
            lambda: (self._history.entries(), self._spool.free_bytes()), partial(self._looked, changes, wanted)
        )

    def _looked(self, changes: int, wanted: int, outcome: tuple[Entries, int] | Exception) -> None:
        self._looking = False
        if isinstance(outcome, Exception):
            log.error("the spool cannot be looked at", reason=str(outcome))
            self._room_until = time.monotonic()
            return
        if changes != self._changes or wanted != self._wanted:
            self._next_look = 0.0
            return
        if self._syncing() and not wanted:
            # else a younger one would go in its place
            self._next_look = time.monotonic() + SYNCING_SECONDS
            return
        listed, free = outcome
        now = time.monotonic()
        self._stuck = {scan_id: again for scan_id, again in self._stuck.items() if again > now}
        entries = [entry for entry in self._as_they_are(listed) if entry.scan_id not in self._stuck]
        expected = {entry.scan_id for entry in entries if self._expecting and entry.state == "unfinished"}
        held = self._named | expected | self._syncing()
        verdict = decide(entries, held, self._limits, free + self._open_elsewhere, wanted)
        removed = [why for entry, why in verdict.remove if self._remove(entry, why)]
        self._tell_unmet(dict(verdict.unmet))
        if wanted:
            self._room_until = time.monotonic() + (FREED_SECONDS if removed else 0.0)

    def _syncing(self) -> set[str]:
        """Scans that a worker forces to the disk now: it must find their files."""
        return {hand.scan.id for hand in self._scans.all() if hand.scan.syncing}

    def _as_they_are(self, entries: Sequence[ScanEntry]) -> Entries:
        """What journals cannot tell of scans in memory."""
        return [_as_it_is(entry, self._scans.find(entry.scan_id)) for entry in entries]

    def _tell_unmet(self, unmet: dict[Why, str]) -> None:
        for why in unmet.keys() - self._unmet:
            log.warning(unmet[why], what="spool_over_limit")
            self._publisher.event("", "spool_over_limit", unmet[why], "warning")
        self._unmet = set(unmet)

    def _tell_of_room(self) -> None:
        if not self._wanted or self._room_until is None or self._remover.waiting:
            return
        if time.monotonic() >= self._room_until or self._has_room():
            self._wanted, self._room_until = 0, None
            self._unmet.discard("room")
            self._tell_intake(RoomMade())

    def _has_room(self) -> bool:
        try:
            return self._spool.free_bytes() >= self._wanted
        except OSError:
            # the disk is gone: the intake finds out by itself, and needs not wait
            return True

    # --- removing ---

    def _remove(self, entry: ScanEntry, why: Why) -> bool:
        try:
            self._set_aside(entry, why)
        except StorageError as error:
            # the next look passes over it
            self._stuck[entry.scan_id] = time.monotonic() + LOOK_SECONDS
            tell = log.info if isinstance(error, InUseError) else log.error
            tell("a scan cannot be removed", scan=entry.scan_id, reason=str(error))
            return False
        return True

    def _set_aside(self, entry: ScanEntry, why: Why) -> None:
        aside = set_aside(self._spool.folder_of(entry.scan_id))
        self._scans.forget(entry.scan_id)
        self.removed[why] += 1
        given_up = "" if entry.state == "ended" else ", though it was never analysed to its end"
        text = f"scan {entry.scan_id} of {entry.size_bytes / 1e6:.1f} MB is removed: {REASONS[why]}{given_up}"
        log.info(text, what="scan_removed", scan=entry.scan_id, bytes=entry.size_bytes, why=why)
        self._publisher.event("", "scan_removed", text)
        self._remover.submit(partial(delete, aside), partial(self._deleted, entry.scan_id))

    def _deleted(self, name: str, outcome: Remains | Exception) -> None:
        if isinstance(outcome, Exception):
            log.error("files of a removed scan are left until the next start", scan=name, reason=str(outcome))
        elif outcome.size_bytes:
            self._remains.append(outcome)
            self._open_elsewhere += outcome.size_bytes
            log.debug("a removed scan is open in a program", scan=name, bytes=outcome.size_bytes)

    def _looked_at_remains(self, outcome: object) -> None:
        del outcome
        self._remains = [remains for remains in self._remains if remains.size_bytes]
        self._open_elsewhere = sum(remains.size_bytes for remains in self._remains)


def _look_at(all_remains: Sequence[Remains]) -> None:
    for remains in all_remains:
        remains.look()


def _as_it_is(entry: ScanEntry, hand: ScanInHand | None) -> ScanEntry:
    if hand is None:
        return entry
    scan = hand.scan
    state = "ended" if scan.final else "analysing" if scan.stopped_coming else "receiving"
    update: dict[str, object] = {"state": state, "stored": scan.seen.stored, "missing": scan.seen.missing}
    progress = scan.announcer.progress
    if progress is not None and "diffraction" in progress.stages:
        counts = progress.stages["diffraction"]
        update |= {"analysed": counts.analysed, "failed": counts.failed, "dropped": counts.dropped}
    return entry.model_copy(update=update)


def _why_not(entry: ScanEntry, named: Collection[str], expecting: bool) -> str:
    """Why a scan cannot be removed now; empty where it can."""
    if entry.state in {"receiving", "analysing"}:
        return f"scan {entry.scan_id} is not over: {entry.state}"
    if entry.state == "unfinished" and expecting:
        return f"scan {entry.scan_id} is unfinished, and may still be gone on with"
    if entry.scan_id in named:
        return f"scan {entry.scan_id} is named in the configuration"
    return f"scan {entry.scan_id} is retained: release it first" if entry.retained else ""


def named_scans(config: BaseModel, spool: Path) -> set[str]:
    """The scans of a spool that the configuration names files of."""
    root = spool.resolve()
    return {name for path in _paths(config) for name in _inside(path, root)}


def _paths(part: object) -> Iterator[Path]:
    """All that a configuration names."""
    if isinstance(part, Path):
        yield part
    elif isinstance(part, BaseModel):
        for _, value in part:
            yield from _paths(value)
    elif isinstance(part, Mapping):
        for value in part.values():
            yield from _paths(value)
    elif isinstance(part, list | tuple | set | frozenset):
        for value in part:
            yield from _paths(value)


def _inside(path: Path, root: Path) -> Iterator[str]:
    """The folder of a spool that a file is in, as it is written and as it is where links lead to."""
    for place in (path.absolute(), path.resolve()):
        for inner, outer in pairwise((place, *place.parents)):
            if outer.resolve() == root:
                yield inner.name
