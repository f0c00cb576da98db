"""The thread that stores: what arrives goes to the scan, and main hears of it."""

import time
from collections.abc import Callable

import structlog

from livestrain_daemon.intake.joining import joined
from livestrain_daemon.intake.receiver import Arrival, ArrivalQueue
from livestrain_daemon.intake.session import Session
from livestrain_daemon.messages import IntakeCounts
from livestrain_wire.messages import Message

HINT_SECONDS = 0.005
"""Stored frames are told of together at most so long after they were stored [s]."""
HINT_FRAMES = 64
"""So many frames are told of earlier,"""
FLOOD_SECONDS = 0.001
"""but not sooner than this after what was told before: small frames come so fast that main would hear of little else
[s]."""
COUNT_SECONDS = 0.25
"""How often counts are sent while they change [s]."""
IDLE_SECONDS = 0.05

_log = structlog.get_logger(__name__)


class Reporter:
    """Tells main what has been stored and counted: soon, but not for every frame."""

    def __init__(self, session: Session, queue: ArrivalQueue, tell: Callable[[Message], None]) -> None:
        self._session = session
        self._queue = queue
        self._tell = tell
        self._hinted = 0.0
        self._counted = 0.0
        self._last: dict[str, IntakeCounts] = {}

    def report(self) -> None:
        """Tell what is due."""
        now = time.monotonic()
        waiting = self._session.scan.waiting if self._session.scan else 0
        since = now - self._hinted
        if waiting and (since >= HINT_SECONDS or (waiting >= HINT_FRAMES and since >= FLOOD_SECONDS)):
            self._session.tell_stored()
            self._hinted = now
        if now - self._counted >= COUNT_SECONDS:
            self._counted = now
            self._report_counts()

    def _report_counts(self) -> None:
        scan = self._session.scan
        idle = IntakeCounts(scan_id="", stored=0, queued=0, faults=dict(+self._session.idle_faults.counts))
        now = {"": idle}
        if scan:
            faults = dict(+scan.faults.counts)
            queued = max(self._queue.frames, 0)
            now[scan.scan_id] = IntakeCounts(
                scan_id=scan.scan_id, stored=scan.stored_count, queued=queued, faults=faults
            )
        for scan_id, counts in now.items():
            if self._last.get(scan_id) != counts and (scan_id or counts.faults):
                self._tell(counts)
        self._last = now


def store(session: Session, queue: ArrivalQueue, reporter: Reporter, *, together: bool = True) -> None:
    """Take what arrives until main asks to stop; ``together`` if frames of several messages may be stored at once."""
    while not session.stopped:
        waiting = session.scan is not None and session.scan.waiting
        arrivals = queue.get(HINT_SECONDS if waiting else IDLE_SECONDS)
        for arrival in joined(arrivals) if together else arrivals:
            _take(session, arrival)
            reporter.report()
        if len(queue) == 0:
            session.tick()
            reporter.report()


def _take(session: Session, arrival: Arrival) -> None:
    try:
        session.take(arrival)
    except Exception as error:
        # whatever a message does, the ones after it shall still be stored
        session.faults.add("internal", f"{type(error).__name__}: {error}", max(arrival.frames, 1))
        _log.exception("a message could not be handled")
