"""A detector of Amsterdam Scientific Instruments that is not there."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Condition, Thread
from types import MappingProxyType, TracebackType
from typing import Self

from livestrain_simulator.emulators.asi.calling import Caller
from livestrain_simulator.emulators.asi.forms import Form, Frame, Kind
from livestrain_simulator.emulators.asi.places import Places
from livestrain_simulator.emulators.asi.script import FrameSource, Script, Step
from livestrain_simulator.emulators.asi.tpx3 import acquisition_end, acquisition_start, scan_end, scan_start
from livestrain_simulator.emulators.faults import Action, Plans, SecondCopy, no_plans
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.emulators.serving import Audience, Listener
from livestrain_simulator.emulators.streaming import SourceFailed
from livestrain_simulator.pacing import Pacer

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class AsiSettings:
    """How the emulator behaves."""

    form: Form = "pgm"
    scan_shape: tuple[int, int] = (16, 16)
    """Scan positions (rows, columns); only the TPX3 tells it, the others tell its product."""
    scans: int = 1
    """Scans in an acquisition of the TPX3."""
    chunk_frames: int = 16
    """Frames in a chunk of the TPX3."""
    metadata: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """What the TPX3 tells with the start of each scan; there are receivers that expect nothing."""
    frames_per_second: float | None = None
    """None: as fast as frames are taken."""
    burst: int = 1
    """So many frames leave at once, and then a pause keeps the rate."""
    stall_seconds: float = 0.3
    """How long a stall lasts [s]."""
    second_copy: SecondCopy | None = None
    """Changes the pixels of the second copy of a frame."""
    keeps_places: bool = True
    """Remember which frame belongs where."""
    hang_up: bool = False
    """Close the data connections at the end of each measurement."""
    host: str = LOOPBACK
    data_port: int = 0
    """Where it listens; 0 for any that is free."""
    connect_to: tuple[str, int] | None = None
    """Who listens instead, and is connected to."""

    @property
    def frames(self) -> int:
        """In a scan."""
        return self.scan_shape[0] * self.scan_shape[1]


class AsiEmulator:
    """
    Sends frames on data connections when a measurement is started.

    Parameters
    ----------
    frames
        What it sees.
    settings
        How it behaves.
    plans
        What it does wrong in which scan, counted from 0.
    """

    def __init__(self, frames: FrameSource, settings: AsiSettings, plans: Plans = no_plans) -> None:
        first = frames(0)
        if first is None:
            raise ValueError("expected frames, found none")
        self.settings = settings
        self.record: list[ScanRecord] = []
        """What has been sent of each scan."""
        self.places: list[dict[int, int]] = []
        """The number of the frame that a receiver must have at a place of a scan, scan by scan, if those are kept."""
        self.measurements = 0
        """Measurements that have ended."""
        self.started_ms = 0
        """When the last measurement began [ms]."""
        self.n_triggers = settings.frames
        """Frames that the next measurement of images has."""
        self.clipped = 0
        """Pixels that held more than the detector can count."""
        self._frames = frames
        self._first: Frame | None = first
        self._kind = Kind.of(settings.form, first)
        self._plans = plans
        self._changed = Condition()
        self._acquiring = self._stopping = self._closed = False
        self.audience = Audience()
        """Who is sent frames."""
        self._door: Listener | Caller
        if settings.connect_to is None:
            self._door = Listener(settings.host, settings.data_port, self.audience.serve)
        else:
            self._door = Caller(settings.connect_to, self.audience.serve)
        self._thread = Thread(target=self._run, name="asi emulator", daemon=True)
        self._thread.start()

    @property
    def data_port(self) -> int:
        """Where it sends frames, or whom to."""
        return self._door.port

    @property
    def listeners(self) -> int:
        """Data connections."""
        return len(self.audience)

    @property
    def recording(self) -> bool:
        """A measurement is in progress."""
        return self._acquiring

    @property
    def done(self) -> list[tuple[int, Action]]:
        """What went wrong, with the number of the frame, in this order."""
        return [done for record in self.record for done in record.done]

    @property
    def unheard(self) -> list[int]:
        """Numbers of frames that were sent while nobody listened."""
        return [number for record in self.record for number in sorted(record.unheard)]

    def start(self) -> bool:
        """Begin a measurement; false if one is in progress."""
        with self._changed:
            if self._acquiring:
                return False
            self._name_measurement()
            self._acquiring, self._stopping = True, False
            self._changed.notify_all()
        return True

    def stop(self) -> None:
        """End the measurement in progress."""
        with self._changed:
            self._stopping = self._acquiring
            self._changed.notify_all()

    def send(self, message: bytes) -> int:
        """Send bytes of any kind on the data connections; on how many all of them have left."""
        return self.audience.send(message, lambda: self._closed)

    def dismiss(self) -> None:
        """Close the data connections."""
        self.audience.dismiss()

    def close(self) -> None:
        """End everything."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        self._door.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _run(self) -> None:
        again = False
        while again or self._started():
            if again:
                self._name_measurement()
            again = False
            # who gives the frames knows why there are no more
            with suppress(SourceFailed):
                again = self._measure() and not self._is_over()
            if self.settings.hang_up and not again:
                self.dismiss()
            with self._changed:
                self._acquiring = again
                self.measurements += 1
                self._changed.notify_all()

    def _name_measurement(self) -> None:
        """A measurement begins; no other has its name."""
        self.started_ms = max(time.time_ns() // 1_000_000, self.started_ms + 1)

    def _started(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._acquiring or self._closed)
            return not self._closed

    def _measure(self) -> bool:
        """Send a measurement; true if the next one is to follow at once."""
        if self.settings.form != "tpx3":
            return self._scan(self.n_triggers, b"", b"") == "rearm"
        sequence = self.measurements + 1
        self.send(acquisition_start(sequence, self.settings.scan_shape, self._kind.shape))
        for scan in range(self.settings.scans):
            start = scan_start(scan, self.settings.metadata)
            ended = self._scan(self.settings.frames, start, scan_end(scan))
            if ended == "rearm":
                return True
            if ended == "abort" or self._is_over():
                break
        self.send(acquisition_end(sequence))
        return False

    def _scan(self, frames: int, start: bytes, end: bytes) -> Action | None:
        """Send a scan; what cut it short."""
        # images have no start that could be lost
        record = ScanRecord(len(self.record), frames, started=not start)
        places = Places(self.settings.form, record, self.settings.keeps_places)
        self.record.append(record)
        if self.settings.keeps_places:
            self.places.append(places.frames)
        plan = self._plans(record.scan, frames)
        how = self.settings
        script = Script(self._kind, self._seen, plan, str(self.started_ms), how.chunk_frames, how.second_copy)
        pacer = Pacer(self.settings.frames_per_second, sleep=self._pause, burst=self.settings.burst)
        cut: Action | None = None
        for step in script.steps(frames):
            pacer.wait_for(step.number)
            if self._is_over():
                break
            record.do(step.number, step.actions)
            cut = self._before(step, places)
            if cut or self._is_over():
                break
            if start and "late_header" not in step.actions:
                record.started, start = bool(self.send(start)), b""
            self._send_pieces(step, record, places)
        else:
            self.send(start + end)
            record.ended = True
        self.clipped += script.clipped
        return cut

    def _seen(self, number: int) -> Frame | None:
        """The frame of a number; the very first one has been looked at, and may not come twice."""
        first, self._first = self._first, None
        return self._frames(number) if first is None else first

    def _before(self, step: Step, places: Places) -> Action | None:
        """Do what happens before a frame; what ends the scan."""
        if "stall" in step.actions:
            self._pause(self.settings.stall_seconds)
        if "disconnect" in step.actions:
            self.dismiss()
            places.cut()
        return next((action for action in step.actions if action in ("abort", "rearm")), None)

    def _send_pieces(self, step: Step, record: ScanRecord, places: Places) -> None:
        for piece in step.pieces:
            if self.send(piece.data):
                places.left(piece)
            else:
                for number in piece.numbers:
                    record.left_unheard(number)

    def _pause(self, seconds: float) -> None:
        """Wait, unless the measurement is stopped [s]."""
        with self._changed:
            self._changed.wait_for(self._is_over, seconds)

    def _is_over(self) -> bool:
        return self._stopping or self._closed
