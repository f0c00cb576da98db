"""Metrics and health over HTTP, from a thread of their own: they answer whatever the main loop does."""

import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.metrics import Metrics

STOP_SECONDS = 0.05
"""How soon a server that is told to stop does [s]."""

Check = Callable[[], str]
"""Empty when all is well, else what is not."""


class HealthServer:
    """
    ``/metrics``, ``/healthz`` and ``/readyz``.

    Parameters
    ----------
    host, port
        Where to listen; port 0 chooses a free one.
    metrics
        What ``/metrics`` shows.
    alive, ready
        What ``/healthz`` and ``/readyz`` ask.

    Raises
    ------
    Unavailable
        If the port cannot be had.
    """

    def __init__(self, host: str, port: int, metrics: Metrics, alive: Check, ready: Check) -> None:
        registry = CollectorRegistry()
        registry.register(metrics)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        try:
            self._server = _Server((host, port), _handler(registry, alive, ready))
        except OSError as error:
            raise Unavailable(f"publish.http_port: cannot listen on {host}:{port}: {error.strerror}") from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(STOP_SECONDS,), name="health", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        # who has hung up is not worth a line
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def _handler(registry: CollectorRegistry, alive: Check, ready: Check) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif path in {"/healthz", "/readyz"}:
                complaint = alive() if path == "/healthz" else ready()
                self._answer(503 if complaint else 200, f"{complaint or 'ok'}\n".encode())
            else:
                self._answer(404, b"try /metrics, /healthz or /readyz\n")

        def _answer(self, code: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Scrapes are not worth a line."""

    return Handler
