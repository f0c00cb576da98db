"""A DECTRIS detector as a source of frames: its stream over ZeroMQ, its REST interface beside it."""

import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event
from typing import Literal

import zmq
from zmq.utils.monitor import recv_monitor_message

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.connection import resolved
from livestrain_daemon.intake.detectors.dectris.control import Arming, Control
from livestrain_daemon.intake.detectors.dectris.legacy import LegacyDecoder
from livestrain_daemon.intake.detectors.dectris.rest import Rest, RestError
from livestrain_daemon.intake.detectors.dectris.series import SeriesTracker
from livestrain_daemon.intake.detectors.dectris.stream2 import MessageDecoder
from livestrain_daemon.intake.detectors.dectris.told import BadMessage, Told
from livestrain_daemon.intake.detectors.events import Connection, DetectorEvent, Trouble
from livestrain_daemon.intake.detectors.merging import merged
from livestrain_daemon.intake.detectors.permission import Permission
from livestrain_daemon.intake.receiver import BATCH_BYTES, BATCH_MESSAGES

PORTS = {"v1": 9999, "v2": 31001}
MOST_PARTS = 16
"""Of a message; what follows is thrown away."""
LARGEST_WHOLE = 2
"""The parts of a message that are kept may be so many times as large, all together, as the largest of them."""
WAITING_MESSAGES = 64
"""Messages that the socket itself holds."""
POLL_MS = 50
"""How soon it is noticed that nothing comes [ms]."""
FIRST_PAUSE_MS = 100
LONGEST_PAUSE_MS = 10_000
"""Between attempts to connect [ms]."""
HASTY_SECONDS = 1.0
"""So long may the answers take, all together, that the stream waits for [s]."""
HEARD = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED
"""What the socket tells of its connection."""
LEAVE_SECONDS = 5.0
"""So long may disarming take in the end [s]."""


@dataclass(frozen=True, slots=True)
class DectrisSettings:
    """Where a detector is and how to use it."""

    host: str
    """Name or address of the control unit."""
    stream: Literal["v1", "v2"] = "v2"
    """The version of its stream that is switched on."""
    stream_port: int | None = None
    """None: the usual one, 9999 or 31001."""
    rest_port: int | None = 80
    """None: its REST interface is not used."""
    api_version: str | None = None
    """Of the REST interface; None to ask for it."""
    channel: str = ""
    """Which threshold makes the frames: its name, `sum`, or empty for the first."""
    arming: Arming | None = None
    """How to begin series; None to wait until somebody else does."""
    largest_bytes: int = 256 << 20
    """Of a message, or of an image once it is unpacked [bytes]."""


class Dectris:
    """
    A `Detector` that speaks SIMPLON.

    Parameters
    ----------
    settings
        Where it is and how to use it.
    permission
        Whether it may be armed; None: always.
    """

    def __init__(self, settings: DectrisSettings, permission: Permission | None = None) -> None:
        self._settings = settings
        self._permission = permission or Permission()
        port = settings.stream_port or PORTS[settings.stream]
        self._endpoint = f"tcp://{settings.host}:{port}"
        self._rest: Rest | None = None
        if settings.rest_port is not None:
            self._rest = Rest(settings.host, settings.rest_port, settings.api_version)
        elif settings.arming is not None:
            raise Unavailable("a detector can be armed by its REST interface only: expected rest_port, found none")

    @property
    def endpoint(self) -> str:
        """Where it is, for people."""
        return self._endpoint

    def events(self, stop: Event) -> Generator[DetectorEvent | None, None, None]:
        """
        What it tells, as described in `Detector`.

        Raises
        ------
        Unavailable
            If its REST interface is none that is known, or there is no such host.
        """
        # ZeroMQ would ask for a name that nobody has again and again; who cannot say now may say later
        with suppress(OSError):
            resolved(self._settings.host, self._settings.stream_port or PORTS[self._settings.stream])
        told: SimpleQueue[Trouble | Unavailable] = SimpleQueue()
        form = "legacy" if self._settings.stream == "v1" else "cbor"
        arming, permission = self._settings.arming, self._permission
        control = Control(self._rest, arming, form, told.put, permission) if self._rest else None
        settings = self._settings
        tracker = SeriesTracker(
            settings.channel, settings.largest_bytes, self._ask_frames, lambda: control.mask if control else None
        )
        with zmq.Context() as context, _Stream(context, self._endpoint, self._settings) as stream:
            if control:
                control.start()
            try:
                while not stop.is_set():
                    yield from _aside(told)
                    yield from self._turn(stream, tracker, control)
            finally:
                if control:
                    control.stop(LEAVE_SECONDS)

    def _turn(
        self, stream: "_Stream", tracker: SeriesTracker, control: Control | None
    ) -> Iterator[DetectorEvent | None]:
        """What the next messages say; None if there are none."""
        now = time.monotonic()
        told = stream.next()
        if told is None:
            yield from _heard(tracker.tick(now), tracker, control)
            yield from stream.troubles()
            yield None
            return
        yield from merged(_followed(told, tracker, control, now))

    def _ask_frames(self) -> int | None:
        try:
            return self._rest.frames(HASTY_SECONDS) if self._rest else None
        except RestError:
            # the count is a help only, and the control tells that the interface does not answer
            return None


def _followed(
    told: "list[Told | Trouble]", tracker: SeriesTracker, control: Control | None, now: float
) -> Iterator[DetectorEvent]:
    """What follows from messages that came at a time [s]."""
    for one in told:
        if isinstance(one, Trouble):
            yield one
            continue
        yield from _heard(tracker.take(one, now), tracker, control)


def _heard(events: list[DetectorEvent], tracker: SeriesTracker, control: Control | None) -> Iterator[DetectorEvent]:
    """The same events, and the control knows of them."""
    if control:
        for event in events:
            control.hear(event, tracker.number)
        if tracker.finished is not None:
            control.finished(tracker.finished)
    yield from events


def _aside(told: "SimpleQueue[Trouble | Unavailable]") -> Iterator[Trouble]:
    while True:
        try:
            one = told.get_nowait()
        except Empty:
            return
        if isinstance(one, Unavailable):
            raise one
        yield one


class _Stream:
    """
    The socket: messages to what they tell.

    Parameters
    ----------
    context
        Of ZeroMQ.
    endpoint
        That the detector has bound.
    settings
        Which stream it is, and the largest message.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, settings: DectrisSettings) -> None:
        self._endpoint = endpoint
        self._largest = settings.largest_bytes
        self._decoder = MessageDecoder(settings.largest_bytes)
        self._legacy = LegacyDecoder(settings.largest_bytes) if settings.stream == "v1" else None
        self._socket = context.socket(zmq.PULL)
        self._socket.set(zmq.RCVHWM, WAITING_MESSAGES)
        self._socket.set(zmq.MAXMSGSIZE, settings.largest_bytes)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.RECONNECT_IVL, FIRST_PAUSE_MS)
        self._socket.set(zmq.RECONNECT_IVL_MAX, LONGEST_PAUSE_MS)
        self._monitor = self._socket.get_monitor_socket(HEARD)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise Unavailable(f"cannot connect to {endpoint}: {error}") from error

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take nothing more."""
        self._socket.disable_monitor()
        # an open monitor would keep its context from ending
        self._monitor.close(linger=0)
        self._socket.close()

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
        read = self._legacy.take_all(messages) if self._legacy else self._decoder.take_all(messages)
        return [self._trouble(one) if isinstance(one, BadMessage) else one for one in read]

    def _trouble(self, error: BadMessage) -> Trouble:
        return Trouble("bad_message", f"{self._endpoint}: {error}", 1)

    def troubles(self) -> Iterator[Trouble | Connection]:
        """What happened to the connection."""
        while self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)
            up = event["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED
            yield Connection(up)
            if up:
                continue
            if event["event"] == zmq.EVENT_DISCONNECTED:
                text = f"expected {self._endpoint} to stay, found that it closed the connection; trying again"
            else:
                text = f"expected a detector at {self._endpoint}, found nobody; next attempt in {event['value']} ms"
            yield Trouble("connection", text)

    def _receive(self) -> list[memoryview]:
        part = self._socket.recv(zmq.NOBLOCK, copy=False)
        parts, size = [part.buffer], len(part)
        while part.more:
            part = self._socket.recv(copy=False)
            size += len(part)
            if len(parts) < MOST_PARTS + 1 and size <= LARGEST_WHOLE * self._largest:
                parts.append(part.buffer)
        return parts
