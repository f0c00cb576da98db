"""The REST interface of the emulator."""

import base64
import json
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from threading import Thread
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.emulators.dectris.configuration import NotAccepted
from livestrain_simulator.emulators.dectris.emulator import DectrisEmulator
from livestrain_simulator.emulators.dectris.packing import little_endian
from livestrain_simulator.emulators.dectris.series import Setting
from livestrain_simulator.emulators.web import WebServer

LARGEST_BODY_BYTES = 1 << 16
SECONDS = 10.0
"""How long a client may take to ask [s]."""


class RestServer:
    """
    Serves an emulator's commands and values while it is open.

    Parameters
    ----------
    emulator
        What is commanded.
    """

    def __init__(self, emulator: DectrisEmulator) -> None:
        self.emulator = emulator
        self.asked = 0
        """Requests answered so far."""
        settings = emulator.settings

        server = self

        class Requests(_Requests):
            commanded = emulator

            def count(self) -> None:
                server.asked += 1

        self._server = WebServer((settings.host, settings.rest_port), Requests)
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name="dectris-rest", daemon=True)

    @property
    def port(self) -> int:
        """Where it can be asked."""
        return int(self._server.server_address[1])

    def close(self, linger_seconds: float = 0.0) -> None:
        """End everything, when what is on its way has been taken, or after some time [s]."""
        self.emulator.close_series()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.emulator.close(linger_seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Requests(BaseHTTPRequestHandler):
    commanded: DectrisEmulator
    timeout = SECONDS

    def do_GET(self) -> None:
        """Answer with a value."""
        if self.path == "/detector/api/version":
            self._answer({"value": self.commanded.settings.api_version})
            return
        if self.path == f"/detector/api/{self.commanded.settings.api_version}/config/pixel_mask":
            self._answer({"value": _array(self.commanded.mask)})
            return
        found = self._values_and_key()
        if found is None or found[1] not in found[0]:
            self._refuse(HTTPStatus.NOT_FOUND, f"{self.path}: no such value")
            return
        values, key = found
        self._answer({"value": values[key]})

    def do_PUT(self) -> None:
        """Change a value or do a command."""
        try:
            body = self._body()
            module, kind, key = self._split()
            if (module, kind) == ("detector", "command"):
                self._command(key)
            elif kind == "config":
                values = self._config(module)
                self._answer(self.commanded.set_value(values, key, body["value"]))
            else:
                self._refuse(HTTPStatus.NOT_FOUND, f"{self.path}: nothing to set")
        except (NotAccepted, KeyError, ValueError, TypeError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))

    def count(self) -> None:
        """A request has been answered."""

    def log_message(self, *_: object) -> None:
        """Say nothing: who commands knows what was commanded."""

    def _command(self, name: str) -> None:
        emulator = self.commanded
        commands: dict[str, Callable[[], None]] = {
            "initialize": lambda: None,
            "trigger": emulator.trigger,
            "disarm": emulator.disarm,
            "cancel": emulator.disarm,
            "abort": emulator.abort,
        }
        if name == "arm":
            self._answer({"sequence id": emulator.arm()})
        elif name in commands:
            commands[name]()
            self._answer({})
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f"{name}: no such command")

    def _split(self) -> tuple[str, str, str]:
        """Module, kind and key of a path; empty where it is of another version."""
        parts = self.path.strip("/").split("/")
        if len(parts) == 5 and parts[1:3] == ["api", self.commanded.settings.api_version]:
            return parts[0], parts[3], parts[4]
        return "", "", ""

    def _config(self, module: str) -> dict[str, Setting]:
        return {"detector": self.commanded.detector, "stream": self.commanded.stream}[module]

    def _values_and_key(self) -> tuple[dict[str, Setting], str] | None:
        module, kind, key = self._split()
        if kind == "config" and module in ("detector", "stream"):
            return self._config(module), key
        if kind == "status" and module == "detector":
            return {"state": self.commanded.state}, key
        if kind == "status" and module == "stream":
            state: Setting = "ready" if self.commanded.stream["mode"] == "enabled" else "disabled"
            return {"state": state, "dropped": self.commanded.outlet.dropped, "error": ""}, key
        return None

    def _body(self) -> dict[str, Setting]:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= LARGEST_BODY_BYTES:
            raise NotAccepted(f"expected at most {LARGEST_BODY_BYTES} bytes, found {length}")
        content = json.loads(self.rfile.read(length) or b"{}")
        if not isinstance(content, dict):
            raise NotAccepted("expected a JSON object")
        return content

    def _answer(self, content: object) -> None:
        self._write(HTTPStatus.OK, json.dumps(content).encode())

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self._write(status, text.encode())

    def _write(self, status: HTTPStatus, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.count()


def _array(mask: NDArray[np.uint32]) -> dict[str, object]:
    """An array as SIMPLON puts it into JSON."""
    rows, columns = mask.shape
    data = base64.b64encode(little_endian(mask).tobytes()).decode()
    return {"__darray__": [1, 0, 0], "type": "uint32", "shape": [columns, rows], "filters": ["base64"], "data": data}
