"""Requests about the scans of the spool: list them, retain them, remove them."""

from livestrain_daemon.control.socket import Answer, Refuse
from livestrain_daemon.errors import NotAScan, StorageError
from livestrain_daemon.housekeeping import Housekeeper
from livestrain_wire.messages import Done, RemoveRequest, RetainRequest, ScanEntry, ScansReply, ScansRequest


class HistoryRequests:
    """
    Answers what concerns scans that need not be in memory.

    Parameters
    ----------
    housekeeper
        Who knows them.
    epoch
        Of this life of the daemon.
    """

    def __init__(self, housekeeper: Housekeeper, epoch: str) -> None:
        self._housekeeper = housekeeper
        self._epoch = epoch

    def handle(self, request: ScansRequest | RetainRequest | RemoveRequest, answer: Answer, refuse: Refuse) -> None:
        """Does what a request asks, and answers now or when the spool has been looked at."""
        done = Done(id=request.id, epoch=self._epoch)
        match request:
            case ScansRequest():
                self._housekeeper.entries(lambda entries: answer(self._page(request, entries)), refuse)
            case RetainRequest():
                try:
                    self._housekeeper.retain(request.scan_id, request.retained)
                except StorageError as error:
                    refuse("no_scan" if isinstance(error, NotAScan) else "internal", str(error))
                else:
                    answer(done)
            case RemoveRequest():
                self._housekeeper.remove(request.scan_id, lambda: answer(done), refuse)

    def _page(self, request: ScansRequest, entries: list[ScanEntry]) -> ScansReply:
        older = [entry for entry in entries if request.comes_after(entry.began_ns, entry.scan_id)]
        return ScansReply(
            id=request.id,
            epoch=self._epoch,
            scans=tuple(older[: request.count]),
            total=len(entries),
            size_bytes=sum(entry.size_bytes for entry in entries),
            more=len(older) > request.count,
        )
