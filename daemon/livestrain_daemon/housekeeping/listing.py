"""The scans of a spool as they are now: what journals tell is read in a thread, what is in memory comes to it."""

from collections.abc import Callable

from livestrain_daemon.background import Background
from livestrain_daemon.scan.scans import ScanInHand, Scans
from livestrain_daemon.scanfolder import Spool
from livestrain_daemon.scanfolder.history import History
from livestrain_wire.messages import ScanEntry

Entries = list[ScanEntry]


class Listing:
    """
    Lists all scans, the newest first.

    Parameters
    ----------
    spool
        Where they are.
    scans
        Those in memory.
    """

    def __init__(self, spool: Spool, scans: Scans) -> None:
        self._spool = spool
        self._scans = scans
        self._history = History(spool.folder)
        self._thread = Background("history")

    def entries(self, done: Callable[[Entries | Exception], None]) -> None:
        """All scans, or why they cannot be listed, given to ``done`` by `turn`."""

        def listed(outcome: Entries | Exception) -> None:
            done(outcome if isinstance(outcome, Exception) else self._as_they_are(outcome))

        self._thread.submit(self._history.entries, listed)

    def look(self, done: Callable[[tuple[Entries, int] | Exception], None]) -> None:
        """The same with the free space of the disk [bytes]."""

        def seen(outcome: tuple[Entries, int] | Exception) -> None:
            done(outcome if isinstance(outcome, Exception) else (self._as_they_are(outcome[0]), outcome[1]))

        self._thread.submit(lambda: (self._history.entries(), self._spool.free_bytes()), seen)

    @property
    def reading(self) -> bool:
        """Whether something is being read, or waits to be given out."""
        return self._thread.waiting > 0

    def turn(self) -> None:
        """Gives out what has been read."""
        self._thread.turn()

    def close(self) -> None:
        """Ends the thread."""
        self._thread.close()

    def _as_they_are(self, entries: Entries) -> Entries:
        """What journals cannot tell of scans in memory."""
        return [_as_it_is(entry, self._scans.find(entry.scan_id)) for entry in entries]


def _as_it_is(entry: ScanEntry, hand: ScanInHand | None) -> ScanEntry:
    if hand is None:
        return entry
    scan = hand.scan
    state = "ended" if scan.final else "analysing" if scan.stopped_coming else "receiving"
    seen, faults = scan.seen, dict(scan.faults)
    update: dict[str, object] = {"state": state, "stored": seen.stored, "missing": seen.missing, "faults": faults}
    progress = scan.announcer.progress
    if progress is not None and "diffraction" in progress.stages:
        counts = progress.stages["diffraction"]
        update |= {"analysed": counts.analysed, "failed": counts.failed, "dropped": counts.dropped}
    return entry.model_copy(update=update)
