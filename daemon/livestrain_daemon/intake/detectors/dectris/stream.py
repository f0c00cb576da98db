"""The socket of a DECTRIS detector's stream: messages to what they tell, and what happens to the connection."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import zmq

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.dectris.told import MOST_PARTS, BadMessage, Told
from livestrain_daemon.intake.detectors.events import Connection, Trouble
from livestrain_daemon.intake.growth import Growth
from livestrain_daemon.intake.receiver import BATCH_BYTES, BATCH_MESSAGES
from livestrain_daemon.intake.unfinished import LARGEST_WHOLE, SPARE_BYTES, close, events

WAITING_MESSAGES = 64
"""Messages that the socket itself holds."""
POLL_MS = 50
"""How soon it is noticed that nothing comes [ms]."""
FIRST_PAUSE_MS = 100
LONGEST_PAUSE_MS = 10_000
"""Between attempts to connect [ms]."""
GIVEN_UP_SECONDS = 1.0
"""After a connection that ZeroMQ does not take up again by itself, because it broke its rules [s]."""
HEARD = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_CONNECT_RETRIED | zmq.EVENT_DISCONNECTED
"""What the socket tells of its connection."""


class Decoder(Protocol):
    """Reads the messages of one version of the stream."""

    def take_all(self, messages: Iterable[Sequence[memoryview]]) -> Iterator[Told | BadMessage]:
        """What messages tell, in their order."""
        ...


class Stream:
    """
    The socket, which is connected again whatever happens to it.

    Parameters
    ----------
    context
        Of ZeroMQ.
    endpoint
        That the detector has bound.
    decoder
        Of its version of the stream.
    largest
        Message that is taken [bytes].

    Raises
    ------
    Unavailable
        If the address makes no sense.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, decoder: Decoder, largest: int) -> None:
        self._context = context
        self._endpoint = endpoint
        self._decoder = decoder
        self._largest = largest
        self._lost: float | None = None
        """When the connection was lost, until it is known that it is taken up again [s]."""
        self._connect()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take nothing more."""
        close(self._socket)

    def next(self) -> list[Told | Trouble] | None:
        """What the messages tell that are there; None if none comes in a while."""
        messages: list[list[memoryview]] = []
        size = 0
        try:
            while len(messages) < BATCH_MESSAGES and size < BATCH_BYTES:
                messages.append(self._receive())
                size += sum(map(len, messages[-1]))
        except zmq.Again:
            if not messages and not self._socket.poll(POLL_MS):
                return None
        read = self._decoder.take_all(messages)
        return [self._trouble(one) if isinstance(one, BadMessage) else one for one in read]

    def _trouble(self, error: BadMessage) -> Trouble:
        return Trouble("bad_message", f"{self._endpoint}: {error}", 1)

    def troubles(self) -> Iterator[Trouble | Connection]:
        """What happened to the connection."""
        for event, _ in events(self._monitor):
            up = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
            yield Connection(up)
            self._lost = None
            if up:
                continue
            if event == zmq.EVENT_DISCONNECTED:
                self._lost = time.monotonic()
                text = f"expected {self._endpoint} to stay, found that the connection was closed; trying again"
            else:
                text = f"expected a detector at {self._endpoint}, found nobody; trying again"
            yield Trouble("connection", text)
        if self._is_given_up() or self._growth.is_too_far():
            self.close()
            self._connect()
            text = (
                f"{self._endpoint}: expected messages of ZeroMQ of at most {self._largest} bytes "
                "(intake.max_message_mib), found something else and connected again"
            )
            yield Trouble("bad_message", text, 1)

    def _is_given_up(self) -> bool:
        return self._lost is not None and time.monotonic() - self._lost > GIVEN_UP_SECONDS

    def _connect(self) -> None:
        self._lost = None
        self._growth = Growth(LARGEST_WHOLE * self._largest + SPARE_BYTES)
        self._socket = self._context.socket(zmq.PULL)
        self._socket.set(zmq.RCVHWM, WAITING_MESSAGES)
        self._socket.set(zmq.MAXMSGSIZE, self._largest)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.RECONNECT_IVL, FIRST_PAUSE_MS)
        self._socket.set(zmq.RECONNECT_IVL_MAX, LONGEST_PAUSE_MS)
        self._monitor = self._socket.get_monitor_socket(HEARD)
        try:
            self._socket.connect(self._endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise Unavailable(f"cannot connect to {self._endpoint}: {error}") from error

    def _receive(self) -> list[memoryview]:
        part = self._socket.recv(zmq.NOBLOCK, copy=False)
        parts, size = [part.buffer], len(part)
        while part.more:
            part = self._socket.recv(copy=False)
            size += len(part)
            if len(parts) < MOST_PARTS + 1 and size <= LARGEST_WHOLE * self._largest:
                parts.append(part.buffer)
        self._growth.whole()
        return parts
