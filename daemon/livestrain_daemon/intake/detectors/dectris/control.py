"""What runs beside the stream: commands to the detector, and questions after what it could not send."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, Thread
from types import MappingProxyType

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.dectris.counts import dectris_counts
from livestrain_daemon.intake.detectors.dectris.rest import Rest, RestError
from livestrain_daemon.intake.detectors.dectris.told import Mask
from livestrain_daemon.intake.detectors.dectris.watch import Tell, Watch
from livestrain_daemon.intake.detectors.events import DetectorEvent, Trouble
from livestrain_daemon.intake.detectors.permission import Permission
from livestrain_daemon.intake.detectors.plain import Plain
from livestrain_daemon.intake.noting import note

POLL_SECONDS = 1.0
"""Between questions [s]."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
IDLE_POLLS = 3
"""A detector that says so often that it is idle has ended its series, whether its end came or not."""
STILL_POLLS = 3
"""So often may no image have come behind a trigger that failed."""
ARMING_SECONDS = 30.0
"""So long is waited in the end for a detector that is being armed [s]."""
SELF_TRIGGERED = ("ints", "inte")


@dataclass(frozen=True, slots=True)
class Arming:
    """The daemon itself begins series."""

    detector: Mapping[str, Plain] = field(default_factory=lambda: MappingProxyType({}))
    """Configuration of the detector, set in this order before each series."""
    stream: Mapping[str, Plain] = field(default_factory=lambda: MappingProxyType({}))
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
        self._watch = Watch(rest, tell)
        self._ours = Event()
        """The detector has been armed here and not been disarmed."""
        self.mask: Mask | None = None
        """Pixels that the detector marks, (rows, columns); None if it is not known."""
        self._pause = FIRST_PAUSE_SECONDS
        self._thread = Thread(target=self._told(self._run), name="dectris-control", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """
        End; a detector that was armed here is disarmed.

        Parameters
        ----------
        seconds
            For each request; a detector that is being armed has `ARMING_SECONDS` to come to an end [s].
        """
        self._stop.set()
        self._news.set()
        self._thread.join(seconds)
        if not (self._thread.is_alive() and self._ours.is_set()):
            return
        # the thread waits for an answer: tell the detector by another connection, and disarm it when it has answered
        self._tried(lambda: self._rest.abort(seconds))
        self._thread.join(ARMING_SECONDS)
        if self._thread.is_alive() and self._ours.is_set():
            self._tried(lambda: self._rest.disarm(seconds))

    def hear(self, event: DetectorEvent, number: int | None) -> None:
        """Something that came in the stream, while the series of a number is in progress."""
        self._watch.hear(event, number)

    def finished(self, number: int) -> None:
        """All images of a series have come, or its end."""
        if number != self._finished:
            self._finished = number
            self._news.set()

    def _told(self, work: Callable[[], None]) -> Callable[[], None]:
        """The same, and whatever ends it is raised by who listens to the stream: a detector is not left alone."""

        def guarded() -> None:
            try:
                work()
            except Exception as error:
                note(error, "while asking the detector at", self._rest.url)
                self._tell(error)

        return guarded

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
                self._arm(self._arming)
                continue
            if self._arming is None:
                self._watch.wait_for_others()
            else:
                self._watch.ask()
            self._stop.wait(POLL_SECONDS)

    def _wanted(self, arming: Arming) -> bool:
        permission = self._permission
        return permission.armed and (arming.repeat or permission.times > self._begun)

    def _arm(self, arming: Arming) -> None:
        """Take a series, from its beginning to its end."""
        if self._ours.is_set():
            # it was not to be reached when the series before was over
            self._leave(abort=True)
        state = self._rest.state()
        if state != "idle":
            # whoever uses it now would not thank us for another configuration
            raise RestError(f"{self._rest.url}: expected the state idle before it is armed, found {state}")
        triggers = self._configure(arming)
        self._finished = None
        times = self._permission.times
        series: _Series | None = None
        ended = False
        # an answer that never comes leaves it armed, too
        self._ours.set()
        try:
            series = _Series(self._rest.arm())
            self._watch.armed(series.number)
            self._acquire(series, triggers)
            ended = True
            self._pause = FIRST_PAUSE_SECONDS
        finally:
            if series:
                series.over = True
            self._leave(abort=not ended)
        self._begun = times

    def _configure(self, arming: Arming) -> int:
        """Set the detector up; the triggers that it needs from here."""
        rest = self._rest
        rest.configure("stream", arming.stream)
        rest.configure("detector", arming.detector)
        mode = rest.get("detector", "config/trigger_mode")
        if arming.frames is not None:
            rest.configure("detector", dectris_counts(arming.frames, mode, arming.detector))
        return rest.triggers() if mode in SELF_TRIGGERED else 0

    def _acquire(self, series: "_Series", triggers: int) -> None:
        """
        Return when the series is over.

        Raises
        ------
        RestError
            If it is not triggered.
        """
        if triggers:
            # each reply comes after the last image of its trigger, and we may have to abort before
            trigger = self._told(lambda: self._trigger(series, triggers))
            Thread(target=trigger, name="dectris-trigger", daemon=True).start()
        idle = still = 0
        while not self._is_over(series) and idle < IDLE_POLLS:
            self._news.clear()
            # what came between the two lines is seen here
            if self._is_over(series) or self._news.wait(POLL_SECONDS):
                continue
            frames, series.frames = series.frames, self._watch.frames
            # an answer may be lost while the images come
            still = still + 1 if series.failure and frames == series.frames else 0
            if series.failure and still >= STILL_POLLS:
                text = f"{self._rest.url}: expected images behind a trigger, found none and no answer; beginning again"
                raise RestError(text, series.failure.final)
            state = self._watch.ask()
            if state is not None:
                idle = idle + 1 if state == "idle" else 0
        if not self._stop.is_set():
            # the counter is gone when the next series begins
            self._watch.ask()

    def _is_over(self, series: "_Series") -> bool:
        return self._stop.is_set() or self._finished == series.number

    def _trigger(self, series: "_Series", triggers: int) -> None:
        try:
            for _ in range(triggers):
                if series.over or self._is_over(series):
                    return
                self._rest.trigger()
        except RestError as error:
            if not (series.over or self._is_over(series)):
                series.failure = error
                self._tell(Trouble("connection", str(error)))

    def _leave(self, abort: bool) -> None:
        """Never leave a detector armed; what fails is tried again before the next series."""
        if abort or self._stop.is_set():
            self._tried(self._rest.abort)
        if self._tried(self._rest.disarm):
            self._ours.clear()

    def _tried(self, command: Callable[[], None]) -> bool:
        try:
            command()
        except RestError as error:
            self._tell(Trouble("connection", str(error)))
            return False
        return True


@dataclass
class _Series:
    """A series that was begun here."""

    number: int
    frames: int = 0
    """Images heard of when it was looked at last."""
    failure: RestError | None = None
    """Of a trigger."""
    over: bool = False
