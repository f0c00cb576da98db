"""Messages that grow without an end: ZeroMQ keeps all parts of one before it shows the first, however many they are."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import zmq
from zmq.utils.monitor import recv_monitor_message

from livestrain_daemon.intake.growth import Growth

LARGEST_WHOLE = 2
"""All parts of a message together may be so many times as large as the largest of them."""
SPARE_BYTES = 64 << 20
"""The kernel may hold so much that ZeroMQ has not read [bytes]."""
SPARE_MEMORY_BYTES = 256 << 20
"""As far may this process grow for other reasons while a message comes, such as what it loads for the first frames."""
BEGIN = zmq.EVENT_ACCEPTED | zmq.EVENT_CONNECTED
CHANGES = BEGIN | zmq.EVENT_DISCONNECTED
"""What a socket must tell of its connections; the value of these events is a descriptor."""
_TCP_INFO = struct.Struct("128xQ")
"""The kernel's `struct tcp_info`, up to the bytes that have come."""


@dataclass(slots=True)
class _Line:
    """A connection since its last whole message."""

    before: int | None = None
    """Bytes that had come when it was looked at first; None: it has not been."""
    since: int = 0
    """Bytes that have come since."""
    suspected: bool = False
    """Too much had come when it was looked at last."""

    def goes_on(self, received: int, limit: int) -> bool:
        """Too much had come before, so that what was whole of it would have been seen since."""
        if self.before is None:
            self.before = received
        self.since = received - self.before
        seen, self.suspected = self.suspected, self.since > limit
        return seen and self.suspected


class Unfinished:
    """
    The connections of a socket, and how much has come over each since its last whole message.

    Parameters
    ----------
    largest
        Part of a message that is taken [bytes].

    Notes
    -----
    The kernel counts the bytes of each TCP connection. A connection of another kind is not watched.
    """

    def __init__(self, largest: int) -> None:
        self._limit = LARGEST_WHOLE * largest + SPARE_BYTES
        self._growth = Growth(LARGEST_WHOLE * largest + SPARE_MEMORY_BYTES)
        self._lines: dict[int, _Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def hear(self, event: int, descriptor: int) -> None:
        """A connection has begun or has ended."""
        if event & BEGIN:
            self._lines[descriptor] = _Line(before=0)
        elif event == zmq.EVENT_DISCONNECTED:
            self._lines.pop(descriptor, None)

    def whole(self, part: zmq.Frame) -> None:
        """A whole message has come; ``part`` is one of it."""
        self._growth.whole()
        source = _source(part) if len(self._lines) > 1 else None
        for descriptor in [source] if source in self._lines else self._lines:
            self._lines[descriptor] = _Line()

    def look(self) -> Iterator[int]:
        """
        Connections over which a message comes without an end.

        Between one look and the next, each must have had its turn to give a whole message, if it had one.
        """
        found = []
        for descriptor, line in list(self._lines.items()):
            received = _received(descriptor)
            if received is not None and line.goes_on(received, self._limit):
                found.append(descriptor)
        if not found and self._lines and self._growth.is_too_far():
            # of parts so short that few bytes take much memory
            found = [max(self._lines, key=lambda one: self._lines[one].since)]
            self._growth.whole()
        yield from found


def cut(descriptor: int) -> str:
    """End a connection; ZeroMQ forgets what it holds of it, and the other side may connect again. Returns with whom."""
    # a descriptor may be another's by now, of a socket without host and port
    with suppress(OSError, ValueError), socket.socket(fileno=os.dup(descriptor)) as connection:
        host, port, *_ = connection.getpeername()
        # else a sender that has been held back would not hear of the end for a minute
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
        return f"{host}:{port}"
    return "a connection that has gone"


def events(monitor: zmq.Socket[bytes]) -> Iterator[tuple[int, int]]:
    """What a socket has told of its connections since it was asked last: events and their values."""
    while monitor.poll(0):
        found = recv_monitor_message(monitor)
        yield int(found["event"]), int(found["value"])


def close(watched: zmq.Socket[bytes]) -> None:
    """Close a socket that tells of its connections."""
    monitor = watched.get_monitor_socket(CHANGES)
    watched.disable_monitor()
    # an open monitor would keep its context from ending
    monitor.close(linger=0)
    watched.close()


def _source(part: zmq.Frame) -> int | None:
    """The connection that a message has come over; None where ZeroMQ does not know, as with peers of its version 2."""
    try:
        return int(part.get(zmq.SRCFD))
    except zmq.ZMQError:
        return None


def _received(descriptor: int) -> int | None:
    """Bytes that have come over a TCP connection; None if it is none."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        if len(told) == _TCP_INFO.size:
            return int(_TCP_INFO.unpack(told)[0])
    return None
