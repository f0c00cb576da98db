"""The frames socket: bytes to messages, held back when the disk cannot follow."""

from collections import deque
from dataclasses import dataclass
from threading import Condition, Event

import zmq

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.continuing import Beginning
from livestrain_daemon.intake.detectors.events import Trouble
from livestrain_daemon.intake.payload import Block
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
POLL_MS = 100
"""How soon the receiver notices that it shall stop [ms]."""


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

    def put(self, arrivals: list[Arrival]) -> None:
        """Add arrivals in order, waiting until there is room; after `close`, they are thrown away."""
        with self._changed:
            while self._bytes >= self._largest and not self._closed:
                self._changed.wait()
            self._add(arrivals)

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
    socket.set(zmq.MAXMSGSIZE, config.max_message_mib * MIB)
    socket.set(zmq.RCVTIMEO, POLL_MS)
    socket.set(zmq.LINGER, 0)
    try:
        socket.bind(config.endpoint)
    except zmq.ZMQError as error:
        socket.close()
        raise Unavailable(f"intake.endpoint: cannot bind {config.endpoint}: {error}") from error
    return socket


def receive(socket: zmq.Socket[bytes], queue: ArrivalQueue, stop: Event) -> None:
    """Move messages from the socket to the queue until told to stop; the socket is closed then."""
    with socket:
        while not stop.is_set():
            queue.put(_drain(socket))


def _drain(socket: zmq.Socket[bytes]) -> list[Arrival]:
    """What can be had at once, after waiting for the first message."""
    arrivals: list[Arrival] = []
    size = 0
    flags = 0
    while len(arrivals) < BATCH_MESSAGES and size < BATCH_BYTES:
        try:
            header = socket.recv(flags, copy=False)
        except zmq.Again:
            break
        arrivals.append(_arrival(socket, header))
        size += arrivals[-1].size
        flags = zmq.NOBLOCK
    return arrivals


def _arrival(socket: zmq.Socket[bytes], header: zmq.Frame) -> Arrival:
    size = len(header) + OVERHEAD_BYTES
    payload: memoryview | None = None
    parts = 1
    more = header.more
    while more:
        part = socket.recv(copy=False)
        parts += 1
        size += len(part)
        payload = payload or part.buffer
        more = part.more
    try:
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
