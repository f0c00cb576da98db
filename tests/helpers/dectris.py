"""An emulated DECTRIS detector and what the intake's source takes from it."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.intake.detectors.dectris.control import Arming
from livestrain_daemon.intake.detectors.dectris.rest import Rest
from livestrain_daemon.intake.detectors.dectris.source import Dectris, DectrisSettings
from livestrain_daemon.intake.detectors.events import (
    Detector,
    DetectorEvent,
    SeriesEnd,
    SeriesFrames,
    SeriesStart,
    Trouble,
)
from livestrain_daemon.intake.payload import decode_payload
from livestrain_simulator.emulators.dectris.emulator import DectrisEmulator, EmulatorSettings
from livestrain_simulator.emulators.dectris.rest import RestServer
from livestrain_simulator.emulators.dectris.series import repeated
from livestrain_simulator.emulators.faults import FaultPlan, Plans, always, no_faults

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "dectris_stream2"
LARGEST = 64 << 20


@dataclass
class Taken:
    """What a source told."""

    starts: list[SeriesStart] = field(default_factory=list)
    frames: list[SeriesFrames] = field(default_factory=list)
    ends: list[SeriesEnd] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)

    def add(self, event: DetectorEvent | None) -> None:
        match event:
            case SeriesStart():
                self.starts.append(event)
            case SeriesFrames():
                self.frames.append(event)
            case SeriesEnd():
                self.ends.append(event)
            case Trouble():
                self.troubles.append(event)

    def numbers(self, series: str) -> list[int]:
        runs = [frame for frame in self.frames if frame.series == series]
        return [number for run in runs for number in range(run.first, run.first + run.count)]

    def pixels(self, series: str) -> NDArray[Any]:
        """(frames, rows, columns) in the order in which they came."""
        return np.concatenate([pixels(frame) for frame in self.frames if frame.series == series])

    def kinds(self) -> dict[str, int]:
        """Frames lost by kind of trouble, connections left out."""
        counts: dict[str, int] = {}
        for trouble in self.troubles:
            if trouble.kind != "connection":
                counts[trouble.kind] = counts.get(trouble.kind, 0) + trouble.frames
        return counts


def pixels(frame: SeriesFrames) -> NDArray[Any]:
    """(frames, rows, columns)."""
    payloads = frame.parts or (frame.payload,)
    shape = (frame.count // len(payloads), *frame.frame_shape)
    return np.concatenate([decode_payload(one, frame.encoding, shape, frame.dtype, LARGEST) for one in payloads])


def noise(frames: int, rows: int, columns: int, dtype: str = "uint16", seed: int = 1) -> NDArray[Any]:
    """Counts, the last pixel of each masked."""
    drawn = np.random.default_rng(seed).poisson(3.0, (frames, rows, columns)).astype(dtype)
    drawn[:, -1, -1] = np.iinfo(dtype).max
    return drawn


@contextmanager
def emulated(
    frames: NDArray[Any] | Mapping[str, NDArray[Any]],
    plan: FaultPlan = no_faults,
    plans: Plans | None = None,
    **settings: Any,
) -> Iterator[RestServer]:
    """An emulator of these frames, over and over."""
    channels = frames if isinstance(frames, Mapping) else {"threshold_1": frames}
    count = len(next(iter(channels.values())))
    config = {"nimages": count, **settings.pop("config", {})}
    chosen = EmulatorSettings(channels=tuple(channels), config=config, period=count, **settings)
    with RestServer(DectrisEmulator(repeated(channels), chosen, plans or always(plan))) as server:
        yield server


def rest_of(server: RestServer) -> Rest:
    return Rest("127.0.0.1", server.port)


def source_of(server: RestServer, channel: str = "", arming: Arming | None = None, rest: bool = True) -> Dectris:
    """The intake's source for an emulator, on the stream that is switched on."""
    form = server.emulator.form
    settings = DectrisSettings(
        "127.0.0.1",
        "v1" if form == "legacy" else "v2",
        server.emulator.outlet.port(form),
        server.port if rest else None,
        channel=channel,
        arming=arming,
    )
    return Dectris(settings)


def take(source: Detector, until: Callable[[Taken], bool], seconds: float = 20.0) -> Taken:
    """What a source tells until a condition is true."""
    taken, stop = Taken(), Event()
    deadline = time.monotonic() + seconds
    for event in source.events(stop):
        taken.add(event)
        if until(taken):
            stop.set()
        elif time.monotonic() > deadline:
            raise AssertionError(f"it did not come within {seconds} s: {taken.starts}, {taken.ends}, {taken.troubles}")
    return taken


def take_series(
    server: RestServer, count: int = 1, also: Callable[[Taken], bool] = lambda _: True, **choices: Any
) -> Taken:
    """Arm an emulator as often as wanted, one series after the other, and take all that comes, until `also` holds."""
    rest = rest_of(server)
    rest.arm()

    def over(taken: Taken) -> bool:
        if len(taken.ends) == count:
            return also(taken)
        if len(taken.ends) == server.emulator.armed_count and server.emulator.state == "idle":
            rest.arm()
        return False

    return take(source_of(server, **choices), over)
