"""Holds frames back while the slot of the ring that they would take is still needed."""

import time
from collections.abc import Iterable
from threading import Condition
from typing import Protocol

import structlog

from livestrain_daemon.messages import Released
from livestrain_daemon.runset import RunSet
from livestrain_wire.messages import Run

PATIENCE_SECONDS = 10.0
"""If nothing at all is released for so long, the oldest frames are dropped after all [s]."""

_log = structlog.get_logger(__name__)

Displaced = Iterable[tuple[str, list[Run]]]
"""Scan id and positions whose frames would be overwritten."""


class Gate(Protocol):
    """Who decides when a slot may be overwritten."""

    def opened(self, scan_id: str) -> None:
        """Frames of this scan are being stored from now on."""
        ...

    def wait(self, displaced: Displaced) -> None:
        """Return when these frames may go."""
        ...


class OpenGate:
    """The oldest frames may always go: a detector does not wait."""

    def opened(self, scan_id: str) -> None:
        """Nothing to remember."""
        del scan_id

    def wait(self, displaced: Displaced) -> None:
        """Return at once."""
        del displaced


class RingGate:
    """
    Frames may go when main has released them; `release` and `stop` are called by another thread than `wait`.

    Only frames of scans that this intake has opened are waited for: earlier ones main may have forgotten.
    """

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._released: dict[str, RunSet] = {}
        self._opened: set[str] = set()
        self._stopped = False
        self._changed = Condition()
        self._patience = patience_seconds

    def opened(self, scan_id: str) -> None:
        """From now on this scan's frames go only when they are released."""
        with self._changed:
            self._opened.add(scan_id)

    def stop(self) -> None:
        """From now on everything may go at once: nobody will release anything any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def release(self, message: Released) -> None:
        """Every stage is done with these positions."""
        with self._changed:
            runs = self._released.setdefault(message.scan_id, RunSet())
            for first, count in message.runs:
                runs.add(first, count)
            self._changed.notify_all()

    def wait(self, displaced: Displaced) -> None:
        """Return when all of these may go, or when nothing has been released for too long."""
        with self._changed:
            needed = [(scan_id, run) for scan_id, runs in displaced if scan_id in self._opened for run in runs]
            last = time.monotonic()
            while not (self._stopped or self._all_released(needed)):
                if not self._changed.wait(timeout=max(0.0, last + self._patience - time.monotonic())):
                    _log.warning("nothing was released: the oldest frames are dropped", seconds=self._patience)
                    return
                last = time.monotonic()

    def _all_released(self, needed: list[tuple[str, Run]]) -> bool:
        for scan_id, (first, count) in needed:
            runs = self._released.get(scan_id)
            if runs is None or sum(length for _, length in runs.overlap(first, count)) < count:
                return False
        return True
