"""The HTTP client against servers that take their time."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from livestrain_daemon.intake.detectors.asi.measurement import Measurement
from livestrain_daemon.intake.detectors.asi.serval import Serval
from livestrain_daemon.intake.detectors.dectris.rest import Rest, RestError
from livestrain_daemon.intake.detectors.http import Request, exchange

BEGUN = b"HTTP/1.1 200 OK\r\n"
WHOLE = BEGUN + b"Content-Length: 2\r\n\r\n{}"
ALLOWED_SECONDS = 0.2
GENEROUS_SECONDS = 10.0


@contextmanager
def dripping(at_once: bytes, drop: bytes = b" ") -> Iterator[int]:
    """A server that goes on with a byte every 0.02 s after the beginning of its reply, for as long as it is let."""
    server, over = socket.create_server(("127.0.0.1", 0)), Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(1 << 16)
                connection.sendall(at_once)
                while drop and not over.wait(0.02):
                    connection.sendall(drop)
            except OSError:
                return

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            drip(connection)

    thread = Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        over.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(20)


SLOW = pytest.mark.parametrize(
    "at_once", [BEGUN, BEGUN + b"X: ", BEGUN + b"\r\n", BEGUN + b"Content-Length: 9999\r\n\r\n"]
)


@SLOW
def test_a_reply_that_comes_drop_by_drop_is_given_up_in_time(at_once: bytes) -> None:
    began = time.monotonic()
    with dripping(at_once) as port, pytest.raises(TimeoutError, match="timed out"):
        exchange("127.0.0.1", port, Request("GET", "/", ALLOWED_SECONDS, 1 << 20))
    assert time.monotonic() - began < GENEROUS_SECONDS


def test_a_reply_that_comes_in_time_comes_back() -> None:
    with dripping(WHOLE, drop=b"") as port:
        reply = exchange("127.0.0.1", port, Request("GET", "/", GENEROUS_SECONDS, 1 << 20))
    assert (reply.status, reply.reason, reply.content) == (200, "OK", b"{}")


def test_serval_and_a_control_unit_are_waited_for_no_longer_than_said() -> None:
    began = time.monotonic()
    with dripping(BEGUN + b"X: ") as port:
        serval = Serval("127.0.0.1", port, ALLOWED_SECONDS)
        assert serval.measurement() == Measurement()
        assert "timed out" in serval.trouble
        with pytest.raises(RestError, match="timed out"):
            Rest("127.0.0.1", port, None).frames(ALLOWED_SECONDS)
    assert time.monotonic() - began < GENEROUS_SECONDS
