"""Scans that an earlier daemon left unfinished, one after the other, until a new one begins."""

from collections.abc import Callable

import structlog

from livestrain_daemon.housekeeping import Housekeeper
from livestrain_daemon.messages import ResumeScan
from livestrain_daemon.scan.scans import Scans
from livestrain_wire.messages import RefusalReason, ScanEntry

log = structlog.get_logger()


class Resumption:
    """
    Asks the intake to go on with the next older scan when the one before has ended.

    A daemon that was killed may have had several in memory: one that frames came for, others whose analysis lagged. The
    newest is gone on with at the start, because frames of it may still come.

    Parameters
    ----------
    scans
        Those in memory.
    housekeeper
        Knows those that are not.
    tell_intake
        Sends a message to the intake.
    """

    def __init__(self, scans: Scans, housekeeper: Housekeeper, tell_intake: Callable[[ResumeScan], None]) -> None:
        self._scans = scans
        self._housekeeper = housekeeper
        self._tell_intake = tell_intake
        self._asked_at = 0
        """Scans that had been opened when the last one was looked for."""
        self._over = False

    def step(self) -> None:
        """Looks for the next one if it is time."""
        hands = self._scans.all()
        if self._over or not hands or self._asked_at == self._scans.opened_total or not self._scans.all_final:
            return
        self._asked_at = self._scans.opened_total
        if all(hand.scan.opened.resumed for hand in hands):
            self._housekeeper.entries(self._go_on, self._give_up)
        else:
            self._end()

    def _go_on(self, entries: list[ScanEntry]) -> None:
        left = [entry for entry in entries if entry.state == "unfinished"]
        if not left:
            self._end()
        # a new one may have begun while the list was read
        elif self._asked_at == self._scans.opened_total:
            log.info("another unfinished scan was found", folder=left[0].folder)
            self._tell_intake(ResumeScan(folder=left[0].folder))

    def _give_up(self, reason: RefusalReason, text: str) -> None:
        del reason
        log.error("unfinished scans are not looked for", reason=text)
        self._end()

    def _end(self) -> None:
        self._over = True
        self._housekeeper.expect_no_more()
