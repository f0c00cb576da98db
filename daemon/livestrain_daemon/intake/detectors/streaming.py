"""From a TCP connection that is taken up again and again to events."""

import os
import socket
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from livestrain_daemon.intake.detectors.connection import POLL_SECONDS
from livestrain_daemon.intake.detectors.events import Connection, DetectorEvent, Trouble
from livestrain_daemon.intake.detectors.http import in_words
from livestrain_daemon.intake.detectors.pauses import Pauses

AT_ONCE_BYTES = 2 << 20
"""So much is taken before it is looked at, where it is there."""


class Room(Protocol):
    """Where bytes are put."""

    def space(self) -> memoryview:
        """Room for the next bytes; what was looked at before is gone with it."""
        ...

    def filled(self, count: int) -> None:
        """So many bytes have come."""
        ...


class Reading(Protocol):
    """What makes events of bytes."""

    @property
    def inbox(self) -> Room:
        """Where bytes are to be put."""
        ...

    @property
    def idle(self) -> bool:
        """No series is in progress."""
        ...

    @property
    def cut(self) -> str:
        """What the connection would be closed in the middle of; empty if of nothing."""
        ...

    def events(self, now: float, quiet: bool) -> Iterator[DetectorEvent]:
        """What has come in says; ``quiet`` if nothing has come for a while."""
        ...

    def closed(self, now: float) -> Iterator[DetectorEvent]:
        """The connection has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """Where bytes come from."""

    endpoint: str
    """For people."""
    connect: Callable[[Event], Generator[None, None, socket.socket]]
    """Makes a connection, as `connection.connected` does."""
    aside: Callable[[float], Iterator[Trouble]]
    """Does what there is to do beside a connection, at a time [s]."""
    hangs_up: bool = False
    """The detector closes the connection when it is done."""


def streamed(line: Line, reading: Reading, stop: Event) -> Iterator[DetectorEvent | None]:
    """
    Events until ``stop`` is set, as `Detector.events` tells them.

    Raises
    ------
    Unavailable
        If there is no such host.
    """
    pauses = Pauses()
    while not stop.is_set():
        try:
            connection = yield from line.connect(stop)
        except OSError as error:
            reason = in_words(error)
        else:
            pauses.reset()
            yield Connection(up=True)
            with connection:
                reason = yield from _received(connection, line, reading, stop)
            if not stop.is_set():
                yield Connection(up=False)
        if stop.is_set():
            return
        pause = pauses.next()
        if reason:
            yield Trouble("connection", f"expected frames from {line.endpoint}, found: {reason}; trying again")
        yield from _waited(pause, reading, stop)


def _received(
    connection: socket.socket, line: Line, reading: Reading, stop: Event
) -> Generator[DetectorEvent | None, None, str]:
    """Events of one connection; why it has ended, empty if it ended as it should."""
    while not stop.is_set():
        quiet, reason = False, None
        try:
            reason = None if _taken(connection, reading.inbox) else ""
        except OSError as error:
            # a connection that has gone is a time-out, too, but of the kernel's
            quiet = isinstance(error, TimeoutError) and error.errno is None
            reason = None if quiet else in_words(error)
        now = time.monotonic()
        for event in reading.events(now, quiet=quiet or reason is not None):
            yield event
            # few bytes may be many frames
            if stop.is_set():
                return ""
        yield from line.aside(now)
        if reason is not None:
            cut = reading.cut
            yield from reading.closed(now)
            expected = line.hangs_up and not (reason or cut)
            return "" if expected else f"{reason or 'the connection was closed'} {cut}".rstrip()
        if quiet:
            yield None
    return ""


def _taken(connection: socket.socket, inbox: Room) -> int:
    """Put what is there into the inbox, waiting for something; how much it was, 0 at the end."""
    taken = count = connection.recv_into(inbox.space())
    inbox.filled(count)
    # each look at what has come costs the threads behind a change of hands, so that few large ones are cheaper
    while count and taken < AT_ONCE_BYTES:
        try:
            count = os.readv(connection.fileno(), [inbox.space()])
        except BlockingIOError:
            break
        inbox.filled(count)
        taken += count
    return taken


def _waited(seconds: float, reading: Reading, stop: Event) -> Iterator[DetectorEvent | None]:
    """What happens while nobody is connected: series may end by silence."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not stop.wait(min(left, POLL_SECONDS)):
        yield from reading.events(time.monotonic(), quiet=True)
        yield None
