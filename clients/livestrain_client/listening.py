"""Both sockets of a subscriber and its mirror: what is heard and answered goes in, what is wanted goes out."""

import time

import zmq

from livestrain_client.asking import Asking, no_such_scan
from livestrain_client.connection import ControlSocket, Heard, MapsSocket, new_id
from livestrain_client.errors import Unavailable
from livestrain_client.mirror import Mirror
from livestrain_client.updates import Reconnected, Stale, Update
from livestrain_wire.errors import NewerProtocol, WireError
from livestrain_wire.messages import BraggVectorMap, Heartbeat, MapValues, StatusReply, StatusRequest

STALE_SECONDS = 3.0
"""A daemon that has sent no heartbeat for so long is stale [s]."""
MESSAGES_A_TURN = 256


class Listening:
    """
    Keeps a mirror up to date, in turns.

    Parameters
    ----------
    mirror
        What is known.
    maps_endpoint
        Where the daemon publishes its maps.
    control_endpoint
        Where the daemon takes requests.
    deadline
        How long to wait for the daemon's first answer [s].
    """

    def __init__(self, mirror: Mirror, maps_endpoint: str, control_endpoint: str, deadline: float) -> None:
        self._maps_endpoint = maps_endpoint
        self._control_endpoint = control_endpoint
        self._deadline = deadline
        self._mirror = mirror
        self._asking = Asking(mirror)
        self._heard_at = time.monotonic()
        self._was_stale = False
        self._news: list[Update] = []

    def begin(self) -> None:
        """
        Connect, and ask for the status.

        Raises
        ------
        Unavailable
            If there is no answer in time.
        """
        # Subscribe first: what is published from now on adds to what is asked for later.
        self._maps_socket = MapsSocket(self._maps_endpoint)
        try:
            self._control_socket = ControlSocket(self._control_endpoint)
        except Unavailable:
            self._maps_socket.close()
            raise
        try:
            self._join()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        self._maps_socket.close()
        self._control_socket.close()

    @property
    def silent_seconds(self) -> float:
        """Time since the last heartbeat [s]."""
        return time.monotonic() - self._heard_at

    @property
    def stale(self) -> bool:
        """True where no heartbeat has come for longer than `STALE_SECONDS`."""
        return self.silent_seconds > STALE_SECONDS

    def _join(self) -> None:
        asked = self._mirror.asked_status()
        request = StatusRequest(id=new_id(), scan_id=self._mirror.asks_about)
        reply = self._control_socket.ask(request, None, self._deadline, 1.0).reply
        self._heard_at = time.monotonic()
        if no_such_scan(reply):
            self._news = self._mirror.take_no_such_scan(reply, asked)
        elif isinstance(reply, StatusReply):
            self._news = self._mirror.take_status(reply, asked)
        else:
            raise Unavailable(f"{self._control_endpoint} answers a status request with {reply.type}")

    def turn(self, seconds: float) -> list[Update]:
        """Ask for what is wanted, listen for at most so long, take what has come."""
        news, self._news = self._news, []
        self._asking.ask(self._control_socket)
        if not news:
            self._listen(min(seconds, 0.1))
        epoch = self._mirror.epoch
        for _ in range(MESSAGES_A_TURN):
            try:
                heard = self._maps_socket.receive()
                if heard is None:
                    break
                news += self._take_heard(heard)
            except WireError as error:
                self._count(error)
        for _ in range(MESSAGES_A_TURN):
            try:
                answer = self._control_socket.receive()
                if answer is None:
                    break
                news += self._asking.take(answer)
            except WireError as error:
                self._count(error)
        if self._mirror.epoch != epoch:
            self._asking.forget()
        return news + self._staleness()

    def _listen(self, seconds: float) -> None:
        poller = zmq.Poller()
        poller.register(self._maps_socket.socket, zmq.POLLIN)
        poller.register(self._control_socket.socket, zmq.POLLIN)
        poller.poll(round(1000 * seconds))

    def _count(self, error: WireError) -> None:
        if isinstance(error, NewerProtocol):
            raise error
        self._mirror.faults[type(error).__name__] += 1
        self._asking.pause()

    def _take_heard(self, heard: Heard) -> list[Update]:
        if isinstance(heard.message, MapValues):
            return self._mirror.take_values(heard.message, heard.payload)
        if isinstance(heard.message, BraggVectorMap):
            return self._mirror.take_vector_map(heard.message, heard.payload)
        if isinstance(heard.message, Heartbeat):
            self._heard_at = time.monotonic()
        return self._mirror.take(heard.topic, heard.message)

    def _staleness(self) -> list[Update]:
        stale = self.stale
        if stale == self._was_stale:
            return []
        self._was_stale = stale
        if stale:
            return [Stale(self.silent_seconds)]
        self._mirror.wants_status = True
        return [Reconnected(self._mirror.epoch, restarted=False)]
