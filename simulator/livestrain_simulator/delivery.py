"""A scan on its way: where it goes, how, and what is reported of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.faults import Fault, FaultySender, choose_faults
from livestrain_simulator.send import Sending, Sent, send_scan
from livestrain_simulator.sender import FrameSender
from livestrain_simulator.timing import TimedSender
from livestrain_wire.messages import ScanStart


@dataclass(frozen=True)
class Mistakes:
    """Faults to make on purpose."""

    rates: Mapping[Fault, float] = field(default_factory=dict)
    """Probability of each fault per frame."""
    seed: int = 0


@dataclass(frozen=True)
class Delivery:
    """Where and how to send it."""

    endpoint: str = "tcp://127.0.0.1:5550"
    wait_seconds: float = 30.0
    scan_id: str | None = None
    """None: made from the time."""
    sending: Sending = field(default_factory=Sending)
    mistakes: Mistakes = field(default_factory=Mistakes)
    times: Path | None = None
    """Where to save the monotonic time at which each frame was sent, as int64 [ns]."""


@dataclass(frozen=True)
class Report:
    """What has been done."""

    sent: Sent
    clipped: int = 0
    """Pixels that held more than their type can."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """Frames by the fault that was made with them."""
    lost: int = 0
    """Frames that no receiver can have."""

    def facts(self) -> dict[str, Any]:
        """The report in plain values."""
        sent = self.sent
        return {
            "scan_id": sent.scan_id,
            "frames": sent.frames,
            "messages": sent.messages,
            "bytes": sent.bytes,
            "seconds": round(sent.seconds, 6),
            "frames_per_second": round(sent.frames_per_second, 3),
            "aborted": sent.aborted,
            "clipped": self.clipped,
            "lost": self.lost,
            "faults": dict(self.faults),
        }


def deliver(
    start: ScanStart,
    blocks: Iterator[NDArray[Any]],
    frames: int,
    delivery: Delivery,
    positions: NDArray[Any] | None = None,
    absent: NDArray[np.bool_] | None = None,
) -> Report:
    """
    Send a scan as a delivery asks for.

    Parameters
    ----------
    start
        What the scan is.
    blocks
        Its frames, as `send_scan` takes them.
    frames
        How many there are.
    delivery
        Where and how to send them.
    positions, absent : (frames,)
        As `send_scan` takes them.

    Raises
    ------
    NobodyListens
        If frames are not accepted within the waiting time.
    """
    message_bytes = (
        delivery.sending.frames_per_message
        * start.frame_shape[0]
        * start.frame_shape[1]
        * np.dtype(start.dtype).itemsize
    )
    with FrameSender(delivery.endpoint, message_bytes, delivery.wait_seconds, delivery.wait_seconds) as sender:
        rates = delivery.mistakes.rates
        faulty = None
        if any(rates.values()):
            faults = choose_faults(rates, frames, delivery.mistakes.seed)
            faulty = FaultySender(sender, faults, delivery.mistakes.seed)
        timed = TimedSender(faulty or sender, frames)
        sent = send_scan(timed, start, blocks, delivery.sending, positions, absent)
    if delivery.times is not None:
        with delivery.times.open("wb") as file:
            np.save(file, timed.sent_ns)
    if faulty is None:
        return Report(sent)
    return Report(sent, faults=faulty.record.counts(), lost=len(faulty.record.lost()))


def new_scan_id(prefix: str) -> str:
    """A name made from the time, to the millisecond."""
    return f"{prefix}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"[:-3]
