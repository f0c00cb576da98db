"""What runs beside the stream: commands to the detector, and questions after what it could not send."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, Thread
from types import MappingProxyType
from typing import TypeAlias

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.counts import dectris_counts
from livestrain_daemon.intake.detectors.dectris.rest import Rest, RestError, Value
from livestrain_daemon.intake.detectors.dectris.told import Mask
from livestrain_daemon.intake.detectors.events import Trouble
from livestrain_daemon.intake.detectors.permission import Permission

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
    frames: int | None = None
    """Images of a series, where the configuration does not say nimages and ntrigger; None: as the detector has it."""


class Control:
    """
    A thread that arms the detector, if it shall, and asks how many images it dropped.

    Parameters
    ----------
    rest
        The detector's REST interface.
    arming
        How to begin series; None to wait until somebody else does.
    form
        The stream that is listened to, as the interface calls it: `legacy` or `cbor`.
    tell
        Takes what goes wrong, from this thread.
    permission
        Whether it may arm; None: always.
    """

    def __init__(
        self, rest: Rest, arming: Arming | None, form: str, tell: Tell, permission: Permission | None = None
    ) -> None:
        self._rest = rest
        self._arming = arming
        self._stream = {"mode": "enabled", "format": form}
        self._tell = tell
        self._permission = permission or Permission()
        self._begun = 0
        """Times of permission that a series has been begun for."""
        self._stop = Event()
        self._news = Event()
        self._finished: int | None = None
        self._dropped: int | None = None
        self.mask: Mask | None = None
        """Pixels that the detector marks, (rows, columns); None if it is not known."""
        self._reachable = True
        self._pause = FIRST_PAUSE_SECONDS
        self._thread = Thread(target=self._run, name="dectris-control", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End, within some time [s]; a detector that was armed here is disarmed."""
        self._stop.set()
        self._news.set()
        self._thread.join(seconds)

    def begun(self) -> None:
        """A series has begun; the detector counts what it drops from 0 in each."""
        self._dropped = 0

    def finished(self, number: int) -> None:
        """All images of a series have come, or its end."""
        if number != self._finished:
            self._finished = number
            self._news.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._rest.state()
                self._check_stream()
                self.mask = self._rest.pixel_mask()
                self._work()
            except RestError as error:
                if error.final:
                    self._tell(Unavailable(str(error)))
                    return
                self._tell(Trouble("connection", str(error)))
                self._stop.wait(self._pause)
                self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def _check_stream(self) -> None:
        """Say so if the stream that is listened to is switched off; who arms may switch it on."""
        for key, expected in self._stream.items():
            try:
                found = self._rest.get("stream", f"config/{key}")
            except RestError as error:
                if error.final:
                    # older interfaces have one stream only
                    continue
                raise
            if found == expected:
                continue
            if self._arming:
                self._rest.configure("stream", {key: expected})
            else:
                text = f"{self._rest.url}: expected the stream's {key} {expected}, found {found}: no frames will come"
                self._tell(Trouble("connection", text))

    def _work(self) -> None:
        """Return when there is nothing more to do: at the end."""
        while not self._stop.is_set():
            if self._arming is not None and self._wanted(self._arming):
                times = self._permission.times
                self._arm(self._arming)
                self._begun = times
            else:
                self._ask_dropped()
                self._stop.wait(POLL_SECONDS)

    def _wanted(self, arming: Arming) -> bool:
        permission = self._permission
        return permission.armed and (arming.repeat or permission.times > self._begun)

    def _arm(self, arming: Arming) -> None:
        state = self._rest.state()
        if state != "idle":
            # whoever uses it now would not thank us for another configuration
            raise RestError(f"{self._rest.url}: expected the state idle before it is armed, found {state}")
        self._rest.configure("stream", arming.stream)
        self._rest.configure("detector", arming.detector)
        if arming.frames is not None:
            mode = self._rest.get("detector", "config/trigger_mode")
            self._rest.configure("detector", dectris_counts(arming.frames, mode, arming.detector))
        self._finished = None
        number = self._rest.arm()
        self._pause = FIRST_PAUSE_SECONDS
        try:
            self._acquire(number)
        finally:
            self._leave()

    def _acquire(self, number: int) -> None:
        """Return when the series is over."""
        if self._rest.get("detector", "config/trigger_mode") in SELF_TRIGGERED:
            triggers = self._rest.get("detector", "config/ntrigger")
            # each reply comes after the last image of its trigger, and we may have to abort before
            Thread(target=self._trigger, args=(number, triggers), name="dectris-trigger", daemon=True).start()
        idle = 0
        while not self._stop.is_set() and self._finished != number and idle < IDLE_POLLS:
            self._news.clear()
            # what came between the two lines is seen here
            if self._finished == number or self._stop.is_set() or self._news.wait(POLL_SECONDS):
                continue
            self._ask_dropped()
            idle = idle + 1 if self._rest.state() == "idle" else 0

    def _trigger(self, number: int, triggers: Value) -> None:
        try:
            for _ in range(int(triggers)):
                if self._stop.is_set() or self._finished == number:
                    return
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
        # what was dropped before we came is none of our loss
        before = dropped if self._dropped is None else self._dropped
        if dropped > before:
            text = f"expected every image from the detector, found that it dropped {dropped} of the series"
            self._tell(Trouble("lost", text, dropped - before))
        self._dropped = dropped
