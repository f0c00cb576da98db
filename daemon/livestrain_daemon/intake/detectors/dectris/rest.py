"""The REST interface of a DECTRIS control unit (SIMPLON)."""

import base64
import http.client
import json
import re
import socket
import time
from collections.abc import Mapping
from typing import Literal

import numpy as np

from livestrain_daemon.errors import DaemonError
from livestrain_daemon.intake.detectors.connection import unknown_host
from livestrain_daemon.intake.detectors.dectris.counts import dectris_frames
from livestrain_daemon.intake.detectors.dectris.told import Mask, image_shape
from livestrain_daemon.intake.detectors.http import Request, exchange, in_words
from livestrain_daemon.intake.detectors.plain import Plain, is_plain

LARGEST_REPLY_BYTES = 1 << 20
LARGEST_MASK_BYTES = 64 << 20
ASK_SECONDS = 5.0
"""For a value [s]."""
COMMAND_SECONDS = 120.0
"""For a command: arming can take a minute [s]."""
TRIGGER_SECONDS = 86400.0
"""The reply to a trigger comes after its last image [s]."""

_VERSION = re.compile(r"1\.\d{1,3}\.\d{1,3}")


class RestError(DaemonError):
    """
    The interface does not do what was asked for.

    Parameters
    ----------
    text
        What was asked, what was expected and found.
    final
        Asking again will not help.
    """

    def __init__(self, text: str, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


class Rest:
    """
    Asks and commands a control unit; every reply is bounded in size and time.

    Parameters
    ----------
    host
        Name or address.
    port
        Usually 80.
    version
        Of the interface, for example 1.8.0; None to ask for it.
    """

    def __init__(self, host: str, port: int = 80, version: str | None = None) -> None:
        self._host = host
        self._port = port
        self._version = version

    @property
    def url(self) -> str:
        """Where it is, for people."""
        return f"http://{self._host}:{self._port}"

    def version(self, seconds: float | None = None) -> str:
        """
        Of the interface; asked for once, within some time [s].

        Raises
        ------
        RestError
            If there is no SIMPLON interface of version 1, or no answer.
        """
        if self._version is None:
            found = _value(self._exchange("GET", "/detector/api/version", None, seconds or ASK_SECONDS), self.url)
            if not isinstance(found, str) or not _VERSION.fullmatch(found):
                text = f"{self.url}: expected a SIMPLON interface of version 1, as 1.8.0, found {found!r:.40}"
                raise RestError(text, final=True)
            self._version = found
        return self._version

    def get(self, module: Literal["detector", "stream"], key: str, seconds: float | None = None) -> Plain:
        """A value; the key is for example `config/nimages` or `status/state`."""
        seconds = seconds or ASK_SECONDS
        deadline = time.monotonic() + seconds
        path = f"/{module}/api/{self.version(seconds)}/{key}"
        return _value(self._exchange("GET", path, None, deadline - time.monotonic()), f"{self.url}{path}")

    def configure(self, module: Literal["detector", "stream"], values: Mapping[str, Plain]) -> None:
        """Set values one after the other, in their order: some change others."""
        for key, value in values.items():
            path = f"/{module}/api/{self.version()}/config/{key}"
            self._exchange("PUT", path, {"value": value}, ASK_SECONDS)

    def arm(self) -> int:
        """Begin a series; its number."""
        reply = self._command("arm", COMMAND_SECONDS)
        number = reply.get("sequence id") if isinstance(reply, dict) else None
        if isinstance(number, bool) or not isinstance(number, int):
            raise RestError(f"{self.url}: arm: expected a sequence id, found {reply!r:.60}")
        return number

    def trigger(self) -> None:
        """Take images, where the detector triggers itself; returns after the last one."""
        self._command("trigger", TRIGGER_SECONDS)

    def disarm(self, seconds: float | None = None) -> None:
        """End a series, within some time [s]."""
        self._command("disarm", seconds or COMMAND_SECONDS)

    def abort(self, seconds: float | None = None) -> None:
        """Stop at once, within some time [s]."""
        self._command("abort", seconds or COMMAND_SECONDS)

    def state(self) -> str:
        """Of the detector: idle, ready, acquire, ..."""
        return str(self.get("detector", "status/state"))

    def dropped(self) -> int:
        """Images of the series that the detector could not send."""
        value = self.get("stream", "status/dropped")
        # some control units answer with the reason first
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0

    def frames(self, seconds: float) -> int:
        """
        Images in a series, as configured.

        Raises
        ------
        RestError
            If the interface does not tell, within so long [s].
        """
        deadline = time.monotonic() + seconds
        values: list[Plain] = []
        for key in ("nimages", "ntrigger", "trigger_mode"):
            left = deadline - time.monotonic()
            if left <= 0:
                raise RestError(f"{self.url}: expected the number of images within {seconds:g} s, found no answer")
            values.append(self.get("detector", f"config/{key}", left))
        images, triggers, mode = values
        return dectris_frames(self._count(images, "nimages"), self._count(triggers, "ntrigger"), mode)

    def triggers(self) -> int:
        """Of a series, as configured."""
        return self._count(self.get("detector", "config/ntrigger"), "ntrigger")

    def pixel_mask(self) -> Mask | None:
        """Pixels that the detector marks, (rows, columns); None where it has no such value."""
        path = f"/detector/api/{self.version()}/config/pixel_mask"
        try:
            reply = self._exchange("GET", path, None, ASK_SECONDS, LARGEST_MASK_BYTES)
        except RestError as error:
            if error.final:
                return None
            raise
        return _mask(reply)

    def _count(self, value: Plain, key: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise RestError(f"{self.url}: {key}: expected a whole number, found {value!r:.60}")
        return value

    def _command(self, name: str, seconds: float) -> object:
        return self._exchange("PUT", f"/detector/api/{self.version()}/command/{name}", None, seconds)

    def _exchange(
        self, verb: str, path: str, body: object, seconds: float, largest: int = LARGEST_REPLY_BYTES
    ) -> object:
        """One request and its reply, as JSON; None if it is empty."""
        text = None if body is None else json.dumps(body)
        try:
            reply = exchange(self._host, self._port, Request(verb, path, seconds, largest, text))
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME:
                # that is a mistake, all else may pass
                raise RestError(unknown_host(self._host, error), final=True) from error
            text = f"{verb} {self.url}{path}: expected an answer, found {in_words(error)}"
            raise RestError(text) from error
        if reply.status != http.client.OK:
            found = f"{reply.status} {reply.reason:.40} {reply.content[:80]!r}"
            # a key, a value or a version that it does not know now it will not know later
            final = reply.status == 404 or (reply.status == 400 and "/config/" in path)
            raise RestError(f"{verb} {self.url}{path}: expected 200, found {found}", final)
        return _parsed(reply.content, f"{verb} {self.url}{path}")


def _mask(reply: object) -> Mask | None:
    """An array as SIMPLON puts it into JSON; None if it is none that is known."""
    array = reply.get("value") if isinstance(reply, dict) else None
    if not isinstance(array, dict) or array.get("filters") != ["base64"] or array.get("type") not in ("uint32", "<u4"):
        return None
    try:
        columns, rows = array["shape"]
        shape = image_shape(rows, columns, "pixel_mask")
        return np.frombuffer(base64.b64decode(array["data"], validate=True), "<u4").reshape(shape)
    except (KeyError, TypeError, ValueError):
        return None


def _parsed(content: bytes, where: str) -> object:
    if not content.strip():
        return None
    try:
        parsed: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RestError(f"{where}: expected JSON, found {content[:60]!r}") from error
    return parsed


def _value(reply: object, where: str) -> Plain:
    value = reply.get("value") if isinstance(reply, dict) else None
    if not is_plain(value):
        raise RestError(f"{where}: expected a value, found {reply!r:.60}")
    return value
