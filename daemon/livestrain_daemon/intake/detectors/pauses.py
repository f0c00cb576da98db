FIRST_SECONDS = 0.1
LONGEST_SECONDS = 5.0


class Pauses:
    """Pauses between attempts, each twice as long as the one before, up to a limit."""

    def __init__(self) -> None:
        self._next = FIRST_SECONDS

    def next(self) -> float:
        """The pause before the next attempt [s]."""
        pause = self._next
        self._next = min(2 * pause, LONGEST_SECONDS)
        return pause

    def reset(self) -> None:
        """An attempt has succeeded."""
        self._next = FIRST_SECONDS
