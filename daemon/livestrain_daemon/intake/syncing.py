"""Stored frames to the disk itself, in the background."""

from collections import deque
from collections.abc import Callable
from threading import Event

import structlog

from livestrain_daemon.errors import StorageError
from livestrain_daemon.intake.openscan import OpenScan
from livestrain_daemon.intake.placement import joined
from livestrain_daemon.messages import FaultSeen, Synced
from livestrain_wire.messages import Message, Run

_log = structlog.get_logger(__name__)


class Syncer:
    """
    Forces what has been stored to the disk, now and then, and closes scans that have ended.

    Parameters
    ----------
    current
        The scan in progress.
    tell
        Sends a message to main.
    seconds
        How often [s].
    """

    def __init__(self, current: Callable[[], OpenScan | None], tell: Callable[[Message], None], seconds: float) -> None:
        self._current = current
        self._tell = tell
        self._seconds = seconds
        self._ended: deque[OpenScan] = deque()
        self._failed: set[str] = set()

    def retire(self, scan: OpenScan) -> None:
        """Sync this scan a last time and close its files; nothing writes to it any more."""
        self._ended.append(scan)

    def run(self, stop: Event) -> None:
        """Sync until told to stop, then a last time."""
        while not stop.wait(self._seconds):
            self.sync()
        self.sync()

    def sync(self) -> None:
        """Sync everything once."""
        # the current one is looked at first: should it end meanwhile, it comes again among the ended
        current = self._current()
        if current:
            self._sync_scan(current)
        while self._ended:
            scan = self._ended.popleft()
            self._sync_scan(scan)
            scan.writer.close()
            self._failed.discard(scan.scan_id)

    def _sync_scan(self, scan: OpenScan) -> None:
        runs: list[Run] = []
        while scan.unsynced:
            runs.append(scan.unsynced.popleft())
        if not runs or scan.scan_id in self._failed:
            return
        try:
            scan.writer.sync()
        except StorageError as error:
            self._failed.add(scan.scan_id)
            self._tell(FaultSeen(scan_id=scan.scan_id, kind="sync_error", text=str(error)))
            _log.error("stored frames could not be forced to the disk", scan_id=scan.scan_id, reason=str(error))
            return
        self._tell(Synced(scan_id=scan.scan_id, runs=joined(runs)))
