"""A detector of Amsterdam Scientific Instruments in tests: frames, bytes, and what is made of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.merlin import Heard, listening
from helpers.waiting import wait_until
from livestrain_daemon.intake.detectors.asi.frames import FrameReading
from livestrain_daemon.intake.detectors.asi.measurement import Measurement
from livestrain_daemon.intake.detectors.asi.scans import ScanReading
from livestrain_daemon.intake.detectors.asi.source import AsiDetector
from livestrain_daemon.intake.detectors.asi.source import AsiSettings as SourceSettings
from livestrain_daemon.intake.detectors.patience import Patience
from livestrain_simulator.emulators.asi import AsiEmulator, AsiSettings, Form, ServalServer
from livestrain_simulator.emulators.faults import FaultPlan, always, no_faults
from livestrain_simulator.emulators.merlin import from_array

LOCAL = "127.0.0.1"
IMPATIENT = Patience(silence_seconds=8, settle_seconds=0.15)
LARGEST = 1 << 24
FORMS: tuple[Form, ...] = ("pgm", "jsonimage", "tpx3")


def sparse(count: int, rows: int = 24, columns: int = 32, dtype: str = "uint16", seed: int = 1) -> NDArray[Any]:
    """Counts (count, rows, columns), most of them zero, no two frames the same; one frame is empty."""
    frames = np.random.default_rng(seed).poisson(0.2, (count, rows, columns)).astype(dtype)
    frames[:, 0, 0] = 1 + np.arange(count) % np.iinfo(dtype).max
    frames[count // 2] = 0
    return frames


def fed(
    reading: FrameReading | ScanReading, data: bytes, now: float = 0.0, at_once: int = 1 << 20, quiet: bool = False
) -> Heard:
    """What is made of bytes that come in pieces."""
    heard = Heard()
    for first in range(0, len(data), at_once):
        reading.inbox.put(data[first : first + at_once])
        heard.events.extend(reading.events(now, quiet=False))
    if quiet:
        heard.events.extend(reading.events(now, quiet=True))
    return heard


class Told:
    """Serval, saying what it was told to say."""

    def __init__(self, *measurements: Measurement) -> None:
        self._measurements = list(measurements) or [Measurement()]
        self.asked = 0

    def measurement(self) -> Measurement:
        """The next one, and the last one for ever."""
        self.asked += 1
        return self._measurements.pop(0) if len(self._measurements) > 1 else self._measurements[0]


@contextmanager
def emulated(frames: NDArray[Any], plan: FaultPlan = no_faults, **settings: Any) -> Iterator[ServalServer]:
    """An emulator of these frames in one row of a scan, over and over, with its Serval."""
    chosen: dict[str, Any] = {"scan_shape": (1, len(frames)), "stall_seconds": 0.01, **settings}
    emulator = AsiEmulator(from_array(frames), AsiSettings(**chosen), always(plan))
    with ServalServer(emulator) as serval:
        yield serval


def source_of(serval: ServalServer, rest: bool = True, **settings: Any) -> AsiDetector:
    """The intake's source for an emulator."""
    emulator = serval.emulator
    form: Any = "tpx3" if emulator.settings.form == "tpx3" else "frames"
    port = serval.port if rest and form == "frames" else None
    chosen: dict[str, Any] = {"data_port": emulator.data_port, "rest_port": port, "patience": IMPATIENT, **settings}
    return AsiDetector(SourceSettings(LOCAL, form, **chosen))


def measured(serval: ServalServer, measurements: int = 1, ends: int | None = None, **settings: Any) -> Heard:
    """What is heard of measurements, one after the other."""
    emulator = serval.emulator
    with listening(source_of(serval, **settings)) as heard:
        for number in range(1, measurements + 1):
            wait_until(lambda: emulator.listeners, what="a data connection")
            assert emulator.start()
            wait_until(lambda wanted=number: emulator.measurements == wanted, what="the end of a measurement")  # type: ignore[misc]
            wanted = number if ends is None else ends
            wait_until(lambda ended=wanted: len(heard.ends) >= ended or heard.failure, what="the end of a series")  # type: ignore[misc]
    assert heard.failure is None
    return heard
