"""Connections that somebody else opens, and those of them that are sent frames."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread

POLL_SECONDS = 0.02


class Listener:
    """
    Takes connections, each in a thread of its own.

    Parameters
    ----------
    host, port
        Where; port 0 takes any that is free.
    serve
        What is done with a connection, until the event is set.
    """

    def __init__(self, host: str, port: int, serve: Callable[[socket.socket, Event], None]) -> None:
        self._serve = serve
        self._stop = Event()
        try:
            self._socket = socket.create_server((host, port))
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{host}:{port}") from error
        self._socket.settimeout(POLL_SECONDS)
        self.port = int(self._socket.getsockname()[1])
        """Where it listens."""
        self._threads: list[Thread] = []
        self._accepting = self._begin(self._accept)

    @property
    def threads(self) -> int:
        """Threads that it knows: its own, one for each connection, and those that ended since the last one came."""
        return len(self._threads)

    def close(self) -> None:
        """End all connections."""
        self._stop.set()
        self._accepting.join()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _begin(self, target: Callable[[], None]) -> Thread:
        thread = Thread(target=target, name=f"emulator at port {self.port}", daemon=True)
        self._threads = [*(known for known in self._threads if known.is_alive()), thread]
        thread.start()
        return thread

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            connection.settimeout(POLL_SECONDS)
            self._begin(lambda taken=connection: self._served(taken))  # type: ignore[misc]

    def _served(self, connection: socket.socket) -> None:
        with connection:
            self._serve(connection, self._stop)


class Audience:
    """Everybody who is connected for frames; each gets all that is sent from then on."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connections: list[tuple[socket.socket, Event]] = []
        self.waiting_since: float | None = None
        """Monotonic time since which somebody has taken nothing of what is being sent [s]."""

    def __len__(self) -> int:
        return len(self._connections)

    def serve(self, connection: socket.socket, stop: Event) -> None:
        """Keep a connection until it is closed, by either side."""
        gone = Event()
        with self._lock:
            self._connections.append((connection, gone))
        while not stop.is_set() and not gone.is_set():
            try:
                if not connection.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        with self._lock:
            self._connections = [known for known in self._connections if known[0] is not connection]

    def send(self, message: bytes, closed: Callable[[], bool]) -> int:
        """Send to everybody, waiting for those who are slow unless all is ``closed``; how many were sent all of it."""
        with self._lock:
            connections = list(self._connections)
        sent = 0
        for connection, gone in connections:
            try:
                sent += self._send(connection, message, closed)
            except OSError:
                gone.set()
            self.waiting_since = None
        return sent

    def finish(self, seconds: float) -> None:
        """Tell everybody that nothing more comes; wait until they have hung up, as who has it all does, so long [s]."""
        with self._lock:
            connections = list(self._connections)
        for connection, _ in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + seconds
        while any(known in self._connections for known in connections) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def dismiss(self) -> None:
        """Close all connections."""
        with self._lock:
            connections, self._connections = self._connections, []
        for connection, gone in connections:
            gone.set()
            with connection, suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _send(self, connection: socket.socket, message: bytes, closed: Callable[[], bool]) -> bool:
        """Whether all of it has left."""
        rest = memoryview(message)
        while rest and not closed():
            try:
                rest = rest[connection.send(rest) :]
                self.waiting_since = None
            except TimeoutError:
                self.waiting_since = self.waiting_since or time.monotonic()
        return not rest


def exactly(connection: socket.socket, size: int, stop: Event) -> bytes | None:
    """So many bytes; None if the connection ends before."""
    parts = bytearray()
    while len(parts) < size:
        if stop.is_set():
            return None
        try:
            part = connection.recv(size - len(parts))
        except TimeoutError:
            continue
        except OSError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)
