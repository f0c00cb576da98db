"""What happens to a scan, put down in its journal, and told to the log and the subscribers."""

from pathlib import Path
from typing import Any, Literal

import structlog

from livestrain_daemon.errors import StorageError
from livestrain_daemon.publish.publisher import Publisher
from livestrain_daemon.scanfolder import Journal
from livestrain_wire.messages import Run

log = structlog.get_logger()

FAILURES_TOLD = 10
"""So many positions that were given up are told one by one."""


class Notebook:
    """
    The journal of one scan, and its events.

    Parameters
    ----------
    scan_id
        Whose.
    folder
        Of the scan; holds the journal.
    publisher
        Where events go.
    """

    def __init__(self, scan_id: str, folder: Path, publisher: Publisher) -> None:
        self._id = scan_id
        self._journal = Journal(folder)
        self._publisher = publisher
        self._positions_failed = 0

    def note(self, kind: str, **fields: Any) -> None:
        """A line in the scan's journal; a full disk costs the line, not the daemon."""
        try:
            self._journal.append(kind, **fields)
        except StorageError as error:
            log.error("a line of the journal is lost", kind=kind, reason=str(error))

    def tell(self, name: str, text: str, level: Literal["info", "warning", "error"] = "info") -> None:
        """An event for the subscribers and a line in the log and the journal."""
        getattr(log, level)(text, scan=self._id, what=name)
        self.note("event", name=name, level=level, text=text)
        self._publisher.event(self._id, name, text, level)

    def failed(self, stage: str, runs: list[Run], reason: str) -> None:
        """A stage gave up on positions; the first of them are told, all are in the journal."""
        self.note("failed", stage=stage, runs=runs, reason=reason)
        self._positions_failed += 1
        if self._positions_failed <= FAILURES_TOLD:
            more = "; the journal has the others" if self._positions_failed == FAILURES_TOLD else ""
            self.tell("position_failed", f"{stage}: gave up on position {runs[0][0]}: {reason}{more}", "error")

    def close(self) -> None:
        """Gives the file back."""
        self._journal.close()
