"""What a detector is doing, for people who wait for it."""

import time
from collections import deque
from collections.abc import Callable
from typing import Literal, TypeAlias

from livestrain_daemon.intake.detectors.events import Connection, DetectorEvent, SeriesEnd, SeriesStart, Trouble
from livestrain_daemon.messages import DetectorSeen
from livestrain_wire.messages import Message

SAME_TROUBLES = 16
"""So many of an outage are known again; each is told and counted once."""

State: TypeAlias = Literal["connecting", "waiting", "receiving"]


class Standing:
    """
    Tells main whenever it changes.

    Parameters
    ----------
    name, endpoint
        Of the detector.
    tell
        Sends a message to main.
    """

    def __init__(self, name: str, endpoint: str, tell: Callable[[Message], None]) -> None:
        self._name = name
        self._endpoint = endpoint
        self._tell = tell
        self._state: State = "connecting"
        self._trouble = ""
        self._told: deque[str] = deque(maxlen=SAME_TROUBLES)
        self._connected = False
        self._in_series = False
        """A series may outlast its connection."""
        self._lost_ns: int | None = None
        self._say()

    def hear(self, event: DetectorEvent) -> bool:
        """Something that the detector has told; false where it is the trouble of an outage that is known already."""
        before = self._state, self._trouble, self._lost_ns
        match event:
            case Connection(up=True):
                self._up("receiving" if self._in_series else "waiting")
            case Connection(up=False):
                self._down()
            case SeriesStart():
                self._in_series = True
                self._up("receiving")
            case SeriesEnd():
                self._in_series = False
                self._state = "waiting" if self._connected else "connecting"
            case Trouble(kind="connection"):
                self._trouble = event.text
                if event.text in self._told:
                    return False
                self._told.append(event.text)
            case _:
                return True
        if (self._state, self._trouble, self._lost_ns) != before:
            self._say()
        return True

    def _up(self, state: State) -> None:
        self._state, self._trouble, self._connected, self._lost_ns = state, "", True, None
        self._told.clear()

    def _down(self) -> None:
        self._state = "connecting"
        if self._connected:
            self._connected, self._lost_ns = False, time.time_ns()

    def _say(self) -> None:
        self._tell(
            DetectorSeen(
                name=self._name,
                endpoint=self._endpoint,
                state=self._state,
                trouble=self._trouble,
                lost_ns=self._lost_ns,
            )
        )
