"""The REST client against servers that misbehave."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import numpy as np
import pytest

from helpers.dectris import emulated, noise, rest_of
from livestrain_daemon.intake.detectors.dectris import rest as rest_module
from livestrain_daemon.intake.detectors.dectris.rest import LARGEST_REPLY_BYTES, Rest, RestError


@contextmanager
def answering(reply: bytes, again: bool = False) -> Iterator[Rest]:
    """A server that says the same whatever it is asked, once or without an end."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(reply)
                while again:
                    connection.sendall(reply)
        except OSError:
            return

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Rest("127.0.0.1", server.getsockname()[1], "1.8.0")
    finally:
        server.close()
        thread.join(10)


def test_values_commands_and_counts_come_back() -> None:
    with emulated(noise(4, 4, 4), config={"trigger_mode": "ints", "ntrigger": 2}, when_full="drop") as server:
        rest = rest_of(server)
        assert rest.version() == "1.8.0"
        assert (rest.state(), rest.dropped(), rest.frames(20)) == ("idle", 0, 8)
        rest.configure("detector", {"ntrigger": 3, "count_time": 0.5})
        assert (rest.get("detector", "config/ntrigger"), rest.frames(20)) == (3, 12)
        assert rest.arm() == 1
        rest.disarm()


def test_the_pixel_mask_comes_back_and_none_where_there_is_none() -> None:
    mask = np.arange(24, dtype=np.uint32).reshape(4, 6)
    with emulated(noise(1, 4, 6), mask=mask) as server:
        found = rest_of(server).pixel_mask()
    assert found is not None
    np.testing.assert_array_equal(found, mask)
    with answering(b"HTTP/1.1 404 Not Found\r\n\r\n") as rest:
        assert rest.pixel_mask() is None


@pytest.mark.parametrize(
    "value",
    [
        b"5",
        b'{"filters": ["base64"], "type": "uint32", "shape": [2], "data": ""}',
        b'{"filters": ["base64"], "type": "uint32", "shape": [2, 2], "data": "AAAA"}',
        b'{"filters": ["base64"], "type": "uint32", "shape": [1099511627776, 2], "data": "AAAA"}',
        b'{"filters": ["base64"], "type": "uint32", "shape": [2, 2], "data": 7}',
        b'{"filters": ["zip"], "type": "uint32", "shape": [2, 2], "data": ""}',
    ],
)
def test_a_pixel_mask_of_another_form_is_not_used(value: bytes) -> None:
    with answering(OK + b"\r\n" + b'{"value": ' + value + b"}") as rest:
        assert rest.pixel_mask() is None


OK = b"HTTP/1.1 200 OK\r\n"
REPLIES = [
    (b"", "Remote end closed connection"),
    (b"not http at all\r\n\r\n", "BadStatusLine"),
    (OK + b"\r\nnot json", "expected JSON"),
    (OK + b"\r\n" + b"[" * 100_000, "expected JSON"),
    (OK + b"\r\n[1, 2]", "expected a value"),
    (OK + b'\r\n{"value": [1]}', "expected a value"),
    (OK + b"Content-Length: 100\r\n\r\nshort", "expected JSON|IncompleteRead"),
    (OK + b"\r\n" + b"x" * (LARGEST_REPLY_BYTES + 1), "expected at most"),
    (OK + b"X: y\r\n" * 200 + b"\r\n", "more than 100 headers"),
    (OK + b"X: " + b"y" * 100_000, "got more than"),
    (b"HTTP/1.1 500 Broken\r\n\r\nwhy", "expected 200, found 500 Broken b'why'"),
    (b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n", "expected 200, found 302"),
]


@pytest.mark.parametrize(("reply", "text"), REPLIES)
def test_a_wrong_reply_is_refused_in_a_line(reply: bytes, text: str) -> None:
    with answering(reply) as rest, pytest.raises(RestError, match=text) as caught:
        rest.state()
    assert len(str(caught.value)) < 400


def test_an_endless_reply_is_given_up() -> None:
    with answering(OK + b"\r\n" + b"x" * 1000, again=True) as rest, pytest.raises(RestError, match="expected at most"):
        rest.state()


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_module, "ASK_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        rest = Rest("127.0.0.1", server.getsockname()[1], "1.8.0")
        with pytest.raises(RestError, match="timed out"):
            rest.state()


@pytest.mark.parametrize("version", ["1.8.0", None])
def test_who_asks_in_haste_waits_no_longer_than_said(version: str | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        rest = Rest("127.0.0.1", server.getsockname()[1], version)
        began = time.monotonic()
        with pytest.raises(RestError, match="timed out"):
            rest.frames(0.2)
    assert time.monotonic() - began < rest_module.ASK_SECONDS


@pytest.mark.parametrize(("status", "final"), [(b"404 Not Found", True), (b"500 Error", False)])
def test_what_will_not_be_there_later_is_final(status: bytes, final: bool) -> None:
    with answering(b"HTTP/1.1 " + status + b"\r\n\r\n") as rest, pytest.raises(RestError) as caught:
        rest.state()
    assert caught.value.final == final
