"""A detector that is connected and sends nothing: whether it is idle, because nobody has started it."""

from collections.abc import Callable
from threading import Thread

from livestrain_daemon.intake.detectors.events import Trouble

IDLE_SECONDS = 30.0
"""So long may nothing come before the detector is asked, and between one question and the next [s]."""


class Idling:
    """
    Asks beside the frames, and says once that nobody has started the detector, and again only after a series.

    Parameters
    ----------
    where
        Of the detector, for people.
    is_idle
        Asks it; no answer is no. It may take its time.
    """

    def __init__(self, where: str, is_idle: Callable[[], bool]) -> None:
        self._where = where
        self._is_idle = is_idle
        self._since: float | None = None
        self._told = False
        self._found = False
        self._thread: Thread | None = None

    def step(self, idle: bool, now: float) -> Trouble | None:
        """
        What is to be told.

        Parameters
        ----------
        idle
            No series is in progress, as far as its frames tell.
        now
            Monotonic [s].
        """
        if self._thread:
            if self._thread.is_alive():
                return None
            self._thread, self._since = None, now
        found, self._found = self._found, False
        if not idle:
            self._since, self._told = None, False
            return None
        if found and not self._told:
            self._told = True
            text = f"{self._where}: expected a running acquisition, found idle: start it"
            return Trouble("connection", text)
        if self._since is None:
            self._since = now
        elif not self._told and now - self._since > IDLE_SECONDS:
            self._thread = Thread(target=self._ask, name="idle detector", daemon=True)
            self._thread.start()
        return None

    def close(self, seconds: float) -> None:
        """Wait for a question to end, for so long [s]."""
        if self._thread:
            self._thread.join(seconds)

    def _ask(self) -> None:
        self._found = self._is_idle()
