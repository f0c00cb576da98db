"""A detector that nobody arms while the daemon waits for its series."""

from livestrain_daemon.intake.detectors.events import Trouble

UNARMED_SECONDS = 30.0
"""So long may a detector be idle before somebody is told [s]."""
NOT_ARMED = ("idle", "na", "error")
"""States in which no series can come."""


class Unarmed:
    """
    Says once that no series can come, and again only after a series.

    Parameters
    ----------
    url
        Of the detector, for people.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._since: float | None = None
        self._told = False
        self._series = 0

    def seen(self, state: str, series: int, now: float) -> Trouble | None:
        """What is to be told of a state, with so many series heard so far, at a time [s]."""
        if state not in NOT_ARMED or series != self._series:
            self._series, self._since, self._told = series, None, False
            if state not in NOT_ARMED:
                return None
        if self._since is None:
            self._since = now
        if self._told or now - self._since < UNARMED_SECONDS:
            return None
        self._told = True
        text = f"{self._url}: expected an armed detector, found {state}: arm it (or set [intake.dectris.arm])"
        return Trouble("connection", text)
