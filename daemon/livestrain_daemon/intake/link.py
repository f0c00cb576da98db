"""The line to main: messages out without ever waiting for it, commands in."""

import os
import time
from collections import deque
from collections.abc import Callable
from threading import Event, Lock

import structlog
import zmq

from livestrain_daemon.intake.noting import note
from livestrain_daemon.messages import TO_INTAKE, IntakeCounts, Recycled, Stored
from livestrain_wire.codec import decode, encode
from livestrain_wire.errors import WireError
from livestrain_wire.messages import Message

HINTS = (Stored, Recycled, IntakeCounts)
"""May be lost while main is busy, because the ledger is the truth."""
LARGEST_BACKLOG = 4096
"""Messages that wait for main before hints are dropped."""
RETRY_MS = 20
LAST_WORDS_SECONDS = 2.0
"""How long messages that main has not taken are kept when the intake ends [s]."""

_log = structlog.get_logger(__name__)


class Outbox:
    """Messages to main, from any thread; the order is kept."""

    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()
        self._lock = Lock()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    @property
    def bell(self) -> int:
        """A descriptor that is readable when there is something to send."""
        return self._bell

    def put(self, message: Message) -> None:
        """Send this as soon as main takes it; a hint only if not too much waits already."""
        with self._lock:
            if isinstance(message, HINTS) and len(self._waiting) >= LARGEST_BACKLOG:
                return
            self._waiting.append(message)
        self.ring()

    def ring(self) -> None:
        """Wake who sends."""
        os.eventfd_write(self._bell, 1)

    def send(self, socket: zmq.Socket[bytes]) -> bool:
        """Send what waits, in order; false if main does not take it all now."""
        while True:
            with self._lock:
                if not self._waiting:
                    return True
                message = self._waiting.popleft()
            if _sent(socket, message):
                continue
            if not isinstance(message, HINTS):
                with self._lock:
                    self._waiting.appendleft(message)
                return False

    def silence(self) -> None:
        """Forget that somebody rang."""
        try:
            os.eventfd_read(self._bell)
        except BlockingIOError:
            return


def _sent(socket: zmq.Socket[bytes], message: Message) -> bool:
    try:
        socket.send(encode(message), zmq.NOBLOCK)
    except zmq.Again:
        return False
    except Exception as error:
        note(error, "the message to main is", message)
        raise
    return True


def connected_socket(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> zmq.Socket[bytes]:
    """The socket to main."""
    socket = context.socket(zmq.DEALER)
    socket.set(zmq.LINGER, int(LAST_WORDS_SECONDS * 1000))
    socket.connect(endpoint)
    return socket


def converse(socket: zmq.Socket[bytes], outbox: Outbox, command: Callable[[Message], None], ended: Event) -> None:
    """Pass messages to main and commands from it, until ``ended`` is set."""
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(outbox.bell, zmq.POLLIN)
    wait_ms: int | None = None
    last_words: float | None = None
    while True:
        ready = dict(poller.poll(wait_ms))
        if socket in ready:
            _take_commands(socket, command)
        outbox.silence()
        # asked before sending: what was put before the end is sent then
        if ended.is_set() and last_words is None:
            last_words = time.monotonic() + LAST_WORDS_SECONDS
        all_sent = outbox.send(socket)
        if last_words is not None and (all_sent or time.monotonic() > last_words):
            return
        wait_ms = None if all_sent else RETRY_MS


def _take_commands(socket: zmq.Socket[bytes], command: Callable[[Message], None]) -> None:
    while True:
        try:
            parts = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        try:
            command(decode(parts[0], TO_INTAKE))
        except WireError as error:
            _log.warning("a command from main was not understood", reason=str(error))
