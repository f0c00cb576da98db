"""Starting acquisitions by the control connection, beside the frames that come in."""

from collections.abc import Callable
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
IDLE_STATUS = "0"
"""What a detector that does not acquire says of itself."""


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
    silence_seconds
        An acquisition that no frame comes of for so long may be over [s]: the detector is asked.
    """

    def __init__(
        self, host: str, arming: Arming, permission: Permission | None = None, silence_seconds: float = 10.0
    ) -> None:
        self._host = host
        self._arming = arming
        self._permission = permission or Permission()
        self._begun = 0
        """Times of permission that an acquisition has been wanted for."""
        self._wanted = False
        self._running = False
        """An acquisition has been started here, and has not ended."""
        self._untriggered = False
        """It lacks its trigger."""
        self._pauses = Pauses()
        self._not_before = 0.0
        self._thread: Thread | None = None
        self._found: Exception | None = None
        self._silence_seconds = silence_seconds
        self._quiet_since = 0.0
        self._over = False
        """The detector has said that it acquires no more."""

    def ended(self) -> None:
        """An acquisition is over."""
        self._running = self._untriggered = False
        self._wanted = self._wanted or self._arming.repeat

    def step(self, now: float, idle: bool = False) -> Trouble | None:
        """
        Do what there is to do, without waiting.

        Parameters
        ----------
        now
            Monotonic [s].
        idle
            No acquisition is in progress, as far as its frames tell, and nothing of one has come.

        Raises
        ------
        Unavailable
            If the detector does not know a setting or refuses its value.
        """
        if self._thread and not self._thread.is_alive():
            self._thread = None
            return self._finished(now)
        if self._over:
            self._over, self._quiet_since = False, now
            # what had come before the detector's answer has been read since
            return self._missed() if idle else None
        if self._permission.times > self._begun:
            self._begun, self._wanted = self._permission.times, True
        if self._wanted and self._permission.armed and self._thread is None and now >= self._not_before:
            self._wanted = False
            self._begin(self._start)
        elif not (idle and self._running and self._arming.repeat) or self._thread:
            self._quiet_since = now
        elif now - self._quiet_since > self._silence_seconds:
            self._begin(self._ask)
        return None

    def _begin(self, work: Callable[[], None]) -> None:
        self._thread = Thread(target=work, name="merlin control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait for what has been begun, and stop what was started here: nobody would take its frames."""
        if self._thread:
            self._thread.join(2 * TIMEOUT_SECONDS)
            self._running = self._running or self._thread.is_alive()
        if self._running:
            with (
                suppress(OSError, ControlRefused, WrongMessage),
                Control(self._host, self._arming.port, TIMEOUT_SECONDS) as control,
            ):
                control.command("STOPACQUISITION")

    def _missed(self) -> Trouble:
        self.ended()
        where = f"{self._host}:{self._arming.port}"
        text = f"expected frames of the acquisition that was started at {where}, found that it is over"
        return Trouble("lost", text, series="")

    def _finished(self, now: float) -> Trouble | None:
        where = f"{self._host}:{self._arming.port}"
        error, self._found = self._found, None
        if error is None:
            self._pauses.reset()
            return None
        if isinstance(error, ControlRefused) and error.code != BUSY:
            raise Unavailable(f"Merlin at {where}: {error}")
        pause = self._pauses.next()
        self._wanted, self._not_before = True, now + pause
        text = f"expected to start an acquisition at {where}, found: {error}; trying again in {pause:g} s"
        return Trouble("connection", text)

    def _start(self) -> None:
        try:
            with Control(self._host, self._arming.port, TIMEOUT_SECONDS) as control:
                if not self._untriggered:
                    for name, value in self._arming.settings:
                        control.set(name, value)
                    control.command("STARTACQUISITION")
                    self._running, self._untriggered = True, self._arming.soft_trigger
                if self._untriggered:
                    control.command("SOFTTRIGGER")
                    self._untriggered = False
        except (OSError, ControlRefused, WrongMessage) as error:
            self._found = error

    def _ask(self) -> None:
        """Whether an acquisition without frames is over, or waits for its trigger."""
        self._over = is_idle(self._host, self._arming.port)


def is_idle(host: str, port: int) -> bool:
    """Whether a detector says that it does not acquire; no answer is no."""
    with suppress(OSError, ControlRefused, WrongMessage), Control(host, port, TIMEOUT_SECONDS) as control:
        return control.get("DETECTORSTATUS") == IDLE_STATUS
    return False
