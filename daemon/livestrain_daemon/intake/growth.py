"""Memory that this process takes while no message comes: then it is one that has no end."""

import os
from pathlib import Path


class Growth:
    """
    How far this process has grown since the last whole message.

    ZeroMQ keeps all parts of a message before it shows the first, and 64 bytes for each, however short it is.

    Parameters
    ----------
    limit
        As far as it may [bytes].
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._least = 0
        """The least memory since then; 0 until it is looked at [bytes]."""

    def whole(self) -> None:
        """A whole message has come."""
        self._least = 0

    def is_too_far(self) -> bool:
        """Look at it now; what has been taken before must have been let go by then, or be little."""
        now = _resident_bytes()
        self._least = min(now, self._least or now)
        return now - self._least > self._limit


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
