"""A scan as a detector sends it that is emulated: it listens, is armed, sends, and is asked what it did."""

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from livestrain_simulator.delivery import Acquisition, Delivery, EmulatedDetector, Report, Tell
from livestrain_simulator.emulators.faults import OF_A_FRAME, Action, FaultPlan, Plans
from livestrain_simulator.emulators.record import FORGOTTEN, ScanRecord
from livestrain_simulator.emulators.streaming import FrameStream, SourceFailed
from livestrain_simulator.errors import NobodyListens
from livestrain_simulator.send import Sent

POLL_SECONDS = 0.01


class Played(Protocol):
    """A detector that listens."""

    @property
    def place(self) -> str:
        """Where it listens, for people."""
        ...

    @property
    def table(self) -> str:
        """What a daemon's configuration must say to take its frames."""
        ...

    @property
    def records(self) -> list[ScanRecord]:
        """Its scans; the last one may not be over. All but the last one told are forgotten."""
        ...

    @property
    def clipped(self) -> int:
        """Pixels that held more than the detector can count, in all scans."""
        ...

    def is_heard(self) -> bool:
        """Somebody takes its frames."""
        ...

    def is_idle(self) -> bool:
        """No scan is in progress."""
        ...

    def begin(self) -> None:
        """Begin a scan, as if by a command."""
        ...

    def waiting_since(self) -> float | None:
        """Monotonic time since which nobody has taken what is being sent; None if that is going on [s]."""
        ...

    def close(self, linger_seconds: float) -> None:
        """
        End everything, when what has been sent is taken, or after some time [s].

        Raises
        ------
        NobodyListens
            If something has not been taken then, as far as the detector knows.
        """
        ...


def play(
    opened: Callable[[Acquisition, Delivery, FrameStream, Plans], Played],
    acquisition: Acquisition,
    delivery: Delivery,
    say: Callable[[str], None],
    tell: Tell,
) -> Report:
    """
    Let a detector take scans; the report of the last.

    Parameters
    ----------
    opened
        Makes the detector.
    acquisition
        What it sees.
    delivery
        How often, how fast, and with which faults.
    say
        Takes a line on where it listens, and on how to listen to it.
    tell
        Takes the report of each scan.

    Raises
    ------
    NobodyListens
        If nobody takes frames, or begins a scan, within the waiting time, or if that passes while nothing is taken.
    """
    source = FrameStream(acquisition.frames, acquisition.blocks)
    try:
        played = opened(acquisition, delivery, source, _plans(acquisition, delivery))
    except SourceFailed as error:
        raise source.failure or error from error
    try:
        say(played.place)
        say(f"{played.table}\n{_geometry(acquisition)}")
        report = _played(played, acquisition, delivery, source, tell)
    except BaseException:
        # who interrupts it does not want to wait for a receiver that may never come back
        played.close(0.0)
        raise
    played.close(delivery.wait_seconds)
    return report


def _geometry(acquisition: Acquisition) -> str:
    """What a daemon's configuration must say of the scan, which few detectors tell."""
    start = acquisition.start
    lines = ["[intake.scan]", f"shape = {list(start.scan_shape)}"]
    lines += [f'order = "{start.order}"'] if start.order != "raster" else []
    lines += [f"flyback_frames = {start.flyback_frames}"] if start.flyback_frames else []
    return "\n".join([*lines, ""])


def _played(played: Played, acquisition: Acquisition, delivery: Delivery, source: FrameStream, tell: Tell) -> Report:
    detector = delivery.detector or EmulatedDetector("dectris-v2")
    _wait(played.is_heard, delivery.wait_seconds, f"nobody took frames: {played.place}")
    report: Report | None = None
    for scan in range(delivery.scans_to_send):
        if len(played.records) == scan:
            if detector.arm == "self":
                played.begin()
            else:
                what = f"nobody began a scan: {played.place}"
                _wait(lambda known=scan: len(played.records) > known, delivery.wait_seconds, what)  # type: ignore[misc]
        began, clipped = time.monotonic(), played.clipped
        while not (_is_over(played, scan) or source.failure):
            _check_progress(played, delivery.wait_seconds)
            time.sleep(POLL_SECONDS)
        if source.failure is not None:
            raise source.failure
        record = played.records[scan]
        sent = _sent(detector, acquisition, record, time.monotonic() - began)
        report = Report(sent, played.clipped - clipped, record)
        if scan:
            played.records[scan - 1] = FORGOTTEN
        tell(report)
    assert report is not None  # noqa: S101 - there is one scan at least
    return report


def _is_over(played: Played, scan: int) -> bool:
    begun = len(played.records)
    return begun > scan + 1 or (begun == scan + 1 and played.is_idle())


def _check_progress(played: Played, seconds: float) -> None:
    since = played.waiting_since()
    if since is not None and time.monotonic() - since > seconds:
        raise NobodyListens(f"nobody took frames any more: {played.place}: nothing for {seconds:g} s")


def _wait(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NobodyListens(f"{what} within {seconds:g} s")
        time.sleep(POLL_SECONDS)


def _sent(detector: EmulatedDetector, acquisition: Acquisition, record: ScanRecord, seconds: float) -> Sent:
    start = acquisition.start
    frame_bytes = start.frame_shape[0] * start.frame_shape[1] * np.dtype(start.dtype).itemsize
    name = f"{detector.name}-{record.scan + 1}"
    count = record.sent
    return Sent(name, count, count, count * frame_bytes, seconds, not record.ended)


def _plans(acquisition: Acquisition, delivery: Delivery) -> Plans:
    def plan(scan: int, frames: int) -> FaultPlan:
        last = scan + 1 >= delivery.scans_to_send
        return _without_absent(acquisition, delivery.faults.plan(scan, frames, last), frames)

    return plan


def _without_absent(acquisition: Acquisition, plan: FaultPlan, frames: int) -> FaultPlan:
    """The plan, where frames that were never taken are not sent."""
    absent = acquisition.absent
    if absent is None:
        return plan

    def actions(number: int) -> tuple[Action, ...]:
        planned = tuple(plan(number))
        is_frame = number >= 0 and (not frames or number < frames)
        if not is_frame or not absent[number % acquisition.frames]:
            return planned
        # what is not there is neither lost nor damaged on purpose
        return (*(action for action in planned if action not in OF_A_FRAME), "absent")

    return actions
