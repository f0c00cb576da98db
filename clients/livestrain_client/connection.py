"""The two sockets of a client: one hears the maps, one asks. Bytes to messages, and nothing else."""

import time
import uuid
from types import TracebackType
from typing import NamedTuple, Self

import zmq

from livestrain_client.errors import Unavailable
from livestrain_wire.closing import MOMENT_MS
from livestrain_wire.codec import decode, encode
from livestrain_wire.errors import NewerProtocol, WireError
from livestrain_wire.messages import MAP_MESSAGES, REPLIES, Message, Published, Reply, Request
from livestrain_wire.topics import Topic, decode_topic

MAPS_ENDPOINT = "tcp://127.0.0.1:5551"
CONTROL_ENDPOINT = "tcp://127.0.0.1:5552"

MAX_MAPS_BYTES = 64 << 20
"""A larger published message ends the connection [bytes]."""
MAX_REPLY_BYTES = 512 << 20
"""A larger reply ends the connection: patterns are the largest [bytes]."""
QUEUED_MESSAGES = 10_000
"""Published messages that may wait here; beyond, some are lost, which their sequence tells."""
BEAT_MS = 1000
"""A silent connection is probed so often, and given up after five times as long [ms]."""


def new_id() -> str:
    """An id that no other request has."""
    return uuid.uuid4().hex


class Heard(NamedTuple):
    """One published message."""

    topic: Topic
    message: Published
    payload: bytes


class Answer(NamedTuple):
    """One reply with its payload, empty where there is none."""

    reply: Reply
    payload: bytes


class Socket:
    """A socket in a context of its own, so that closing it leaves no thread behind."""

    def __init__(self, kind: int, endpoint: str, max_bytes: int) -> None:
        self.endpoint = endpoint
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, MOMENT_MS)
        self.socket.setsockopt(zmq.MAXMSGSIZE, max_bytes)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 100)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        self.socket.setsockopt(zmq.HEARTBEAT_IVL, BEAT_MS)
        self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 5 * BEAT_MS)

    def connect(self) -> None:
        """
        Begin to connect, which succeeds later, or never.

        Raises
        ------
        Unavailable
            If the endpoint is no address at all.
        """
        try:
            self.socket.connect(self.endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise Unavailable(f"cannot connect to {self.endpoint}: {error}") from error

    def close(self) -> None:
        """Let go of the socket; what was not sent is forgotten."""
        self.socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MapsSocket(Socket):
    """
    Hears everything that the daemon publishes.

    Parameters
    ----------
    endpoint
        Where the daemon publishes its maps.
    """

    def __init__(self, endpoint: str = MAPS_ENDPOINT) -> None:
        super().__init__(zmq.SUB, endpoint, MAX_MAPS_BYTES)
        self.socket.setsockopt(zmq.RCVHWM, QUEUED_MESSAGES)
        self.socket.setsockopt(zmq.SUBSCRIBE, b"")
        self.connect()

    def receive(self) -> Heard | None:
        """
        The next published message, or None if none waits.

        Raises
        ------
        WireError
            If it cannot be understood; the next one may be.
        """
        try:
            parts = self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None
        if len(parts) not in {2, 3}:
            raise WireError(f"expected a topic, a header and at most one payload, found {len(parts)} parts")
        message = decode(parts[1], MAP_MESSAGES)
        if not isinstance(message, Published):
            raise WireError(f"expected a published message, found {message.type}")
        return Heard(decode_topic(parts[0]), message, parts[2] if len(parts) == 3 else b"")


class ControlSocket(Socket):
    """
    Sends requests and receives replies, in any order.

    Parameters
    ----------
    endpoint
        Where the daemon takes requests.
    """

    def __init__(self, endpoint: str = CONTROL_ENDPOINT) -> None:
        super().__init__(zmq.DEALER, endpoint, MAX_REPLY_BYTES)
        # Without a connection nothing is queued: what is repeated anyway must not pile up.
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.connect()

    def send(self, request: Request, payload: bytes | None = None) -> bool:
        """Send a request, unless there is no connection; tells whether it was sent."""
        parts = [encode(request)] if payload is None else [encode(request), payload]
        try:
            self.socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive(self) -> Answer | None:
        """
        The next reply, or None if none waits.

        Raises
        ------
        WireError
            If it cannot be understood; the next one may be.
        """
        try:
            parts = self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None
        if len(parts) not in {1, 2}:
            raise WireError(f"expected a header and at most one payload, found {len(parts)} parts")
        reply: Message = decode(parts[0], REPLIES)
        if not isinstance(reply, Reply):
            raise WireError(f"expected a reply, found {reply.type}")
        return Answer(reply, parts[1] if len(parts) == 2 else b"")

    def ask(self, request: Request, payload: bytes | None, deadline: float, repeat: float) -> Answer:
        """
        Send a request until its reply comes.

        Parameters
        ----------
        request
            Sent again with the same id while there is no reply.
        payload
            The part after the header, if the request has one.
        deadline
            How long to wait at most [s].
        repeat
            How long to wait before the request is sent again [s].

        Raises
        ------
        Unavailable
            If no reply came in time.
        NewerProtocol
            If the daemon speaks a newer protocol.
        """
        end = time.monotonic() + deadline
        next_send = 0.0
        while (now := time.monotonic()) < end:
            if now >= next_send:
                next_send = now + (repeat if self.send(request, payload) else 0.02)
            wait = min(next_send, end) - now
            if not self.socket.poll(max(1, round(1000 * wait)), zmq.POLLIN):
                continue
            answer = self._receive_understood()
            if answer is not None and answer.reply.id == request.id:
                return answer
        raise Unavailable(
            f"no livestrain daemon answered at {self.endpoint} within {deadline:g} s; is `livestrain serve` running?"
        )

    def _receive_understood(self) -> Answer | None:
        try:
            return self.receive()
        except NewerProtocol:
            raise
        except WireError:
            # Garbage on the socket is no answer; the request is repeated until the deadline.
            return None
