"""A control unit as awkward as a test wants it: what its REST interface answers, and when."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from helpers.waiting import wait_until
from livestrain_daemon.intake.detectors.dectris.control import Arming, Control
from livestrain_daemon.intake.detectors.dectris.rest import Rest
from livestrain_daemon.intake.detectors.events import Trouble


class Simplon:
    """
    A detector that is armed and disarmed, counts what it dropped, and does nothing else.

    Its values may be changed while it is asked; `before` may raise, so that no answer comes, or take its time.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {
            "status/state": "idle",
            "status/dropped": 0,
            "config/mode": "enabled",
            "config/format": "cbor",
            "config/trigger_mode": "exts",
            "config/ntrigger": 1,
        }
        self.commands: list[str] = []
        """Done so far."""
        self.asked: dict[str, int] = {}
        """How often each value was asked for."""
        self.before: Callable[[str], None] = lambda _: None
        """Called with the name of a command or a value before it is looked at."""
        self.number = 0

    @property
    def state(self) -> str:
        return str(self.values["status/state"])

    def get(self, key: str) -> Any:
        self.before(key)
        value = self.values.get(key)
        self.asked[key] = self.asked.get(key, 0) + 1
        return value

    def put(self, key: str) -> dict[str, int]:
        kind, name = key.split("/")
        if kind != "command":
            return {}
        self.before(name)
        self.commands.append(name)
        if name == "arm":
            self.number += 1
            self.values |= {"status/state": "ready", "status/dropped": 0}
            return {"sequence id": self.number}
        if name in ("disarm", "abort"):
            self.values["status/state"] = "idle"
        return {}


@contextmanager
def served(simplon: Simplon) -> Iterator[Rest]:
    """Its REST interface."""

    class Requests(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(lambda: {"value": simplon.get(self._key())}, simplon.values.get(self._key()) is not None)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._reply(lambda: simplon.put(self._key()), True)

        def log_message(self, *_: object) -> None:
            pass

        def _key(self) -> str:
            return "/".join(self.path.split("/")[-2:])

        def _reply(self, content: Callable[[], object], known: bool) -> None:
            try:
                body = json.dumps(content()).encode()
            except ConnectionError:
                self.close_connection = True
                return
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    server.daemon_threads, server.block_on_close = True, False
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield Rest("127.0.0.1", server.server_address[1], "1.8.0")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Controlled:
    """A control at work, and what it told."""

    def __init__(self, simplon: Simplon, rest: Rest, arming: Arming | None) -> None:
        self.simplon = simplon
        self.told: list[Trouble | Exception] = []
        self.control = Control(rest, arming, "cbor", self.told.append)

    def lost(self) -> list[tuple[int, str | None]]:
        """Images that were dropped, with their series."""
        return [(one.frames, one.series) for one in self.told if isinstance(one, Trouble) and one.kind == "lost"]

    def texts(self) -> list[str]:
        return [one.text for one in self.told if isinstance(one, Trouble) and one.kind == "connection"]

    def polled(self, times: int = 2) -> None:
        """Return when the count has been asked for so often, from now on, and once more for what is in between."""
        asked = self.simplon.asked
        before = asked.get("status/dropped", 0)
        wait_until(lambda: asked.get("status/dropped", 0) > before + times, what="a question")


@contextmanager
def controlled(simplon: Simplon, arming: Arming | None = None, stop_seconds: float = 5.0) -> Iterator[Controlled]:
    """A control of it, while it is open."""
    with served(simplon) as rest:
        one = Controlled(simplon, rest, arming)
        one.control.start()
        try:
            yield one
        finally:
            one.control.stop(stop_seconds)
