"""A connection to somebody who listens, opened again and again."""

import socket
from collections.abc import Callable
from threading import Event, Thread

POLL_SECONDS = 0.02


class Caller:
    """
    Connects, and again when the connection has ended.

    Parameters
    ----------
    address
        Host and port.
    serve
        What is done with a connection, until the event is set.
    """

    def __init__(self, address: tuple[str, int], serve: Callable[[socket.socket, Event], None]) -> None:
        self._address = address
        self._serve = serve
        self._stop = Event()
        self.port = address[1]
        """Where it connects to."""
        self._thread = Thread(target=self._call, name="asi emulator", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the connection."""
        self._stop.set()
        self._thread.join()

    def _call(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            try:
                connection = socket.create_connection(self._address, timeout=1.0)
            except OSError:
                continue
            connection.settimeout(POLL_SECONDS)
            with connection:
                self._serve(connection, self._stop)
