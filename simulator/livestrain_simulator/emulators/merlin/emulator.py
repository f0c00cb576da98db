"""A Merlin that is not there."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from threading import Thread
from types import TracebackType

import numpy as np

from livestrain_simulator.emulators.faults import Action, FaultPlan, Plans, SecondCopy, is_whole, no_plans
from livestrain_simulator.emulators.merlin.actions import Damage
from livestrain_simulator.emulators.merlin.answering import answering
from livestrain_simulator.emulators.merlin.headers import acquisition_header, frame_header, framed
from livestrain_simulator.emulators.merlin.pixels import PixelKind
from livestrain_simulator.emulators.merlin.settings import SOFT_TRIGGER
from livestrain_simulator.emulators.merlin.sources import Frame, FrameSource
from livestrain_simulator.emulators.merlin.state import State
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.emulators.serving import Audience, Listener
from livestrain_simulator.emulators.streaming import SourceFailed
from livestrain_simulator.pacing import Pacer

LOOPBACK = "127.0.0.1"


class MerlinEmulator:
    """
    Answers on a control connection and sends frames on a data connection.

    Parameters
    ----------
    frames
        What it sees.
    kind
        How it sends that.
    plans
        What it does wrong in which acquisition, counted from 0.
    frames_per_second
        Its rate; None is as fast as frames are taken.
    burst
        So many frames leave at once, and then a pause keeps the rate.
    stall_seconds
        How long a stall lasts [s].
    short_replies
        Announce one byte too few in replies.
    second_copy
        Changes the pixels of the second copy of a frame.
    host, control_port, data_port
        Where it listens; port 0 takes any that is free.
    """

    def __init__(
        self,
        frames: FrameSource,
        kind: PixelKind,
        *,
        plans: Plans = no_plans,
        frames_per_second: float | None = None,
        burst: int = 1,
        stall_seconds: float = 0.3,
        short_replies: bool = False,
        second_copy: SecondCopy | None = None,
        host: str = LOOPBACK,
        control_port: int = 0,
        data_port: int = 0,
    ) -> None:
        self._frames = frames
        self._plans = plans
        self._pace = (frames_per_second, burst)
        self._stall_seconds = stall_seconds
        self._second_copy = second_copy
        self._next: Frame | None = frames(0)
        shape = (0, 0) if self._next is None else (int(self._next.shape[0]), int(self._next.shape[1]))
        self._state = State(kind, shape)
        self.audience = Audience()
        """Who is sent frames."""
        self.record: list[ScanRecord] = []
        """What has been sent of each acquisition."""
        self.acquisitions = 0
        """Acquisitions that have ended."""
        self._control = Listener(host, control_port, answering(self._state.answer, int(short_replies)))
        try:
            self._data = Listener(host, data_port, self.audience.serve)
        except OSError:
            self._control.close()
            raise
        self._thread = Thread(target=self._run, name="merlin emulator", daemon=True)
        self._thread.start()

    @property
    def control_port(self) -> int:
        """Where it answers."""
        return self._control.port

    @property
    def data_port(self) -> int:
        """Where it sends frames."""
        return self._data.port

    @property
    def done(self) -> list[tuple[int, Action]]:
        """What went wrong, with the number of the frame, in this order."""
        return [done for record in self.record for done in record.done]

    @property
    def unheard(self) -> list[int]:
        """Numbers of frames that were sent while nobody listened."""
        return [number for record in self.record for number in sorted(record.unheard)]

    @property
    def is_idle(self) -> bool:
        """No acquisition is in progress."""
        return not self._state.acquiring

    @property
    def listeners(self) -> int:
        """Data connections."""
        return len(self.audience)

    def ask(self, request: str) -> str:
        """The reply to a request, as on the control connection."""
        return self._state.answer(request)

    def send(self, message: bytes) -> int:
        """Send bytes of any kind on the data connections; on how many all of them have left."""
        return self.audience.send(message, self._is_closed)

    def dismiss(self) -> None:
        """Close the data connections."""
        self.audience.dismiss()

    def close(self) -> None:
        """End everything."""
        with self._state.changed:
            self._state.closed = True
            self._state.changed.notify_all()
        self._thread.join()
        self._control.close()
        self._data.close()

    def __enter__(self) -> "MerlinEmulator":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _run(self) -> None:
        while self._started():
            again = False
            # who gives the frames knows why there are no more
            with suppress(SourceFailed):
                again = self._acquire()
            with self._state.changed:
                self._state.acquiring = again and not self._is_over()
                self.acquisitions += 1
                self._state.changed.notify_all()

    def _started(self) -> bool:
        with self._state.changed:
            while not self._state.acquiring and not self._state.closed:
                self._state.changed.wait()
            return not self._state.closed

    def _acquire(self) -> bool:
        """Send an acquisition; true if the next one is to follow at once."""
        settings, kind = dict(self._state.settings), self._state.kind
        record = ScanRecord(len(self.record), int(settings["NUMFRAMESTOACQUIRE"]))
        self.record.append(record)
        plan = self._plans(record.scan, record.frames)
        header = self._begun(framed(acquisition_header(settings, kind, datetime.now(UTC))), plan, 0, record)
        damage, number = Damage(), -1
        pacer = Pacer(self._pace[0], sleep=self._pause, burst=self._pace[1])
        for number, frame in self._seen(record.frames):
            if not self._is_due(number, settings, pacer):
                return False
            actions = plan(number)
            record.do(number, actions)
            if not self._prepared(actions):
                return "rearm" in actions
            header = self._begun(header, plan, number, record)
            text = frame_header(
                number + 1, kind, kind.sent_shape(frame.shape), datetime.now(UTC), settings["ACQUISITIONTIME"]
            )
            again = None
            if self._second_copy and "duplicate" in actions:
                again = framed(text + kind.encoded(self._second_copy(frame)))
            self._send_all(damage.sent(number, framed(text + kind.encoded(frame)), actions, again), plan, record)
        self._send_all(damage.rest(), plan, record)
        # who stops one without end ends it as it must be ended
        is_stopped = self._is_over() if record.frames else self._is_closed()
        record.ended = not is_stopped or number + 1 == record.frames
        return False

    def _begun(self, header: bytes, plan: FaultPlan, number: int, record: ScanRecord) -> bytes:
        """Send the header if it is not to come after the frame of a number; what is still to be sent of it."""
        if not header or "late_header" in plan(number):
            return header
        record.started = bool(self.send(header))
        return b""

    def _send_all(self, messages: Iterator[tuple[int, bytes]], plan: FaultPlan, record: ScanRecord) -> None:
        for number, message in messages:
            if not self.send(message):
                record.left_unheard(number)
            elif is_whole(plan(number)):
                record.left(number)

    def _seen(self, count: int) -> Iterator[tuple[int, Frame]]:
        """Numbers and frames of an acquisition, until it is stopped; without end if ``count`` is 0."""
        number = 0
        while (number < count or not count) and not self._is_over():
            frame = self._frames(number) if self._next is None else self._next
            self._next = None
            if frame is None:
                return
            yield number, np.asarray(frame)
            number += 1

    def _prepared(self, actions: Sequence[Action]) -> bool:
        """Do what happens before a frame; whether it is to be sent."""
        if "stall" in actions:
            self._pause(self._stall_seconds)
        if "disconnect" in actions:
            self.dismiss()
        return not {"abort", "rearm"}.intersection(actions)

    def _pause(self, seconds: float) -> None:
        """Wait, unless the acquisition is stopped [s]."""
        with self._state.changed:
            self._state.changed.wait_for(self._is_over, seconds)

    def _is_due(self, number: int, settings: dict[str, float], pacer: Pacer) -> bool:
        """Wait for the trigger of a frame, if it needs one, and for its time; whether the acquisition goes on."""
        if settings["TRIGGERSTART"] == SOFT_TRIGGER and number % int(settings["NUMFRAMESPERTRIGGER"]) == 0:
            with self._state.changed:
                self._state.changed.wait_for(lambda: self._state.triggered > 0 or self._is_over())
                self._state.triggered -= 1
        pacer.wait_for(number)
        return not self._is_over()

    def _is_over(self) -> bool:
        return self._state.stopping or self._state.closed

    def _is_closed(self) -> bool:
        return self._state.closed
