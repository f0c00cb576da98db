"""One HTTP request and its reply, bounded in size and in time, headers included."""

import http.client
import socket
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, and how long and how much an answer may be."""

    verb: str
    path: str
    seconds: float
    """From the connection to the last byte [s]."""
    largest: int
    """A longer reply is none [bytes]."""
    body: str | None = None
    """JSON."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    reason: str
    content: bytes


class _Until(socket.socket):
    """A connection on which everything together takes no longer than until its deadline."""

    deadline: float = 0.0
    """As `time.monotonic` counts [s]."""

    def recv_into(self, *args: Any, **options: Any) -> int:
        """As that of any socket, within the time that is left."""
        self.hurry()
        return super().recv_into(*args, **options)

    def hurry(self) -> None:
        """Let what comes next take no longer than the time that is left."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(left)


def in_words(error: Exception) -> str:
    """Why there was no answer, in a few words."""
    if isinstance(error, OSError) and (error.strerror or str(error)):
        return error.strerror or f"{error!s:.120}"
    return f"{type(error).__name__}: {error!s:.120}"


def exchange(host: str, port: int, request: Request) -> Reply:
    """
    Ask, and wait for the answer.

    Only how long a name is looked up is up to the system.

    Raises
    ------
    OSError
        If nobody answers in time.
    http.client.HTTPException
        If there can be no such host, or what comes is no reply or too long.
    """
    deadline = time.monotonic() + request.seconds
    connection = http.client.HTTPConnection(host, port)
    try:
        connection.sock = _connected(host, port, deadline)
        connection.request(request.verb, request.path, request.body, {"Content-Type": "application/json"})
        with connection.getresponse() as reply:
            content = reply.read(request.largest + 1)
    finally:
        connection.close()
    if len(content) > request.largest:
        raise http.client.HTTPException(f"expected at most {request.largest} bytes, found more")
    return Reply(reply.status, reply.reason, content)


def _connected(host: str, port: int, deadline: float) -> _Until:
    """A connection to the first address that takes it."""
    found: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = _Until(family, kind, protocol)
        connection.deadline = deadline
        try:
            connection.hurry()
            connection.connect(address)
            connection.hurry()
        except OSError as error:
            connection.close()
            found = error
        else:
            return connection
    raise found or OSError(f"no address of {host}")
