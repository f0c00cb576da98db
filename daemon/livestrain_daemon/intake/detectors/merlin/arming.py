"""Starting acquisitions by the control connection, beside the frames that come in."""

from contextlib import suppress
from dataclasses import dataclass
from threading import Thread

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.events import Trouble
from livestrain_daemon.intake.detectors.merlin.control import BUSY, CONTROL_PORT, Control
from livestrain_daemon.intake.detectors.merlin.errors import ControlRefused
from livestrain_daemon.intake.detectors.pauses import Pauses
from livestrain_daemon.intake.detectors.permission import Permission
from livestrain_recordings.merlin.errors import WrongMessage

TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Arming:
    """How acquisitions are started."""

    port: int = CONTROL_PORT
    settings: tuple[tuple[str, str | float], ...] = ()
    """Set before each start, in this order."""
    repeat: bool = False
    """Start the next acquisition when one has ended."""
    soft_trigger: bool = False
    """Trigger it, too."""


class Starter:
    """
    Starts acquisitions when they are wanted; a detector that is busy or away is asked again with growing pauses.

    Parameters
    ----------
    host
        Of the detector.
    arming
        What to do.
    permission
        Whether it may be done; None: always.
    """

    def __init__(self, host: str, arming: Arming, permission: Permission | None = None) -> None:
        self._host = host
        self._arming = arming
        self._permission = permission or Permission()
        self._begun = 0
        """Times of permission that an acquisition has been wanted for."""
        self._wanted = False
        self._running = False
        """An acquisition has been started here, and has not ended."""
        self._pauses = Pauses()
        self._not_before = 0.0
        self._thread: Thread | None = None
        self._found: Exception | None = None

    def ended(self) -> None:
        """An acquisition is over."""
        self._running = False
        self._wanted = self._wanted or self._arming.repeat

    def step(self, now: float) -> Trouble | None:
        """
        Do what there is to do, without waiting.

        Raises
        ------
        Unavailable
            If the detector does not know a setting or refuses its value.
        """
        if self._thread and not self._thread.is_alive():
            self._thread = None
            return self._finished(now)
        if self._permission.times > self._begun:
            self._begun, self._wanted = self._permission.times, True
        if self._wanted and self._permission.armed and self._thread is None and now >= self._not_before:
            self._wanted = False
            self._thread = Thread(target=self._start, name="merlin control", daemon=True)
            self._thread.start()
        return None

    def close(self) -> None:
        """Wait for what has been begun, and stop what was started here: nobody would take its frames."""
        if self._thread:
            self._thread.join(2 * TIMEOUT_SECONDS)
            self._running = self._running or self._found is None
        if self._running:
            with (
                suppress(OSError, ControlRefused, WrongMessage),
                Control(self._host, self._arming.port, TIMEOUT_SECONDS) as control,
            ):
                control.command("STOPACQUISITION")

    def _finished(self, now: float) -> Trouble | None:
        error, self._found = self._found, None
        if error is None:
            self._pauses.reset()
            self._running = True
            return None
        if isinstance(error, ControlRefused) and error.code != BUSY:
            raise Unavailable(f"Merlin at {self._host}:{self._arming.port}: {error}")
        pause = self._pauses.next()
        self._wanted, self._not_before = True, now + pause
        where = f"{self._host}:{self._arming.port}"
        text = f"expected to start an acquisition at {where}, found: {error}; trying again in {pause:g} s"
        return Trouble("connection", text)

    def _start(self) -> None:
        try:
            with Control(self._host, self._arming.port, TIMEOUT_SECONDS) as control:
                for name, value in self._arming.settings:
                    control.set(name, value)
                control.command("STARTACQUISITION")
                if self._arming.soft_trigger:
                    control.command("SOFTTRIGGER")
        except (OSError, ControlRefused, WrongMessage) as error:
            self._found = error
