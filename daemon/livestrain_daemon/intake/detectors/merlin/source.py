"""Frames from the data connection of a Merlin."""

import socket
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from threading import Event

from livestrain_daemon.intake.detectors.connection import POLL_SECONDS, connected
from livestrain_daemon.intake.detectors.events import Connection, DetectorEvent, SeriesEnd, Trouble
from livestrain_daemon.intake.detectors.merlin.acquisition import Acquisitions
from livestrain_daemon.intake.detectors.merlin.arming import Arming, Starter
from livestrain_daemon.intake.detectors.merlin.framing import Junk, Splitter
from livestrain_daemon.intake.detectors.patience import Patience
from livestrain_daemon.intake.detectors.pauses import Pauses
from livestrain_daemon.intake.detectors.permission import Permission
from livestrain_daemon.intake.interrupted import Interrupted

DATA_PORT = 6342


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Merlin sends its frames."""

    host: str
    port: int = DATA_PORT


class MerlinDetector:
    """
    A Merlin, as a `Detector`.

    Parameters
    ----------
    address
        Of the data connection.
    patience
        When an acquisition is over that does not say so.
    arming
        How acquisitions are started; None: by somebody else.
    permission
        Whether they may be; None: always.
    interrupted
        The scan that an earlier intake has left unfinished.
    """

    def __init__(
        self,
        address: Address,
        patience: Patience | None = None,
        arming: Arming | None = None,
        permission: Permission | None = None,
        interrupted: Interrupted | None = None,
    ) -> None:
        self._address = address
        self._patience = patience or Patience()
        self._arming = arming
        self._permission = permission
        self._interrupted = interrupted

    @property
    def endpoint(self) -> str:
        """Where it is, for people."""
        return f"tcp://{self._address.host}:{self._address.port}"

    def _before(self) -> int:
        """How far the acquisition was that may still go on."""
        before = self._interrupted
        return before.reached if before and before.lasts else 0

    def events(self, stop: Event) -> Iterator[DetectorEvent | None]:
        """
        What it tells, one thing after the other, until ``stop`` is set.

        Raises
        ------
        Unavailable
            If there is no such host, or it refuses a setting.
        """
        acquisitions = Acquisitions(self._patience, self._before)
        silence = self._patience.silence_seconds
        starter = Starter(self._address.host, self._arming, self._permission, silence) if self._arming else None
        pauses = Pauses()
        try:
            while not stop.is_set():
                try:
                    connection = yield from connected(self._address.host, self._address.port, stop)
                except OSError as error:
                    reason = str(error)
                else:
                    pauses.reset()
                    acquisitions.connected()
                    with connection:
                        yield Connection(up=True)
                        reason = yield from _received(connection, acquisitions, starter, stop)
                if stop.is_set():
                    return
                pause = pauses.next()
                text = f"expected frames from {self.endpoint}, found: {reason}; trying again in {pause:g} s"
                yield Connection(up=False)
                yield Trouble("connection", text)
                yield from _waited(pause, acquisitions, starter, stop)
        finally:
            if starter:
                starter.close()


def _received(
    connection: socket.socket, acquisitions: Acquisitions, starter: Starter | None, stop: Event
) -> Generator[DetectorEvent | None, None, str]:
    """Events of one connection; why it has ended."""
    splitter = Splitter()
    reason = ""
    while not stop.is_set() and not reason:
        quiet = False
        try:
            count = connection.recv_into(splitter.space())
            splitter.filled(count)
            reason = "" if count else "the connection was closed"
        except OSError as error:
            # a connection that has gone is a time-out, too, but of the kernel's
            quiet = isinstance(error, TimeoutError) and error.errno is None
            reason = "" if quiet else str(error)
        yield from _told(splitter, acquisitions, starter, quiet=quiet or bool(reason))
        if quiet:
            yield None
    waiting = splitter.reset()
    return f"{reason} in the middle of a message ({waiting} bytes)" if waiting else reason


def _told(
    splitter: Splitter, acquisitions: Acquisitions, starter: Starter | None, quiet: bool
) -> Iterator[DetectorEvent]:
    """Events of what has come in."""
    now = time.monotonic()
    while (message := splitter.next(quiet)) is not None:
        if isinstance(message, Junk):
            acquisitions.trouble("bad_message", message.text, frames=message.messages)
        else:
            acquisitions.take(message, now)
    yield from _happened(acquisitions, starter, now)
    trouble = starter.step(now, acquisitions.idle) if starter else None
    if trouble:
        yield trouble


def _happened(acquisitions: Acquisitions, starter: Starter | None, now: float) -> Iterator[DetectorEvent]:
    """Events up to now; whoever starts acquisitions is told when one has ended."""
    acquisitions.tick(now)
    for event in acquisitions.events():
        if starter and isinstance(event, SeriesEnd):
            starter.ended()
        yield event


def _waited(
    seconds: float, acquisitions: Acquisitions, starter: Starter | None, stop: Event
) -> Iterator[DetectorEvent | None]:
    """What happens while nobody is connected: acquisitions may end by silence."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not stop.wait(min(left, POLL_SECONDS)):
        yield from _happened(acquisitions, starter, time.monotonic())
        yield None
