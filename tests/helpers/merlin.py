"""A Merlin in tests: kinds of frames, and what a detector tells of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.waiting import wait_until
from livestrain_daemon.intake.detectors.events import (
    Detector,
    DetectorEvent,
    SeriesEnd,
    SeriesFrames,
    SeriesStart,
    Trouble,
)
from livestrain_daemon.intake.detectors.patience import Patience
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind

IMPATIENT = Patience(silence_seconds=0.7, settle_seconds=0.15, header_seconds=0.3)
PROCESSED = [("U01", 1), ("U08", 6), ("U16", 12), ("U32", 24), ("U64", 24)]
RAW = [("R64", 1), ("R64", 6), ("R64", 12), ("R64", 24)]
LAYOUTS = {"1x1": (64, 256), "2x2": (512, 512), "2x2G": (514, 514), "3x1": (64, 768)}
"""Frame shapes; with one row of chips a region of 64 rows."""
KINDS = [PixelKind(code, depth, layout) for layout in LAYOUTS for code, depth in [*PROCESSED, *RAW]]


def kind_name(kind: PixelKind) -> str:
    return f"{kind.layout}-{kind.code}-{kind.depth}"


def frames_of(kind: PixelKind, count: int = 3, seed: int = 1) -> NDArray[Any]:
    """Counts that use all bits; zero where no chip is."""
    shape = (count, *LAYOUTS[kind.layout])
    bits = 32 if kind.code == "U64" else kind.depth
    frames = np.random.default_rng(seed).integers(0, 1 << bits, shape, np.uint64)
    if kind.gap:
        frames[:, 256:258] = 0
        frames[:, :, 256:258] = 0
    return frames


@dataclass
class Heard:
    """What a detector has told."""

    events: list[DetectorEvent] = field(default_factory=list)
    idle: int = 0
    failure: Exception | None = None

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in list(self.events) if isinstance(event, kind)]

    @property
    def starts(self) -> list[SeriesStart]:
        return self.of(SeriesStart)

    @property
    def ends(self) -> list[SeriesEnd]:
        return self.of(SeriesEnd)

    @property
    def troubles(self) -> list[Trouble]:
        return self.of(Trouble)

    def frames(self, series: str | None = None) -> dict[int, NDArray[Any]]:
        """Frames by number, the first copy of each."""
        found: dict[int, NDArray[Any]] = {}
        for event in self.of(SeriesFrames):
            if series in {None, event.series}:
                assert event.encoding == "raw"
                block = np.frombuffer(event.payload, np.dtype(event.dtype).newbyteorder("<"))
                for number, frame in enumerate(block.reshape(event.count, *event.frame_shape), event.first):
                    found.setdefault(number, frame)
        return found


@contextmanager
def listening(detector: Detector) -> Iterator[Heard]:
    """Hear a detector in a thread."""
    heard, stop = Heard(), Event()

    def listen() -> None:
        try:
            for event in detector.events(stop):
                if event is None:
                    heard.idle += 1
                else:
                    heard.events.append(event)
        except Exception as error:
            heard.failure = error

    thread = Thread(target=listen)
    thread.start()
    try:
        yield heard
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def acquire(emulator: MerlinEmulator, **settings: float) -> None:
    """Start an acquisition as soon as somebody listens."""
    wait_until(lambda: emulator.listeners, what="a data connection")
    for name, value in settings.items():
        assert emulator.ask(f"SET,{name},{value}") == f"SET,{name},0"
    assert emulator.ask("CMD,STARTACQUISITION") == "CMD,STARTACQUISITION,0"
