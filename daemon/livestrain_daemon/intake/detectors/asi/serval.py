"""Questions to Serval's REST interface."""

import http.client
import json
import socket
import time
from collections.abc import Mapping

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.asi.measurement import Measurement
from livestrain_daemon.intake.detectors.http import Request, exchange, in_words
from livestrain_daemon.intake.detectors.plain import is_plain

LARGEST_REPLY_BYTES = 1 << 20
RECORDING = frozenset({"DA_PREPARING", "DA_RECORDING", "DA_STOPPING"})


class NobodyAsked:
    """Where there is no REST interface: nothing is known."""

    def measurement(self) -> Measurement:
        """All unknown."""
        return Measurement()


class Serval:
    """
    Asks Serval; every reply is bounded in size and time.

    Parameters
    ----------
    host
        Name or address.
    port
        Usually 8080.
    seconds
        So long may the answers take together; the stream waits for it [s].
    """

    def __init__(self, host: str, port: int, seconds: float = 1.0) -> None:
        self._host = host
        self._port = port
        self._seconds = seconds
        self.trouble = ""
        """Why the last question was not answered; empty if it was."""

    @property
    def url(self) -> str:
        """Where it is, for people."""
        return f"http://{self._host}:{self._port}"

    def measurement(self) -> Measurement:
        """
        The measurement in progress or the last one; all unknown if it does not answer.

        Raises
        ------
        Unavailable
            If there is no such host.
        """
        deadline = time.monotonic() + self._seconds
        config = self._asked("/detector/config", self._seconds)
        dashboard = self._asked("/dashboard", deadline - time.monotonic())
        told = dashboard.get("Measurement")
        values: Mapping[str, object] = told if isinstance(told, dict) else {}
        frames, status = _whole(config.get("nTriggers")), values.get("Status")
        began = values.get("StartDateTime")
        return Measurement(
            name=str(began) if isinstance(began, int | str) and is_plain(began) and began else "",
            frames=frames or None,
            recording=status in RECORDING if isinstance(status, str) else None,
            dropped=_whole(values.get("DroppedFrames")) or 0,
        )

    def idle(self) -> bool:
        """
        Whether it says that no measurement goes on; no answer is no.

        Raises
        ------
        Unavailable
            If there is no such host.
        """
        told = self._asked("/dashboard", self._seconds).get("Measurement", "")
        # there is none before the first
        status = told.get("Status") if isinstance(told, dict) else None
        return told is None or (isinstance(status, str) and status not in RECORDING)

    def _asked(self, path: str, seconds: float) -> Mapping[str, object]:
        """The object at a path; empty if there is none within so long [s]."""
        try:
            reply = exchange(self._host, self._port, Request("GET", path, max(seconds, 0.0), LARGEST_REPLY_BYTES))
            told = json.loads(reply.content) if reply.status == http.client.OK else None
        except http.client.InvalidURL as error:
            raise Unavailable(f"expected the name or address of a host, found {self._host!r}") from error
        except socket.gaierror as error:
            if error.errno == socket.EAI_NONAME:
                text = f"expected the name or address of a host, found {self._host!r}: {error.strerror}"
                raise Unavailable(text) from error
            self.trouble = f"{self.url}{path}: {error!s:.120}"
            return {}
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            self.trouble = f"{self.url}{path}: expected an answer, found {in_words(error)}"
            return {}
        if not isinstance(told, dict):
            self.trouble = f"{self.url}{path}: expected an object, found {reply.status} {reply.content[:60]!r}"
            return {}
        self.trouble = ""
        return told


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 48 else None
