"""Frames from the data connection of a Merlin."""

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event

from livestrain_daemon.intake.detectors.connection import connected
from livestrain_daemon.intake.detectors.events import DetectorEvent, Trouble
from livestrain_daemon.intake.detectors.idling import Idling
from livestrain_daemon.intake.detectors.merlin.acquisition import Acquisitions
from livestrain_daemon.intake.detectors.merlin.arming import TIMEOUT_SECONDS, Arming, Starter, is_idle
from livestrain_daemon.intake.detectors.merlin.reading import MerlinReading
from livestrain_daemon.intake.detectors.patience import Patience
from livestrain_daemon.intake.detectors.permission import Permission
from livestrain_daemon.intake.detectors.streaming import Line, streamed
from livestrain_daemon.intake.interrupted import Interrupted

DATA_PORT = 6342


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Merlin sends its frames."""

    host: str
    port: int = DATA_PORT


class MerlinDetector:
    """
    A Merlin, as a `Detector`.

    Parameters
    ----------
    address
        Of the data connection.
    patience
        When an acquisition is over that does not say so.
    arming
        How acquisitions are started; None: by somebody else.
    permission
        Whether they may be; None: always.
    interrupted
        The scan that an earlier intake has left unfinished.
    control_port
        Where it is asked whether it acquires, while nothing comes; None: it is not.
    """

    def __init__(
        self,
        address: Address,
        patience: Patience | None = None,
        arming: Arming | None = None,
        permission: Permission | None = None,
        interrupted: Interrupted | None = None,
        control_port: int | None = None,
    ) -> None:
        self._address = address
        self._patience = patience or Patience()
        self._arming = arming
        self._permission = permission
        self._interrupted = interrupted
        self._control_port = control_port

    @property
    def endpoint(self) -> str:
        """Where it is, for people."""
        return f"tcp://{self._address.host}:{self._address.port}"

    def _before(self) -> int:
        """How far the acquisition was that may still go on."""
        before = self._interrupted
        return before.reached if before and before.lasts else 0

    def events(self, stop: Event) -> Iterator[DetectorEvent | None]:
        """
        What it tells, one thing after the other, until ``stop`` is set.

        Raises
        ------
        Unavailable
            If there is no such host, or it refuses a setting.
        """
        acquisitions = Acquisitions(self._patience, self._before)
        address, silence = self._address, self._patience.silence_seconds
        starter = Starter(address.host, self._arming, self._permission, silence) if self._arming else None
        idling = Idling(f"{address.host}:{self._control_port}", self._is_idle) if self._control_port else None
        reading = MerlinReading(acquisitions, starter.ended if starter else lambda: None)

        def aside(now: float) -> Iterator[Trouble]:
            trouble = starter.step(now, reading.idle and not reading.cut) if starter else None
            if idling and not trouble:
                trouble = idling.step(reading.idle, now)
            if trouble:
                yield trouble

        line = Line(self.endpoint, lambda stop: connected(address.host, address.port, stop), aside)
        try:
            yield from streamed(line, reading, stop)
        finally:
            if starter:
                starter.close()
            if idling:
                idling.close(2 * TIMEOUT_SECONDS)

    def _is_idle(self) -> bool:
        return is_idle(self._address.host, self._control_port or 0)
