"""The data connection of a detector that is connected to."""

import errno
import os
import select
import socket
import time
from collections.abc import Generator
from contextlib import suppress
from threading import Event

from livestrain_daemon.errors import Unavailable

POLL_SECONDS = 0.05
CONNECT_SECONDS = 5.0
KEEPALIVE = {
    socket.TCP_KEEPIDLE: 5,
    socket.TCP_KEEPINTVL: 2,
    socket.TCP_KEEPCNT: 3,
}
"""A detector that has gone without closing the connection is noticed after 11 s."""


def connected(host: str, port: int, stop: Event) -> Generator[None, None, socket.socket]:
    """
    Connect, yielding every 0.05 s until that is done.

    Raises
    ------
    Unavailable
        If there is no such host.
    OSError
        If nobody answers, or ``stop`` is set.
    """
    family, kind, address = resolved(host, port)
    connection = socket.socket(family, kind)
    try:
        keep_alive(connection)
        connection.setblocking(False)
        error = connection.connect_ex(address)
        deadline = time.monotonic() + CONNECT_SECONDS
        while error == errno.EINPROGRESS:
            if time.monotonic() > deadline or stop.is_set():
                raise TimeoutError(f"no answer within {CONNECT_SECONDS:g} s")
            _, writable, _ = select.select([], [connection], [], POLL_SECONDS)
            if writable:
                error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            else:
                yield
        if error:
            raise OSError(error, os.strerror(error))
        connection.settimeout(POLL_SECONDS)
    except BaseException:
        connection.close()
        raise
    return connection


def resolved(host: str, port: int) -> tuple[int, int, tuple[str, int]]:
    """
    Family, kind and address of a host.

    Raises
    ------
    Unavailable
        If there is no such host.
    OSError
        If nobody can say now.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise
        raise Unavailable(unknown_host(host, error)) from error
    except UnicodeError as error:
        # a label that is empty or too long
        raise Unavailable(f"expected the name or address of a host, found {host!r}: {error}") from error
    return family, kind, (str(address[0]), int(address[1]))


def refuse_unknown_host(named: tuple[str, str] | None) -> None:
    """
    Look a host up that a key of the configuration names.

    Raises
    ------
    Unavailable
        If there is none; who cannot say now may say later.
    """
    if named is None:
        return
    key, host = named
    try:
        with suppress(OSError):
            resolved(host, 0)
    except Unavailable as error:
        raise Unavailable(f"{key}: {error}") from error


def unknown_host(host: str, error: OSError) -> str:
    """That nobody has a name, in a line."""
    return f"expected the name or address of a host, found {host!r}: {error.strerror}"


def keep_alive(connection: socket.socket) -> None:
    """Let a connection end when the other side has gone without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
