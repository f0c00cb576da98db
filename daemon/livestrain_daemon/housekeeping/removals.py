"""Removing scans: the folder is set aside at once, a thread deletes its files, and each removal is told and counted."""

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial

import structlog

from livestrain_daemon.background import Background
from livestrain_daemon.errors import StorageError
from livestrain_daemon.publish.publisher import Publisher
from livestrain_daemon.retention import Why
from livestrain_daemon.scan.scans import Scans
from livestrain_daemon.scanfolder import Spool
from livestrain_daemon.scanfolder.hold import InUseError
from livestrain_daemon.scanfolder.removal import Remains, delete, forget_oldest_names, leftovers, set_aside
from livestrain_wire.messages import ScanEntry

log = structlog.get_logger()

RETRY_SECONDS = 30.0
"""After so long it is tried again to remove a scan that could not be removed [s]."""
REMAINS_SECONDS = 0.2
"""How often it is asked whether a removed file is still open in a program [s]."""

REASONS: dict[Why, str] = {
    "count": "more scans than spool.keep_scans",
    "size": "more bytes than spool.keep_mib",
    "free": "less space free than spool.keep_free_mib",
    "room": "a new scan needs the space",
    "asked": "as asked for",
}


class Removals:
    """
    The one that removes scans of a spool; at the start also what an earlier daemon had set aside.

    Parameters
    ----------
    spool
        Locked by this process.
    scans
        Those in memory: one that is removed is forgotten there, too.
    publisher
        Where events go.
    """

    def __init__(self, spool: Spool, scans: Scans, publisher: Publisher) -> None:
        self._spool = spool
        self._scans = scans
        self._publisher = publisher
        self._thread = Background("remove")
        self._again: dict[str, float] = {}
        """Scans that could not be removed, and when that is tried again [s]."""
        self._remains: list[Remains] = []
        self._next_remains = 0.0
        self.open_elsewhere = 0
        """Space of removed files that becomes free when programs close them [bytes]."""
        self.removed: Counter[str] = Counter()
        """Scans removed since the start of the daemon, by reason."""
        forget_oldest_names(spool.folder)
        for aside in leftovers(spool.folder):
            self._thread.submit(partial(delete, aside), partial(self._deleted, aside.name))

    @property
    def deleting(self) -> bool:
        """Whether files are being deleted, or remains looked at."""
        return self._thread.waiting > 0

    @property
    def stuck(self) -> set[str]:
        """Scans that could not be removed a short while ago."""
        now = time.monotonic()
        self._again = {scan_id: again for scan_id, again in self._again.items() if again > now}
        return set(self._again)

    def turn(self) -> None:
        """Takes what the thread has done."""
        self._thread.turn()
        if self._remains and not self.deleting and time.monotonic() >= self._next_remains:
            self._next_remains = time.monotonic() + REMAINS_SECONDS
            self._thread.submit(partial(_look_at, tuple(self._remains)), self._looked_at_remains)

    def close(self) -> None:
        """Ends the thread; what is not deleted yet the next daemon deletes."""
        self._thread.close()
        for remains in self._remains:
            remains.close()

    def try_to_remove(self, entry: ScanEntry, why: Why) -> bool:
        """Removes a scan, or says in the log why it cannot and counts it among the stuck ones."""
        try:
            self.remove(entry, why)
        except StorageError as error:
            self._again[entry.scan_id] = time.monotonic() + RETRY_SECONDS
            tell = log.info if isinstance(error, InUseError) else log.error
            tell("a scan cannot be removed", scan=entry.scan_id, reason=str(error))
            return False
        return True

    def remove(self, entry: ScanEntry, why: Why) -> None:
        """
        Removes a scan.

        Raises
        ------
        InUseError
            If somebody writes or exports it.
        StorageError
            If it cannot be renamed.
        """
        aside = set_aside(self._spool.folder_of(entry.scan_id))
        self._scans.forget(entry.scan_id)
        self.removed[why] += 1
        given_up = "" if entry.state == "ended" else ", though it was never analysed to its end"
        text = f"scan {entry.scan_id} of {entry.size_bytes / 1e6:.1f} MB is removed: {REASONS[why]}{given_up}"
        log.info(text, what="scan_removed", scan=entry.scan_id, bytes=entry.size_bytes, why=why)
        self._publisher.event("", "scan_removed", text)
        self._thread.submit(partial(delete, aside), partial(self._deleted, entry.scan_id))

    def _deleted(self, name: str, outcome: Remains | Exception) -> None:
        if isinstance(outcome, Exception):
            log.error("files of a removed scan are left until the next start", scan=name, reason=str(outcome))
        elif outcome.size_bytes:
            self._remains.append(outcome)
            self.open_elsewhere += outcome.size_bytes
            log.debug("a removed scan is open in a program", scan=name, bytes=outcome.size_bytes)

    def _looked_at_remains(self, outcome: object) -> None:
        del outcome
        self._remains = [remains for remains in self._remains if remains.size_bytes]
        self.open_elsewhere = sum(remains.size_bytes for remains in self._remains)


def _look_at(all_remains: Sequence[Remains]) -> None:
    for remains in all_remains:
        remains.look()
