"""Which frames of a series have come."""

LARGEST_AHEAD = 65_536
"""Frames that are remembered beyond the first one that has not come."""


class Counted:
    """
    Which frames of a series have come.

    Parameters
    ----------
    frames
        How many will; None if that is not known.
    """

    def __init__(self, frames: int | None) -> None:
        self._frames = frames
        self._whole = 0
        self._ahead: set[int] = set()
        self.latest = 0
        """The largest number, counted from 1."""

    @property
    def complete(self) -> bool:
        """Every frame has come."""
        return self._whole == self._frames

    @property
    def last_seen(self) -> bool:
        """The last frame has come."""
        return self.latest == self._frames

    def add(self, index: int) -> None:
        """A frame has come, counted from 0."""
        self.latest = max(self.latest, index + 1)
        if index == self._whole:
            self._whole += 1
            while self._whole in self._ahead:
                self._ahead.remove(self._whole)
                self._whole += 1
        elif index > self._whole and len(self._ahead) < LARGEST_AHEAD:
            self._ahead.add(index)
