"""A scan as it is measured: numpy arrays that fill, and news of what has changed."""

import time
from collections.abc import Collection, Iterator
from types import TracebackType
from typing import Self

import zmq

from livestrain_client.asking import Asking, no_such_scan
from livestrain_client.connection import CONTROL_ENDPOINT, MAPS_ENDPOINT, ControlSocket, Heard, MapsSocket
from livestrain_client.errors import Unavailable
from livestrain_client.mirror import Mirror
from livestrain_client.requests import new_id
from livestrain_client.state import MapState
from livestrain_client.updates import Reconnected, Stale, Update, VectorMapChanged
from livestrain_wire.errors import NewerProtocol, WireError
from livestrain_wire.messages import (
    BraggVectorMap,
    Event,
    Heartbeat,
    MapValues,
    PlanChanged,
    Progress,
    ReferenceInfo,
    ScanEnded,
    ScanStarted,
    StatusReply,
    StatusRequest,
)

STALE_SECONDS = 3.0
"""A daemon that has sent no heartbeat for so long is stale [s]."""
MESSAGES_A_TURN = 256


class Live:
    """
    Follows a daemon: use it in a ``with`` block, and read `updates`, which keeps the maps up to date.

    Nothing happens in the background: arrays change only inside `poll`, `updates` and `wait_until_final`.

    Parameters
    ----------
    maps_endpoint
        Where the daemon publishes its maps.
    control_endpoint
        Where the daemon takes requests.
    maps
        Names of the maps to keep; all if not given.
    follow
        Go on with the next scan when one starts; else stay with the first.
    deadline
        How long to wait for the daemon's first answer [s].
    scan
        The id of the scan to stay with, in memory of the daemon or still to come; any if not given.
    """

    def __init__(
        self,
        maps_endpoint: str = MAPS_ENDPOINT,
        control_endpoint: str = CONTROL_ENDPOINT,
        *,
        maps: Collection[str] | None = None,
        follow: bool = True,
        deadline: float = 5.0,
        scan: str | None = None,
    ) -> None:
        self.maps_endpoint = maps_endpoint
        self.control_endpoint = control_endpoint
        self._deadline = deadline
        self._mirror = Mirror(maps, follow, scan)
        self._asking = Asking(self._mirror)
        self._heard_at = time.monotonic()
        self._was_stale = False
        self._news: list[Update] = []

    def __enter__(self) -> Self:
        # Subscribe first: what is published from now on adds to what is asked for later.
        self._maps_socket = MapsSocket(self.maps_endpoint)
        try:
            self._control_socket = ControlSocket(self.control_endpoint)
        except Unavailable:
            self._maps_socket.close()
            raise
        try:
            self._join()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection; the maps stay."""
        self._maps_socket.close()
        self._control_socket.close()

    @property
    def maps(self) -> dict[str, MapState]:
        """The maps under the current plan revision, by name; their ``values`` are (scan_rows, scan_columns, ...)."""
        return self._mirror.followed.maps

    @property
    def vector_map(self) -> VectorMapChanged | None:
        """The Bragg vector map as last published; `Control.bragg_vector_map` asks for the present one."""
        return self._mirror.followed.vector_map.held

    @property
    def earlier(self) -> dict[int, dict[str, MapState]]:
        """The maps of this scan's plan revisions before."""
        return self._mirror.followed.earlier

    @property
    def scan(self) -> ScanStarted | None:
        """The scan that is followed."""
        return self._mirror.followed.scan

    @property
    def plan(self) -> PlanChanged | None:
        """The plan that results are made under."""
        return self._mirror.followed.plan

    @property
    def progress(self) -> Progress | None:
        """The last counts and rates."""
        return self._mirror.followed.progress

    @property
    def ended(self) -> ScanEnded | None:
        """How the scan ended, if it has."""
        return self._mirror.followed.ended

    @property
    def reference(self) -> ReferenceInfo | None:
        """What strain is measured against, as of the last status."""
        return self._mirror.reference

    @property
    def events(self) -> list[Event]:
        """The last events, oldest first."""
        return list(self._mirror.events)

    @property
    def faults(self) -> dict[str, int]:
        """What could not be understood or kept here, by kind."""
        return dict(self._mirror.faults)

    @property
    def epoch(self) -> str:
        """The daemon's present start."""
        return self._mirror.epoch

    @property
    def final(self) -> bool:
        """True once the scan is over and every value of it is here."""
        return self._mirror.followed.final

    def leave(self) -> None:
        """Go on from the present scan to the next one, even where the first is stayed with."""
        self._mirror.leave()

    @property
    def forgotten(self) -> bool:
        """True once the daemon has the scan no longer in memory: what is not here will not come."""
        return self._mirror.forgotten

    @property
    def silent_seconds(self) -> float:
        """Time since the last heartbeat [s]."""
        return time.monotonic() - self._heard_at

    @property
    def stale(self) -> bool:
        """True where no heartbeat has come for longer than `STALE_SECONDS`."""
        return self.silent_seconds > STALE_SECONDS

    def poll(self, seconds: float = 0.1) -> list[Update]:
        """
        Take everything that comes within a time.

        Parameters
        ----------
        seconds
            How long to listen [s].

        Raises
        ------
        NewerProtocol
            If the daemon speaks a newer protocol.
        """
        end = time.monotonic() + seconds
        news: list[Update] = []
        while True:
            news += self._turn(max(0.0, end - time.monotonic()))
            if time.monotonic() >= end:
                return news

    def updates(self, timeout: float | None = None) -> Iterator[Update]:
        """
        Updates one by one, as they come.

        Parameters
        ----------
        timeout
            End when nothing has changed for so long; never if not given [s].
        """
        quiet_since = time.monotonic()
        while timeout is None or time.monotonic() - quiet_since < timeout:
            news = self._turn(0.1 if timeout is None else min(0.1, timeout))
            if news:
                yield from news
                quiet_since = time.monotonic()

    def wait_until_final(self, timeout: float | None = None) -> bool:
        """
        Follow until the scan is over and every value of it is here; tells whether that came in time.

        It cannot come any more where the daemon has forgotten the scan.

        Parameters
        ----------
        timeout
            How long to wait at most; for ever if not given [s].
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self.final:
            if self.forgotten:
                return False
            left = 0.1 if end is None else end - time.monotonic()
            if left <= 0:
                return False
            self._turn(min(0.1, left))
        return True

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
            raise Unavailable(f"{self.control_endpoint} answers a status request with {reply.type}")

    def _turn(self, seconds: float) -> list[Update]:
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
