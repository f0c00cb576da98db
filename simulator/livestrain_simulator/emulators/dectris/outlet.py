"""The sockets that an emulator sends from."""

import time
from collections.abc import Sequence
from threading import Event
from typing import Literal

import zmq

from livestrain_simulator.emulators.dectris.sending import Form
from livestrain_simulator.errors import NobodyListens
from livestrain_wire.closing import MOMENT_MS

WAITING_MESSAGES = 256
"""Messages that a socket holds for a receiver that does not follow."""
POLL_MS = 20
CLOSING_SECONDS = 0.01
"""So early may ZeroMQ end its waiting [s]."""


class Outlet:
    """
    Two bound PUSH sockets, one for each stream; to be used by one thread at a time.

    Parameters
    ----------
    host
        Address to bind.
    legacy_port, cbor_port
        0 for any.
    when_full
        What happens to a message that nobody takes: the emulator waits, or it is lost and counted, as in a detector.
    """

    def __init__(self, host: str, legacy_port: int, cbor_port: int, when_full: Literal["wait", "drop"]) -> None:
        self.dropped = 0
        """Messages lost since `forget`."""
        self.waiting_since: float | None = None
        """Monotonic time since which nobody has taken what is being sent [s]."""
        self._when_full = when_full
        self._context = zmq.Context()
        self._sockets = {
            "legacy": self._bound(host, legacy_port),
            "cbor": self._bound(host, cbor_port),
        }
        self._endpoint = ""
        """Of the stream that is sent."""

    def port(self, form: Form) -> int:
        """Where a stream can be had."""
        return int(self._sockets[form].get_string(zmq.LAST_ENDPOINT).rpartition(":")[2])

    def forget(self) -> None:
        """Count from 0 again."""
        self.dropped = 0

    def send(self, form: Form, parts: Sequence[bytes], give_up: Event) -> bool:
        """True if the message was taken, false if it was lost or `give_up` was set first."""
        socket = self._sockets[form]
        self._endpoint = self._endpoint or socket.get_string(zmq.LAST_ENDPOINT)
        self.waiting_since = None
        while not give_up.is_set():
            try:
                socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
            except zmq.Again:
                if self._when_full == "drop":
                    self.dropped += 1
                    return False
                self.waiting_since = self.waiting_since or time.monotonic()
                socket.poll(POLL_MS, zmq.POLLOUT)
            else:
                self.waiting_since = None
                return True
        return False

    def close(self, linger_seconds: float = 0.0) -> None:
        """
        Throw away what nobody has taken, after some time [s].

        Raises
        ------
        NobodyListens
            If there is something to throw away after a time that is not 0.
        """
        began = time.monotonic()
        self._context.destroy(linger=max(MOMENT_MS, round(1000 * linger_seconds)))
        # it returns at once when all has been taken
        if linger_seconds and time.monotonic() - began > linger_seconds - CLOSING_SECONDS:
            raise NobodyListens(f"the last messages at {self._endpoint} were not taken within {linger_seconds:g} s")

    def heard(self, form: Form) -> bool:
        """Somebody takes the messages of a stream; to be asked between series."""
        return bool(self._sockets[form].poll(POLL_MS, zmq.POLLOUT))

    def _bound(self, host: str, port: int) -> "zmq.Socket[bytes]":
        socket: zmq.Socket[bytes] = self._context.socket(zmq.PUSH)
        socket.sndhwm = WAITING_MESSAGES
        try:
            socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError:
            self._context.destroy(linger=0)
            raise
        return socket
