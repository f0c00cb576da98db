"""A DECTRIS detector as a source of frames: its stream over ZeroMQ, its REST interface beside it."""

import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event
from typing import Literal

import structlog
import zmq

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.connection import resolved
from livestrain_daemon.intake.detectors.dectris.control import Arming, Control
from livestrain_daemon.intake.detectors.dectris.legacy import LegacyDecoder
from livestrain_daemon.intake.detectors.dectris.rest import Rest, RestError
from livestrain_daemon.intake.detectors.dectris.series import SeriesTracker
from livestrain_daemon.intake.detectors.dectris.stream import Stream
from livestrain_daemon.intake.detectors.dectris.stream2 import MessageDecoder
from livestrain_daemon.intake.detectors.dectris.told import Told
from livestrain_daemon.intake.detectors.events import DetectorEvent, Trouble
from livestrain_daemon.intake.detectors.merging import merged
from livestrain_daemon.intake.detectors.permission import Permission
from livestrain_daemon.intake.noting import note

PORTS = {"v1": 9999, "v2": 31001}
HASTY_SECONDS = 1.0
"""So long may the answers take, all together, that the stream waits for [s]."""
LEAVE_SECONDS = 5.0
"""So long may disarming take in the end [s]."""

_log = structlog.get_logger(__name__)


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
        told: SimpleQueue[Trouble | Exception] = SimpleQueue()
        form = "legacy" if self._settings.stream == "v1" else "cbor"
        arming, permission = self._settings.arming, self._permission
        control = Control(self._rest, arming, form, told.put, permission) if self._rest else None
        settings = self._settings
        tracker = SeriesTracker(
            settings.channel, settings.largest_bytes, self._ask_frames, lambda: control.mask if control else None
        )
        following = _Following(tracker, control)
        with zmq.Context() as context, self._opened(context) as stream:
            if control:
                control.start()
            try:
                while not stop.is_set():
                    yield from _aside(told)
                    yield from _turn(stream, following)
            finally:
                if control:
                    control.stop(LEAVE_SECONDS)
                    for left in _left(told):
                        text = left.text if isinstance(left, Trouble) else str(left)
                        _log.warning("there was trouble at the end", detector=self._endpoint, reason=text)

    def _opened(self, context: zmq.Context[zmq.Socket[bytes]]) -> Stream:
        largest = self._settings.largest_bytes
        decoder = LegacyDecoder(largest) if self._settings.stream == "v1" else MessageDecoder(largest)
        return Stream(context, self._endpoint, decoder, largest)

    def _ask_frames(self) -> int | None:
        try:
            return self._rest.frames(HASTY_SECONDS) if self._rest else None
        except RestError:
            # the count is a help only, and the control tells that the interface does not answer
            return None


@dataclass(slots=True)
class _Following:
    """The series, and a control that knows of them."""

    tracker: SeriesTracker
    control: Control | None
    told: tuple[int, int] | None = None
    """The series, counted, and its number, that the control was told of last as finished."""

    def take(self, told: "list[Told | Trouble]", now: float) -> Iterator[DetectorEvent]:
        """What follows from messages that came at a time [s]."""
        for one in told:
            if isinstance(one, Trouble):
                yield one
                continue
            try:
                events = self.tracker.take(one, now)
            except Exception as error:
                note(error, "the message says", one)
                raise
            yield from self._heard(events)

    def tick(self, now: float) -> Iterator[DetectorEvent]:
        """What follows from time having passed [s]."""
        yield from self._heard(self.tracker.tick(now))

    def _heard(self, events: list[DetectorEvent]) -> list[DetectorEvent]:
        control, tracker = self.control, self.tracker
        if control:
            for event in events:
                control.hear(event, tracker.number)
            number = tracker.finished
            finished = None if number is None else (tracker.begun, number)
            # said once: a detector that is switched on again gives the next series the same number
            if finished is not None and finished != self.told:
                control.finished(finished[1])
            self.told = finished
        return events


def _turn(stream: Stream, following: _Following) -> Iterator[DetectorEvent | None]:
    """What the next messages say; None if there are none."""
    now = time.monotonic()
    told = stream.next()
    if told is None:
        yield from following.tick(now)
        yield from stream.troubles()
        yield None
        return
    yield from merged(following.take(told, now))


def _aside(told: "SimpleQueue[Trouble | Exception]") -> Iterator[Trouble]:
    for one in _left(told):
        if isinstance(one, Exception):
            raise one
        yield one


def _left(told: "SimpleQueue[Trouble | Exception]") -> "Iterator[Trouble | Exception]":
    with suppress(Empty):
        while True:
            yield told.get_nowait()
