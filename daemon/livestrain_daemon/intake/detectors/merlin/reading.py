"""From the bytes of a Merlin's data connection to events. No socket, no clock."""

from collections.abc import Callable, Iterator

from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesEnd
from livestrain_daemon.intake.detectors.merlin.acquisition import Acquisitions
from livestrain_daemon.intake.detectors.merlin.framing import Junk, Splitter


class MerlinReading:
    """
    Makes events of bytes.

    Parameters
    ----------
    acquisitions
        Takes the messages.
    ended
        Called when an acquisition is over.
    """

    def __init__(self, acquisitions: Acquisitions, ended: Callable[[], None] = lambda: None) -> None:
        self._acquisitions = acquisitions
        self._ended = ended
        self._splitter = Splitter()

    @property
    def inbox(self) -> Splitter:
        """Where bytes are to be put."""
        return self._splitter

    @property
    def idle(self) -> bool:
        """No acquisition is in progress."""
        return self._acquisitions.idle

    @property
    def cut(self) -> str:
        """What the connection would be closed in the middle of."""
        waiting = self._splitter.waiting
        return f"in the middle of a message ({waiting} bytes)" if waiting else ""

    def events(self, now: float, quiet: bool) -> Iterator[DetectorEvent]:
        """What has come in says; ``quiet`` if nothing has come for a while."""
        while (message := self._splitter.next(quiet)) is not None:
            if isinstance(message, Junk):
                self._acquisitions.trouble("bad_message", message.text, frames=message.messages)
            else:
                self._acquisitions.take(message, now)
        self._acquisitions.tick(now)
        for event in self._acquisitions.events():
            if isinstance(event, SeriesEnd):
                self._ended()
            yield event

    def closed(self, now: float) -> Iterator[DetectorEvent]:
        """The connection has ended; acquisitions may go on in the next one."""
        yield from self.events(now, quiet=True)
        self._splitter.reset()
        self._acquisitions.connected()
