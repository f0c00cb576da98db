"""Serval's REST interface, as far as a measurement needs it."""

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from threading import Thread
from types import TracebackType
from typing import Self

from livestrain_simulator.emulators.asi.emulator import LOOPBACK, AsiEmulator
from livestrain_simulator.emulators.web import WebServer

LARGEST_BODY_BYTES = 1 << 16
LARGEST_COUNT = 1 << 40
SECONDS = 10.0
"""How long a client may take to ask [s]."""


class ServalServer:
    """
    Answers for an emulator while it is open, and closes it.

    Parameters
    ----------
    emulator
        What is started and stopped.
    host, port
        Where; port 0 takes any that is free.
    """

    def __init__(self, emulator: AsiEmulator, host: str = LOOPBACK, port: int = 0) -> None:
        self.emulator = emulator
        commanded = emulator

        class Requests(_Requests):
            emulator = commanded

        self._server = WebServer((host, port), Requests)
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name="serval", daemon=True)

    @property
    def port(self) -> int:
        """Where it can be asked."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.emulator.close()


class _Requests(BaseHTTPRequestHandler):
    emulator: AsiEmulator
    timeout = SECONDS

    def do_GET(self) -> None:
        """Answer with a value, or do a command."""
        path = self.path.rstrip("/")
        if path == "/detector/config":
            self._answer(self._config())
        elif path == "/dashboard":
            self._answer(self._dashboard())
        elif path == "/measurement/start":
            begun = self.emulator.start()
            self._write(HTTPStatus.OK if begun else HTTPStatus.CONFLICT, b"Measurement started" if begun else b"busy")
        elif path == "/measurement/stop":
            self.emulator.stop()
            self._write(HTTPStatus.OK, b"Measurement stopped")
        else:
            self._write(HTTPStatus.NOT_FOUND, b"no such path")

    def do_PUT(self) -> None:
        """Change the configuration; everything but the number of frames is taken and forgotten."""
        try:
            length = int(self.headers.get("Content-Length") or 0)
            told = json.loads(self.rfile.read(min(max(length, 0), LARGEST_BODY_BYTES)) or b"{}")
            frames = told.get("nTriggers", self.emulator.n_triggers)
        except (ValueError, AttributeError):
            self._write(HTTPStatus.BAD_REQUEST, b"expected a JSON object")
            return
        if self.path.rstrip("/") != "/detector/config":
            self._write(HTTPStatus.NOT_FOUND, b"no such path")
        elif not isinstance(frames, int) or not 0 <= frames < LARGEST_COUNT:
            self._write(HTTPStatus.BAD_REQUEST, b"nTriggers: expected a whole number")
        else:
            self.emulator.n_triggers = frames
            self._write(HTTPStatus.OK, b"Successfully updated the detector configuration")

    def log_message(self, *_: object) -> None:
        """Say nothing: who commands knows what was commanded."""

    def _config(self) -> dict[str, object]:
        return {
            "nTriggers": self.emulator.n_triggers,
            "TriggerMode": "AUTOTRIGSTART_TIMERSTOP",
            "ExposureTime": 0.001,
            "TriggerPeriod": 0.001,
            "BiasVoltage": 100,
            "BiasEnabled": True,
            "PeriphClk80": False,
        }

    def _dashboard(self) -> dict[str, object]:
        emulator = self.emulator
        sent = emulator.record[-1].sent if emulator.record else 0
        measurement = {
            "StartDateTime": emulator.started_ms,
            "FrameCount": sent,
            "DroppedFrames": 0,
            "Status": "DA_RECORDING" if emulator.recording else "DA_IDLE",
        }
        return {
            "Server": {"SoftwareVersion": "emulated"},
            "Measurement": measurement if emulator.started_ms else None,
            "Detector": {"DetectorType": "emulated"},
        }

    def _answer(self, content: object) -> None:
        self._write(HTTPStatus.OK, json.dumps(content).encode())

    def _write(self, status: HTTPStatus, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
