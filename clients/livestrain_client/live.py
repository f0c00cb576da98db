"""A scan as it is measured: numpy arrays that fill, and news of what has changed."""

import time
from collections.abc import Collection, Iterator
from types import TracebackType
from typing import Self

from livestrain_client.connection import CONTROL_ENDPOINT, MAPS_ENDPOINT
from livestrain_client.listening import Listening
from livestrain_client.mirror import Mirror
from livestrain_client.state import MapState
from livestrain_client.updates import Update, VectorMapChanged
from livestrain_wire.messages import Event, PlanChanged, Progress, ReferenceInfo, ScanEnded, ScanStarted


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
        self._mirror = Mirror(maps, follow, scan)
        self._listening = Listening(self._mirror, maps_endpoint, control_endpoint, deadline)

    def __enter__(self) -> Self:
        self._listening.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection; the maps stay."""
        self._listening.close()

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
        return self._listening.silent_seconds

    @property
    def stale(self) -> bool:
        """True where no heartbeat has come for longer than `listening.STALE_SECONDS`."""
        return self._listening.stale

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
            news += self._listening.turn(max(0.0, end - time.monotonic()))
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
            news = self._listening.turn(0.1 if timeout is None else min(0.1, timeout))
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
            self._listening.turn(min(0.1, left))
        return True
