"""The data connection of a detector that is connected to."""

import errno
import os
import select
import socket
import time
from collections.abc import Generator
from contextlib import suppress
from threading import Event
from typing import NamedTuple

from livestrain_daemon.errors import Unavailable

POLL_SECONDS = 0.05
CONNECT_SECONDS = 5.0
KEEPALIVE = {
    socket.TCP_KEEPIDLE: 5,
    socket.TCP_KEEPINTVL: 2,
    socket.TCP_KEEPCNT: 3,
}
"""A detector that has gone without closing the connection is noticed after 11 s."""


class Address(NamedTuple):
    """Of a host, with a port."""

    family: int
    where: tuple[str | int, ...] | tuple[int, bytes]
    """As the family has it: IPv6 with a scope."""


def connected(host: str, port: int, stop: Event) -> Generator[None, None, socket.socket]:
    """
    Connect to the first address of a host that takes it, yielding every 0.05 s until that is done.

    Raises
    ------
    Unavailable
        If there is no such host.
    OSError
        If nobody answers, or ``stop`` is set.
    """
    found: OSError | None = None
    for address in resolved(host, port):
        try:
            return (yield from _connected(address, stop))
        except OSError as error:
            found = error
        if stop.is_set():
            break
    raise found or OSError(f"no address of {host}")


def _connected(address: Address, stop: Event) -> Generator[None, None, socket.socket]:
    connection = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        keep_alive(connection)
        connection.setblocking(False)
        error = connection.connect_ex(address.where)
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


def resolved(host: str, port: int) -> list[Address]:
    """
    Where a host is, the first choice first.

    Raises
    ------
    Unavailable
        If there is no such host.
    OSError
        If nobody can say now.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise
        raise Unavailable(unknown_host(host, error)) from error
    except UnicodeError as error:
        # a label that is empty or too long
        raise Unavailable(f"expected the name or address of a host, found {host!r}: {error}") from error
    return [Address(family, where) for family, _, _, _, where in found]


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
