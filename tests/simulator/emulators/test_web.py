import socket
from http.server import BaseHTTPRequestHandler
from threading import Event, Thread
from typing import Any

import pytest

from livestrain_simulator.emulators.web import WebServer


class Raising(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        raise ZeroDivisionError


class Observed(WebServer):
    over = Event()
    """A client has been answered, or has gone."""

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.over.set()


@pytest.mark.parametrize(
    ("asked", "is_told"),
    # the answer to a line that is far too long meets a connection that has gone
    [(b"GET " + b"x" * 70_000, False), (b"GET / HTTP/1.0\r\n\r\n", True)],
    ids=["a client that has gone", "a fault of ours"],
)
def test_only_a_fault_of_ours_leaves_a_trace(asked: bytes, is_told: bool, capfd: pytest.CaptureFixture[str]) -> None:
    with Observed(("127.0.0.1", 0), Raising) as server:
        server.over.clear()
        serving = Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as client:
            client.sendall(asked)
        assert server.over.wait(20)
        server.shutdown()
        serving.join()
    assert ("Traceback" in capfd.readouterr().err) == is_told
