"""Protocols over TCP: the data connection of a Merlin, and images from Serval of Amsterdam Scientific Instruments."""

import socket
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.emulators.merlin.headers import acquisition_header, frame_header, framed
from livestrain_simulator.emulators.merlin.pixels import PixelKind
from livestrain_simulator.packed.frames import Stream

PER_CALL = 64
"""Frames handed to the system in one call."""
KIND = PixelKind("U16", 12, "1x1")
SETTINGS = {
    "CONTINUOUSRW": 0.0,
    "NUMFRAMESPERTRIGGER": 1.0,
    "TRIGGERSTART": 0.0,
    "TRIGGERSTOP": 0.0,
    "STEMSCANX": 0.0,
    "STEMSCANY": 0.0,
}
_NUMBER_AT = len(b"MQ1,")
_DIGITS = 6

Parts = list[bytes]
"""Of a header or a frame, to be sent one after the other."""


class ConnectedSender:
    """
    Waits for one receiver, and sends it scans.

    Parameters
    ----------
    port
        To listen at; 0 for any.
    scan
        Header and frames of a scan.
    hang_up
        The end of the connection ends a scan.
    """

    def __init__(self, port: int, scan: Callable[[], Iterable[Parts]], hang_up: bool) -> None:
        self._scan = scan
        self._hang_up = hang_up
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        """Where it is bound."""
        self._connection: socket.socket | None = None

    def prepare(self) -> None:
        """Nothing: what is sent is put together as it is sent."""

    def send(self) -> None:
        """Send a scan."""
        if self._connection is None:
            self._connection, _ = self._listener.accept()
        pieces = iter(self._scan())
        while batch := list(islice(pieces, PER_CALL)):
            _send_all(self._connection, [part for parts in batch for part in parts])
        if self._hang_up:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Send nothing more."""
        if self._connection:
            self._connection.close()
        self._listener.close()


def merlin_sender(stream: Stream, frames: NDArray[Any]) -> ConnectedSender:
    """
    A Merlin that sends processed frames of 16 bit.

    Parameters
    ----------
    stream
        What is sent.
    frames : (frames, rows, columns)
        Sent again and again.
    """
    pixels = [KIND.encoded(frame) for frame in frames]
    text = frame_header(1, KIND, (stream.side, stream.side), datetime.now(UTC), 0.01)
    whole = framed(text + pixels[0])[: -len(pixels[0])]
    at = whole.index(text) + _NUMBER_AT
    before, after = whole[:at], whole[at + _DIGITS :]

    def scan() -> Iterator[Parts]:
        settings = {**SETTINGS, "NUMFRAMESTOACQUIRE": float(stream.frames)}
        yield [framed(acquisition_header(settings, KIND, datetime.now(UTC)))]
        for number in range(stream.frames):
            yield [b"%b%06d%b" % (before, number + 1, after), pixels[number % len(pixels)]]

    return ConnectedSender(stream.port, scan, hang_up=False)


def asi_sender(stream: Stream, frames: NDArray[Any]) -> ConnectedSender:
    """
    Serval, sending images as PGM; the end of the connection ends a measurement.

    Parameters
    ----------
    stream
        What is sent.
    frames : (frames, rows, columns)
        Sent again and again.
    """
    header = b"P5\n%d %d\n65535\n" % (stream.side, stream.side)
    pixels = [np.ascontiguousarray(frame, ">u2").tobytes() for frame in frames]
    return ConnectedSender(
        stream.port, lambda: ([header, pixels[at % len(pixels)]] for at in range(stream.frames)), hang_up=True
    )


def _send_all(connection: socket.socket, parts: Parts) -> None:
    views = [memoryview(part) for part in parts]
    first = 0
    while first < len(views):
        sent = connection.sendmsg(views[first:])
        while first < len(views) and sent >= len(views[first]):
            sent -= len(views[first])
            first += 1
        if sent:
            views[first] = views[first][sent:]
