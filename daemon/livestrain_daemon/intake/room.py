"""Space for a scan that does not fit: main removes old scans while the intake waits."""

import uuid
from collections.abc import Callable
from threading import Event

import structlog

from livestrain_daemon.messages import RoomMade, RoomWanted
from livestrain_wire.messages import Message

PATIENCE_SECONDS = 20.0
"""A scan waits for its space no longer; what comes meanwhile waits between socket and file [s]."""

_log = structlog.get_logger(__name__)


class Room:
    """
    Asks main for space; `made` and `stop` are called by another thread than `make`.

    Parameters
    ----------
    tell
        Sends a message to main.
    """

    def __init__(self, tell: Callable[[Message], None], patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._tell = tell
        self._patience = patience_seconds
        self._made = Event()
        self._stopped = False
        self._asked = ""

    def make(self, needed_bytes: int) -> None:
        """
        Return when main has done what it could, or has said nothing for too long.

        Parameters
        ----------
        needed_bytes
            That should be free [bytes].
        """
        self._asked = uuid.uuid4().hex
        self._made.clear()
        if self._stopped:
            return
        self._tell(RoomWanted(id=self._asked, bytes=needed_bytes))
        if not self._made.wait(self._patience):
            _log.warning("main has not said whether there is room for a scan", seconds=self._patience)

    def made(self, message: RoomMade) -> None:
        """Main has done what it could; for an earlier scan it says nothing of this one."""
        if message.id == self._asked:
            self._made.set()

    def stop(self) -> None:
        """Main will not answer any more."""
        self._stopped = True
        self._made.set()
