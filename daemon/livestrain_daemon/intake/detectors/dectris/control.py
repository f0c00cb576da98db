"""What runs beside the stream: commands to the detector, and questions after what it could not send."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, Thread
from types import MappingProxyType
from typing import TypeAlias

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.dectris.rest import Rest, RestError, Value
from livestrain_daemon.intake.detectors.events import Trouble

POLL_SECONDS = 1.0
"""Between questions [s]."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
IDLE_POLLS = 3
"""A detector that says so often that it is idle has ended its series, whether its end came or not."""
SELF_TRIGGERED = ("ints", "inte")

Tell: TypeAlias = Callable[[Trouble | Unavailable], None]


@dataclass(frozen=True, slots=True)
class Arming:
    """The daemon itself begins series."""

    detector: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))
    """Configuration of the detector, set in this order before each series."""
    stream: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))
    """Configuration of its stream, likewise."""
    repeat: bool = False
    """Begin the next series when one has ended."""


class Control:
    """
    A thread that arms the detector, if it shall, and asks how many images it dropped.

    Parameters
    ----------
    rest
        The detector's REST interface.
    arming
        How to begin series; None to wait until somebody else does.
    tell
        Takes what goes wrong, from this thread.
    """

    def __init__(self, rest: Rest, arming: Arming | None, tell: Tell) -> None:
        self.series_done = Event()
        """To be set when all images of a series have come, or its end."""
        self._rest = rest
        self._arming = arming
        self._tell = tell
        self._stop = Event()
        self._dropped = 0
        self._reachable = True
        self._thread = Thread(target=self._run, name="dectris-control", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End, within some time [s]; a detector that was armed here is disarmed."""
        self._stop.set()
        self.series_done.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stop.is_set():
            try:
                self._rest.state()
                self._work()
            except RestError as error:
                if error.final:
                    self._tell(Unavailable(str(error)))
                    return
                self._tell(Trouble("connection", str(error)))
                self._stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _work(self) -> None:
        """Return when there is nothing more to do: at the end."""
        if self._arming is not None:
            self._arm(self._arming)
        self._watch()

    def _watch(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self._ask_dropped()

    def _arm(self, arming: Arming) -> None:
        again = True
        while again and not self._stop.is_set():
            self._rest.configure("stream", arming.stream)
            self._rest.configure("detector", arming.detector)
            self.series_done.clear()
            self._rest.arm()
            self._dropped = 0
            try:
                self._acquire()
            finally:
                self._leave()
            again = arming.repeat

    def _acquire(self) -> None:
        """Return when the series is over."""
        if self._rest.get("detector", "config/trigger_mode") in SELF_TRIGGERED:
            # its reply comes after the last image, and we may have to abort before
            Thread(target=self._trigger, name="dectris-trigger", daemon=True).start()
        idle = 0
        while not self._stop.is_set() and not self.series_done.wait(POLL_SECONDS) and idle < IDLE_POLLS:
            self._ask_dropped()
            idle = idle + 1 if self._rest.state() == "idle" else 0

    def _trigger(self) -> None:
        try:
            self._rest.trigger()
        except RestError as error:
            if not self._stop.is_set():
                self._tell(Trouble("connection", str(error)))

    def _leave(self) -> None:
        """Never leave a detector armed."""
        try:
            if self._stop.is_set() and self._rest.state() != "idle":
                self._rest.abort()
            self._rest.disarm()
        except RestError as error:
            self._tell(Trouble("connection", str(error)))

    def _ask_dropped(self) -> None:
        try:
            dropped = self._rest.dropped()
        except RestError as error:
            if self._reachable:
                self._tell(Trouble("connection", str(error)))
            self._reachable = False
            return
        self._reachable = True
        if dropped > self._dropped:
            text = f"expected every image from the detector, found that it dropped {dropped} of the series"
            self._tell(Trouble("lost", text, dropped - self._dropped))
        # it counts each series from 0
        self._dropped = dropped
