"""Questions to Serval."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from helpers.asi import emulated, sparse
from helpers.waiting import wait_until
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.asi.measurement import Measurement
from livestrain_daemon.intake.detectors.asi.serval import NobodyAsked, Serval


@contextmanager
def answering(body: bytes, status: bytes = b"200 OK") -> Iterator[Serval]:
    """Somebody who gives the same answer to everything."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.0 %b\r\n\r\n%b" % (status, body))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Serval("127.0.0.1", server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def test_serval_says_which_measurement_it_is_how_long_and_whether_it_goes_on() -> None:
    with emulated(sparse(6), frames_per_second=0.5) as server:
        serval = Serval("127.0.0.1", server.port)
        assert serval.measurement() == Measurement(frames=6)
        assert serval.idle()
        server.emulator.start()
        assert not serval.idle()
        found = serval.measurement()
        assert (found.name, found.frames, found.recording) == (str(server.emulator.started_ms), 6, True)
        server.emulator.stop()
        wait_until(lambda: not server.emulator.recording)
        assert serval.measurement().recording is False
        assert serval.trouble == ""


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"nTriggers": 0}, Measurement()),
        ({"nTriggers": "x", "Measurement": []}, Measurement()),
        ({"nTriggers": True, "Measurement": {"Status": 3, "StartDateTime": None, "DroppedFrames": -1}}, Measurement()),
        ({"Measurement": {"StartDateTime": 10**100}}, Measurement()),
        ({"Measurement": {"StartDateTime": "\ud800"}}, Measurement()),
        ({"Measurement": {"StartDateTime": "x" * 1000}}, Measurement()),
        (
            {"nTriggers": 9, "Measurement": {"Status": "DA_STOPPING", "StartDateTime": 7, "DroppedFrames": 2}},
            Measurement("7", 9, recording=True, dropped=2),
        ),
        ({"Measurement": {"Status": "DA_IDLE"}}, Measurement(recording=False)),
    ],
)
def test_what_makes_no_sense_is_not_known(told: object, expected: Measurement) -> None:
    with answering(json.dumps(told).encode()) as serval:
        assert serval.measurement() == expected


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", b"404 Not Found", "expected an object, found 404"),
        (b"[1]", b"200 OK", "expected an object, found 200 b'[1]'"),
        (b"<html>", b"200 OK", "expected an answer, found JSONDecodeError"),
        (b"[" * 100_000, b"200 OK", "expected an answer, found RecursionError"),
        (b"\xff\xff", b"200 OK", "expected an answer, found UnicodeDecodeError"),
    ],
)
def test_another_answer_than_one_of_serval_is_told_and_nothing_is_known(body: bytes, status: bytes, text: str) -> None:
    with answering(body, status) as serval:
        assert serval.measurement() == Measurement()
        assert text in serval.trouble


def test_nobody_to_ask_knows_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    serval = Serval("127.0.0.1", port)
    assert serval.measurement() == NobodyAsked().measurement() == Measurement()
    assert "Connection refused" in serval.trouble


def test_a_host_that_there_is_not_is_no_detector() -> None:
    with pytest.raises(Unavailable, match="expected the name or address of a host"):
        Serval("no such host", 80).measurement()


@pytest.mark.parametrize(
    ("body", "idle"),
    [
        (b'{"Measurement": null}', True),
        (b'{"Measurement": {"Status": "DA_IDLE"}}', True),
        (b'{"Measurement": {"Status": "DA_PREPARING"}}', False),
        (b'{"Measurement": {}}', False),
        (b'{"Measurement": 3}', False),
        (b"{}", False),
        (b"<html>", False),
    ],
)
def test_serval_is_idle_only_if_it_says_so(body: bytes, idle: bool) -> None:
    with answering(body) as serval:
        assert serval.idle() is idle
