"""What went wrong with frames, counted by kind and told once per scan."""

from collections import Counter
from collections.abc import Callable

SILENT = frozenset({"flyback"})
"""Counted, because such frames are not stored either, but nothing is wrong with them."""


class Faults:
    """
    Counts by kind; the first of each kind is told with one clear line.

    Parameters
    ----------
    tell
        Called with the kind and the line.
    """

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell
        self._told: set[str] = set()
        self.counts: Counter[str] = Counter()

    def add(self, kind: str, text: str, frames: int = 1) -> None:
        """Count frames (or messages that are not frames) that were not stored."""
        self.counts[kind] += frames
        if kind not in self._told and kind not in SILENT:
            self._told.add(kind)
            self._tell(kind, text)

    def tell_again(self) -> None:
        """From now on the next fault of each kind is told again."""
        self._told.clear()
