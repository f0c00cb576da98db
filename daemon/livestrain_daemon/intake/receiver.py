"""The frames socket: bytes to messages, held back when the disk cannot follow."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Condition, Event

import zmq

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.continuing import Beginning
from livestrain_daemon.intake.detectors.events import Trouble
from livestrain_daemon.intake.payload import Block
from livestrain_daemon.intake.unfinished import CHANGES, Unfinished, close, cut, events
from livestrain_daemon.intake_config import IntakeConfig
from livestrain_wire.codec import decode
from livestrain_wire.errors import WireError
from livestrain_wire.messages import FRAME_MESSAGES, Frames, Message, ScanStart

MIB = 1 << 20
WAITING_MESSAGES = 64
"""Messages that the socket itself holds for each sender, beside the bounded queue."""
BATCH_MESSAGES = 64
"""Messages handed over together at most, so that two threads do not take turns for each."""
BATCH_BYTES = 4 * MIB
OVERHEAD_BYTES = 512
"""Counted for each message, so that a flood of empty ones is bounded, too."""
POLL_MS = 25
"""How soon the receiver notices that it shall stop, and looks for messages without an end [ms]."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came in: a message, or why it is none."""

    message: Message | WireError | Trouble
    payload: memoryview | None = None
    size: int = 0
    """All parts together [bytes]."""
    frames: int = 0
    parts: tuple[memoryview, ...] = ()
    """With frames that are packed one by one: what each is packed in, instead of the payload."""
    scan_id: str | None = None
    """With a trouble: the scan that it is of, empty if of none; None: the one in progress."""
    unusable: Block | None = None
    """With the start of a scan: (1, rows, columns) uint8, not zero where the detector says that a pixel must not be
    looked at."""
    beginning: Beginning = "seen"
    """Of the scan, with its start."""


class ArrivalQueue:
    """
    What has been received and not been stored yet.

    Parameters
    ----------
    largest
        Bytes that may wait; beyond, `put` waits, and so the sender.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._waiting: deque[Arrival] = deque()
        self._taken: list[Arrival] = []
        self._bytes = 0
        self._closed = False
        self._changed = Condition()
        self.frames = 0
        """Frames that wait."""

    def put(self, arrivals: list[Arrival], timeout: float | None = None) -> bool:
        """Add arrivals in order when there is room, which may take no longer than this [s]; False if there was none."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or self._bytes < self._largest, timeout):
                return False
            self._add(arrivals)
            return True

    def put_command(self, command: Message) -> None:
        """Add what main asks for, behind what has been received, without waiting."""
        with self._changed:
            self._add([Arrival(command)])

    def get(self, timeout: float) -> list[Arrival]:
        """The next arrivals, none after a time-out [s]; the ones got before are done with."""
        with self._changed:
            if self._taken:
                full = self._bytes >= self._largest
                self._bytes -= sum(arrival.size for arrival in self._taken)
                self.frames -= sum(arrival.frames for arrival in self._taken)
                self._taken = []
                if full:
                    self._changed.notify_all()
            if not self._waiting:
                self._changed.wait(timeout)
            count = min(len(self._waiting), BATCH_MESSAGES)
            self._taken = [self._waiting.popleft() for _ in range(count)]
            return self._taken

    def close(self) -> None:
        """Wait for room no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._waiting)

    def _add(self, arrivals: list[Arrival]) -> None:
        if self._closed:
            return
        if not self._waiting:
            self._changed.notify_all()
        self._waiting.extend(arrivals)
        self._bytes += sum(arrival.size for arrival in arrivals)
        self.frames += sum(arrival.frames for arrival in arrivals)


def bound_socket(context: zmq.Context[zmq.Socket[bytes]], config: IntakeConfig) -> zmq.Socket[bytes]:
    """
    The socket that detectors connect to.

    Raises
    ------
    Unavailable
        If its address is taken or makes no sense.
    """
    socket = context.socket(zmq.PULL)
    socket.set(zmq.RCVHWM, WAITING_MESSAGES)
    socket.set(zmq.RCVTIMEO, POLL_MS)
    socket.set(zmq.LINGER, 0)
    socket.get_monitor_socket(CHANGES)
    try:
        socket.bind(config.endpoint)
    except zmq.ZMQError as error:
        close(socket)
        raise Unavailable(f"intake.endpoint: cannot bind {config.endpoint}: {error}") from error
    return socket


def receive(socket: zmq.Socket[bytes], queue: ArrivalQueue, stop: Event, largest: int) -> None:
    """
    Move messages from the socket to the queue until told to stop; the socket is closed then.

    Parameters
    ----------
    socket, queue, stop
        From where, to where, and until when.
    largest
        Part of a message that is taken [bytes]. ZeroMQ would refuse a larger one without a word, and its connection.
    """
    reading = _Reading(socket, largest)
    try:
        while not stop.is_set():
            arrivals = reading.next()
            while not queue.put(arrivals, POLL_MS / 1000):
                reading.hear()
    finally:
        close(socket)


class _Reading:
    """Takes messages, and keeps none from growing without an end."""

    def __init__(self, socket: zmq.Socket[bytes], largest: int) -> None:
        self._socket = socket
        self._largest = largest
        self._monitor = socket.get_monitor_socket(CHANGES)
        self._unfinished = Unfinished(largest)
        self._looked = time.monotonic()
        self._taken = 0
        """Messages since then; more than connections: each has had its turn."""

    def next(self) -> list[Arrival]:
        """What can be had at once, after waiting for the first message."""
        arrivals: list[Arrival] = []
        size = 0
        flags = 0
        is_empty = False
        while len(arrivals) < BATCH_MESSAGES and size < BATCH_BYTES:
            try:
                header = self._socket.recv(flags, copy=False)
            except zmq.Again:
                is_empty = True
                break
            arrivals.append(self._arrival(header))
            size += arrivals[-1].size
            flags = zmq.NOBLOCK
        self._taken += len(arrivals)
        now = time.monotonic()
        if now - self._looked > POLL_MS / 1000 and (is_empty or self._taken > len(self._unfinished)):
            self._looked, self._taken = now, 0
            arrivals += self._cut()
            # from now on whatever is whole has its turn
            self._socket.get(zmq.EVENTS)
        return arrivals

    def hear(self) -> None:
        """Which connections have begun and ended; ZeroMQ stops everything where nobody asks in the long run."""
        for event, value in events(self._monitor):
            self._unfinished.hear(event, value)

    def _cut(self) -> Iterator[Arrival]:
        self.hear()
        for descriptor in self._unfinished.look():
            text = f"expected messages with parts of at most {self._largest} bytes (intake.max_message_mib), found one "
            text += f"without an end from {cut(descriptor)}, and closed the connection"
            yield Arrival(Trouble("bad_message", text, 1), size=OVERHEAD_BYTES)

    def _arrival(self, header: zmq.Frame) -> Arrival:
        size = longest = len(header)
        payload: memoryview | None = None
        parts = 1
        more = header.more
        while more:
            part = self._socket.recv(copy=False)
            parts += 1
            size += len(part)
            longest = max(longest, len(part))
            payload = payload or part.buffer
            more = part.more
        self._unfinished.whole(header)
        size += OVERHEAD_BYTES
        try:
            if longest > self._largest:
                raise WireError(f"expected at most {self._largest} bytes (intake.max_message_mib), found {longest}")
            message = decode(header.buffer, FRAME_MESSAGES)
            _check_parts(message, parts)
        except WireError as error:
            return Arrival(error, size=size)
        return Arrival(message, payload, size, message.count if isinstance(message, Frames) else 0)


def _check_parts(message: Message, found: int) -> None:
    has_payload = isinstance(message, Frames) or (isinstance(message, ScanStart) and message.order == "explicit")
    expected = 2 if has_payload else 1
    if found != expected:
        raise WireError(f"{message.type}: expected {expected} parts, found {found}")
