"""Counts and rates of a scan, for people and for metrics."""

import time
from collections import deque

from livestrain_wire.messages import StageCounts

WINDOW_SECONDS = 3.0
"""Rates are averaged over so long [s]."""


class Rate:
    """How fast a count grows, over the last seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def update(self, count: int) -> float:
        """The rate after this count was read now [1/s]."""
        now = time.monotonic()
        self._points.append((now, count))
        while now - self._points[0][0] > WINDOW_SECONDS:
            self._points.popleft()
        elapsed = now - self._points[0][0]
        return (count - self._points[0][1]) / elapsed if elapsed > 0 else 0.0


def lag_of(counts: StageCounts, positions: int, stored: int, missing: int) -> int:
    """Positions that are stored and not analysed yet."""
    not_come = positions - stored - missing
    return max(0, counts.pending - not_come)
