"""What a detector is doing, for people who wait for it."""

from collections.abc import Callable
from typing import Literal, TypeAlias

from livestrain_daemon.intake.detectors.events import Connection, DetectorEvent, SeriesEnd, SeriesStart, Trouble
from livestrain_daemon.messages import DetectorSeen
from livestrain_wire.messages import Message

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
        self._say()

    def hear(self, event: DetectorEvent) -> None:
        """Something that the detector has told."""
        before = self._state, self._trouble
        match event:
            case Connection(up=True):
                self._state, self._trouble = "waiting", ""
            case Connection(up=False):
                self._state = "connecting"
            case SeriesStart():
                self._state, self._trouble = "receiving", ""
            case SeriesEnd():
                self._state = "waiting"
            case Trouble(kind="connection"):
                self._trouble = event.text
            case _:
                return
        if (self._state, self._trouble) != before:
            self._say()

    def _say(self) -> None:
        seen = DetectorSeen(name=self._name, endpoint=self._endpoint, state=self._state, trouble=self._trouble)
        self._tell(seen)
