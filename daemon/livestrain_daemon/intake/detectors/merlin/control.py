"""The control connection of a Merlin: GET, SET and CMD, one after the other."""

import socket
from types import TracebackType

from livestrain_daemon.intake.detectors.merlin.errors import ControlRefused
from livestrain_daemon.intake.detectors.merlin.framing import PREFIX_BYTES, framed, payload_bytes
from livestrain_recordings.merlin.errors import WrongMessage

CONTROL_PORT = 6341
LARGEST_REPLY = 1 << 14
CODES = {1: "the detector is busy", 2: "it does not know this name", 3: "the value is out of range"}
BUSY = 1


class Control:
    """
    A control connection.

    Parameters
    ----------
    host, port
        Of the detector.
    timeout_seconds
        How long it may take to connect, and to answer [s].

    Raises
    ------
    OSError
        If nobody is there.
    """

    def __init__(self, host: str, port: int = CONTROL_PORT, timeout_seconds: float = 5.0) -> None:
        self._socket = socket.create_connection((host, port), timeout_seconds)

    def __enter__(self) -> "Control":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def get(self, name: str) -> str:
        """The value of a setting or a state."""
        return self._asked(f"GET,{name}")

    def set(self, name: str, value: str | float) -> None:
        """Change a setting."""
        self._asked(f"SET,{name},{value}")

    def command(self, name: str) -> None:
        """Have something done, such as STARTACQUISITION."""
        self._asked(f"CMD,{name}")

    def _asked(self, request: str) -> str:
        """
        What the detector answers, without name and return code.

        Raises
        ------
        ControlRefused
            If it answers with a return code other than 0.
        WrongMessage
            If its answer is none.
        OSError
            If it does not answer.
        """
        self._socket.sendall(framed(request.encode("latin-1")))
        fields = self._reply().split(",")
        if fields[:2] != request.split(",")[:2] or not fields[-1].isdecimal():
            raise WrongMessage("bad_message", f"expected an answer to {request}, found {','.join(fields)[:80]!r}")
        code = int(fields[-1])
        if code:
            text = f"{request}: expected return code 0, found {code}: {CODES.get(code, 'unknown')}"
            raise ControlRefused(text, code)
        return ",".join(fields[2:-1])

    def _reply(self) -> str:
        try:
            size = payload_bytes(self._exactly(PREFIX_BYTES), LARGEST_REPLY)
        except ValueError as error:
            raise WrongMessage("bad_message", f"control: {error}") from error
        payload = self._exactly(size)
        # some versions announce one byte too few; what is missing then is the return code
        if payload.endswith(b","):
            payload += self._exactly(1)
        return payload.decode("latin-1").strip()

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._socket.recv(size - len(parts))
            if not part:
                raise ConnectionError("expected an answer on the control connection, found it closed")
            parts += part
        return bytes(parts)
