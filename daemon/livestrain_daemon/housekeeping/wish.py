"""The intake's wish for free space, from `RoomWanted` to `RoomMade`."""

import time
from collections.abc import Callable

from livestrain_daemon.messages import RoomMade, RoomWanted
from livestrain_daemon.scanfolder import Spool

FREED_SECONDS = 10.0
"""How long workers may keep open what was deleted, and a file system may take to give it back [s]."""


class Wish:
    """
    What the intake waits for, if anything; the latest request counts.

    Parameters
    ----------
    spool
        Where the space should be.
    tell_intake
        Sends a message to the intake.
    """

    def __init__(self, spool: Spool, tell_intake: Callable[[RoomMade], None]) -> None:
        self._spool = spool
        self._tell_intake = tell_intake
        self._asked: RoomWanted | None = None
        self._until: float | None = None

    @property
    def bytes(self) -> int:
        """Space that should be free; 0: nobody waits [bytes]."""
        return 0 if self._asked is None else self._asked.bytes

    def ask(self, wanted: RoomWanted) -> None:
        """The intake needs so much."""
        self._asked, self._until = wanted, None

    def decided(self, removed: bool) -> None:
        """What can be removed for it is being deleted; nothing, if not ``removed``."""
        self._until = time.monotonic() + (FREED_SECONDS if removed else 0.0)

    def answer(self) -> bool:
        """Answers the intake if all is done, or enough is free; whether it did."""
        if self._asked is None or self._until is None:
            return False
        if time.monotonic() < self._until and not self._is_met():
            return False
        self._tell_intake(RoomMade(id=self._asked.id))
        self._asked = self._until = None
        return True

    def _is_met(self) -> bool:
        try:
            return self._spool.free_bytes() >= self.bytes
        except OSError:
            # the disk is gone: the intake finds out by itself, and needs not wait
            return True
