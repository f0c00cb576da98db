"""What a DECTRIS detector is asked again and again: its state, and what it could not send."""

import time
from collections.abc import Callable
from typing import TypeAlias

from livestrain_daemon.intake.detectors.dectris.drops import Drops
from livestrain_daemon.intake.detectors.dectris.rest import Rest, RestError
from livestrain_daemon.intake.detectors.dectris.unarmed import Unarmed
from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesFrames, SeriesStart, Trouble

SAMPLES = 3
"""So often is the count read, if the state changes meanwhile."""

Tell: TypeAlias = Callable[[Trouble | Exception], None]
"""Takes a trouble, or what ends everything."""


class Watch:
    """
    Asks for the state and tells what follows from it.

    Parameters
    ----------
    rest
        The detector's REST interface.
    tell
        Takes what goes wrong.
    """

    def __init__(self, rest: Rest, tell: Tell) -> None:
        self._rest = rest
        self._tell = tell
        self._drops = Drops(tell)
        self._unarmed = Unarmed(rest.url)
        self._series = 0
        """Series heard of so far."""
        self.frames = 0
        """Images heard of so far."""
        self._announced: int | None = None
        """Images that the series heard of last shall have."""
        self._came = 0
        """Of them, those that have come."""
        self._reachable = True
        self._counts = True
        """The interface says how many images were dropped."""

    def hear(self, event: DetectorEvent, number: int | None) -> None:
        """Something that came in the stream, while the series of a number is in progress."""
        match event:
            case SeriesStart():
                missing = None if self._announced is None else max(self._announced - self._came, 0)
                self._series += 1
                self._announced, self._came = event.frames, 0
                self._drops.heard(event.series, number, missing)
            case SeriesFrames():
                self.frames += event.count
                self._came += event.count

    def armed(self, number: int) -> None:
        """A series has been begun here."""
        self._drops.armed(number)

    def wait_for_others(self) -> None:
        """Ask, where somebody else shall arm it, and tell if nobody does."""
        state = self.ask()
        trouble = None if state is None else self._unarmed.seen(state, self._series, time.monotonic())
        if trouble:
            self._tell(trouble)

    def ask(self) -> str | None:
        """The state, if there is an answer; what has been dropped is told."""
        try:
            state = self._asked()
        except RestError as error:
            if self._reachable:
                self._tell(Trouble("connection", str(error)))
            self._reachable = False
            return None
        self._reachable = True
        return state

    def _asked(self) -> str:
        state = self._rest.state()
        for _ in range(SAMPLES):
            mark = self._drops.mark
            dropped = self._dropped()
            before, state = state, self._rest.state()
            # a count that was read while a series began may be of either
            if dropped is None or (before == state and self._drops.seen(mark, state, dropped)):
                break
        return state

    def _dropped(self) -> int | None:
        try:
            return self._rest.dropped()
        except RestError as error:
            if not error.final:
                raise
            if self._counts:
                self._tell(Trouble("connection", str(error)))
            self._counts = False
            return None
