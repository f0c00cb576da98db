"""Control connections: requests are answered in Merlin's frame."""

import socket
from collections.abc import Callable
from threading import Event

from livestrain_simulator.emulators.merlin.headers import framed
from livestrain_simulator.emulators.serving import exactly

PREFIX_BYTES = 15
LARGEST_REQUEST = 4096


def answering(answer: Callable[[str], str], short_by: int) -> Callable[[socket.socket, Event], None]:
    """
    A control connection.

    Parameters
    ----------
    answer
        Request to reply.
    short_by
        What lengths of replies are too small by.
    """

    def serve(connection: socket.socket, stop: Event) -> None:
        while (prefix := exactly(connection, PREFIX_BYTES, stop)) is not None:
            length = prefix[4:14]
            if prefix[:4] != b"MPX," or not length.isdigit() or int(length) > LARGEST_REQUEST:
                return
            request = exactly(connection, int(length) - 1, stop)
            if request is None:
                return
            reply = answer(request.decode("latin-1"))
            try:
                connection.sendall(framed(reply.encode("latin-1"), short_by))
            except OSError:
                return

    return serve
