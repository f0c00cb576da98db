"""A scan on its way: what is sent, where it goes, how, and what is reported of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.emulators.faults import Faults
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.send import Block, Sending, Sent
from livestrain_wire.messages import ScanStart

DetectorName = Literal["dectris-v1", "dectris-v2", "merlin", "asi", "asi-jsonimage", "asi-tpx3"]
"""asi sends images in PGM, asi-jsonimage the same with numbers, asi-tpx3 sparse frames."""


@dataclass(frozen=True)
class Acquisition:
    """A scan that can be taken again and again."""

    start: ScanStart
    """What it is."""
    frames: int
    """Frames in it, flyback included."""
    blocks: Callable[[], Iterator[Block]]
    """Its frames in the order of acquisition, in blocks of any length, from the first one on each time."""
    positions: NDArray[Any] | None = None
    """(frames,) the flat scan position of every frame, for the explicit order."""
    absent: NDArray[np.bool_] | None = None
    """(frames,) true for frames that are left out, as if they had been lost; their numbers are skipped."""


@dataclass(frozen=True)
class EmulatedDetector:
    """The detector that sends a scan in the protocol of its maker."""

    name: DetectorName
    host: str = "127.0.0.1"
    """Where it listens."""
    stream_port: int | None = None
    """Where frames can be had; None: the usual one."""
    control_port: int | None = None
    """Where it is commanded; None: the usual one, 8080 instead of 80."""
    arm: Literal["self", "wait"] = "self"
    """Begin as soon as somebody takes frames, or when somebody commands it."""

    @property
    def address(self) -> str:
        """Where a daemon on the same machine finds it."""
        return "127.0.0.1" if self.host in {"0.0.0.0", "*", ""} else self.host  # noqa: S104 - compared, not bound


@dataclass(frozen=True)
class Delivery:
    """Where and how to send it."""

    endpoint: str = "tcp://127.0.0.1:5550"
    """Of the daemon, in our own protocol."""
    wait_seconds: float = 30.0
    scan_id: str | None = None
    """None: made from the time."""
    sending: Sending = field(default_factory=Sending)
    faults: Faults = field(default_factory=Faults)
    stall_seconds: float = 0.5
    """How long a stall lasts [s]."""
    scans: int = 1
    """How often it is taken."""
    times: Path | None = None
    """Where to save the monotonic time at which each frame of the last scan was sent, as int64 [ns]."""
    detector: EmulatedDetector | None = None
    """None: our own protocol."""

    @property
    def scans_to_send(self) -> int:
        """An aborted scan has one behind it that begins at once."""
        return max(self.scans, 2 if self.faults.rearm is not None else 1)


@dataclass(frozen=True)
class Report:
    """What has been done."""

    sent: Sent
    clipped: int = 0
    """Pixels that held more than their type can."""
    record: ScanRecord | None = None
    """What was sent of it frame by frame, if faults were asked for."""

    @property
    def faults(self) -> dict[str, int]:
        """Frames by the fault that was made with them."""
        return self.record.counts() if self.record else {}

    @property
    def lost(self) -> int:
        """Frames that were announced and that no receiver can have."""
        return self.record.lost if self.record else 0

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
            "faults": self.faults,
        }


Tell = Callable[[Report], None]
"""Takes the report of each scan as soon as it is over."""


def no_news(news: object) -> None:
    """Nobody wants to know."""
    del news


def new_scan_id(prefix: str) -> str:
    """A name made from the time, to the millisecond."""
    return f"{prefix}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"[:-3]


def numbered(scan_id: str, scan: int) -> str:
    """The name of one of several scans, counted from 0."""
    return scan_id if scan == 0 else f"{scan_id}-{scan + 1}"
