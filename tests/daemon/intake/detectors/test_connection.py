"""A connection to a detector, whichever of its addresses takes it."""

import socket
from threading import Event

import pytest

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.connection import Address, connected, resolved


def made(port: int, stop: Event | None = None) -> socket.socket:
    steps = connected("localhost", port, stop or Event())
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: socket.socket = end.value
            return found


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> list[Address]:
    """What the name service says of every host."""
    found: list[Address] = []

    def answer(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(one.family, socket.SOCK_STREAM, 0, "", one.where) for one in found]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return found


def test_a_host_that_takes_its_second_address_is_reached(addresses: list[Address]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        addresses += [Address(socket.AF_INET, closed.getsockname()), Address(socket.AF_INET, server.getsockname())]
        with made(1) as one:
            assert one.getpeername() == server.getsockname()


def test_the_first_that_takes_it_is_taken(addresses: list[Address]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        addresses += [Address(socket.AF_INET, server.getsockname()) for server in (first, second)]
        with made(1) as one:
            assert one.getpeername() == first.getsockname()


def test_where_none_does_the_last_reason_is_told(addresses: list[Address]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        addresses += 2 * [Address(socket.AF_INET, closed.getsockname())]
        with pytest.raises(ConnectionRefusedError):
            made(1)


@pytest.mark.parametrize("host", ["192.168..1", "nobody.invalid"])
def test_a_host_that_cannot_be_is_refused_by_its_name(host: str) -> None:
    with pytest.raises(Unavailable, match=f"found '{host}'"):
        resolved(host, 1)


def test_a_host_that_is_has_its_address() -> None:
    assert Address(socket.AF_INET, ("127.0.0.1", 7)) in resolved("127.0.0.1", 7)
