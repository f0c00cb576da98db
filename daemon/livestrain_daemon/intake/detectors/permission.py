"""Whether the daemon may begin series of a detector by itself."""


class Permission:
    """
    Given and taken by one thread, asked for by others.

    Parameters
    ----------
    armed
        Given from the beginning.
    """

    def __init__(self, armed: bool = True) -> None:
        self.armed = armed
        """Series may be begun."""
        self.times = int(armed)
        """How often it has been given: each time is a wish for one series."""

    def set(self, armed: bool) -> None:
        """Give or take it; given twice is given once."""
        if armed and not self.armed:
            self.times += 1
        self.armed = armed
