"""Clients of the control socket that send whatever they are told to."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import zmq

from helpers.waiting import wait_until
from livestrain_daemon.control.socket import Control, Handle
from livestrain_wire.closing import MOMENT_MS
from livestrain_wire.codec import decode, encode
from livestrain_wire.messages import REPLIES, Reply, Request

EPOCH = "epoch"


class Counter:
    """
    A control socket, and clients of every kind.

    Parameters
    ----------
    handle
        Does what a request asks.
    """

    def __init__(self, handle: Handle) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        router = self._context.socket(zmq.ROUTER)
        self._port = router.bind_to_random_port("tcp://127.0.0.1")
        self.control = Control(router, EPOCH, handle)
        self._clients: list[zmq.Socket[bytes]] = []

    def client(self, kind: int = zmq.DEALER) -> "zmq.Socket[bytes]":
        """A client's socket."""
        socket = self._context.socket(kind)
        socket.set(zmq.SNDHWM, 0)
        socket.set(zmq.RCVHWM, 0)
        socket.connect(f"tcp://127.0.0.1:{self._port}")
        self._clients.append(socket)
        return socket

    def turn_until(self, condition: Callable[[], object], what: str) -> None:
        """Turns until something is so."""

        def so() -> bool:
            self.control.turn()
            return bool(condition())

        wait_until(so, what=what)

    def wait(self, client: "zmq.Socket[bytes]") -> list[bytes]:
        """Turns until a reply comes; its parts."""
        for _ in range(2000):
            self.control.turn()
            if client.poll(5):
                return client.recv_multipart()
        raise AssertionError("no reply came")

    def ask(self, client: "zmq.Socket[bytes]", request: Request, *payload: bytes) -> tuple[Reply, list[bytes]]:
        """The reply to a request, and what came with it."""
        client.send_multipart([encode(request), *payload])
        return reply_of(self.wait(client))

    def close(self) -> None:
        """Gives the sockets back."""
        self._context.destroy(linger=MOMENT_MS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def reply_of(parts: list[bytes]) -> tuple[Reply, list[bytes]]:
    """A reply unpacked, and its payload parts."""
    reply = decode(parts[0], REPLIES)
    assert isinstance(reply, Reply)
    return reply, parts[1:]
