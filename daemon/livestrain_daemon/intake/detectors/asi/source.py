"""An ASI detector as a source of frames: one TCP connection, and Serval's REST interface beside it."""

import socket
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event
from typing import Literal

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.asi.frames import FrameReading
from livestrain_daemon.intake.detectors.asi.measurement import STARTED
from livestrain_daemon.intake.detectors.asi.scans import ScanReading
from livestrain_daemon.intake.detectors.asi.serval import NobodyAsked, Serval
from livestrain_daemon.intake.detectors.connection import POLL_SECONDS, connected, keep_alive
from livestrain_daemon.intake.detectors.events import DetectorEvent, Trouble
from livestrain_daemon.intake.detectors.idling import Idling
from livestrain_daemon.intake.detectors.patience import Patience
from livestrain_daemon.intake.detectors.streaming import Line, Reading, streamed
from livestrain_daemon.intake.interrupted import Interrupted

DATA_PORTS = {"frames": 8088, "tpx3": 8283}


@dataclass(frozen=True, slots=True)
class AsiSettings:
    """Where a detector is and what it sends."""

    host: str
    """Name or address of the computer that runs Serval or Accos."""
    form: Literal["frames", "tpx3"] = "frames"
    """Images, or sparse frames of a CheeTah TPX3."""
    data_port: int | None = None
    """None: the usual one, 8088 or 8283."""
    listen: str | None = None
    """The own address that the detector connects to; None: it is connected to."""
    rest_port: int | None = None
    """Of Serval; None: it is not asked."""
    frames: int | None = None
    """In a series, where nobody else knows."""
    largest_bytes: int = 256 << 20
    """Of an image or a message [bytes]."""
    patience: Patience = field(default_factory=Patience)

    @property
    def port(self) -> int:
        """Where frames come from, or are taken."""
        return DATA_PORTS[self.form] if self.data_port is None else self.data_port


class AsiDetector:
    """
    A `Detector` of Amsterdam Scientific Instruments.

    Parameters
    ----------
    settings
        Where it is and what it sends.
    interrupted
        The scan that an earlier intake has left unfinished.
    """

    def __init__(self, settings: AsiSettings, interrupted: Interrupted | None = None) -> None:
        self.settings = settings
        """Where it is and what it sends."""
        self._serval = None if settings.rest_port is None else Serval(settings.host, settings.rest_port)
        self._told = ""
        started = str(interrupted.start.metadata.get(STARTED, "")) if interrupted else ""
        self._before = started if started or (interrupted and interrupted.lasts) else None

    @property
    def endpoint(self) -> str:
        """Where it is, or where it is awaited, for people."""
        return f"tcp://{self.settings.listen or self.settings.host}:{self.settings.port}"

    def events(self, stop: Event) -> Generator[DetectorEvent | None, None, None]:
        """
        What it tells, one thing after the other, until ``stop`` is set.

        Raises
        ------
        Unavailable
            If there is no such host, or nobody can listen at that address.
        """
        reading = self._reading()
        host, port = self.settings.host, self.settings.rest_port
        idling = None if port is None else Idling(Serval(host, port).url, self._is_idle)

        def aside(now: float) -> Iterator[Trouble]:
            yield from self._silence_of_serval()
            trouble = idling.step(reading.idle, now) if idling else None
            if trouble:
                yield trouble

        with closing(self._server()) as server:
            line = Line(self.endpoint, lambda stop: self._connected(server, stop), aside, hangs_up=True)
            yield from streamed(line, reading, stop)

    def _is_idle(self) -> bool:
        """It says that no measurement goes on."""
        settings = self.settings
        # its own, because the other one is asked by another thread
        serval = Serval(settings.host, settings.rest_port or 0)
        with suppress(Unavailable):
            return serval.idle()
        return False

    def _reading(self) -> Reading:
        settings = self.settings
        if settings.form == "tpx3":
            return ScanReading(settings.patience, settings.largest_bytes)
        inquiry = self._serval or NobodyAsked()
        return FrameReading(inquiry, settings.patience, settings.frames, _stamp, settings.largest_bytes, self._before)

    def _server(self) -> socket.socket:
        """The socket that listens; one that does not where the detector is connected to."""
        settings = self.settings
        if settings.listen is None:
            return socket.socket()
        try:
            server = socket.create_server((settings.listen, settings.port), backlog=1)
        except OSError as error:
            raise Unavailable(f"expected to listen at {self.endpoint}, found: {error}") from error
        server.settimeout(POLL_SECONDS)
        return server

    def _connected(self, server: socket.socket, stop: Event) -> Generator[None, None, socket.socket]:
        if self.settings.listen is None:
            return (yield from connected(self.settings.host, self.settings.port, stop))
        while True:
            try:
                connection, _ = server.accept()
            except TimeoutError:
                if stop.is_set():
                    raise
                yield
                continue
            keep_alive(connection)
            connection.settimeout(POLL_SECONDS)
            return connection

    def _silence_of_serval(self) -> Iterator[Trouble]:
        """Say so when Serval does not answer any more."""
        trouble = self._serval.trouble if self._serval else ""
        if trouble and not self._told:
            yield Trouble("connection", trouble)
        self._told = trouble


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
