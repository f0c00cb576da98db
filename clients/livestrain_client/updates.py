"""What a subscriber is told, one type for each kind of news."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

from livestrain_client.state import MapState
from livestrain_wire.messages import Event, PlanChanged, Progress, Run, ScanEnded, ScanStarted, VectorMapInfo


@dataclass(frozen=True)
class MapChanged:
    """Values of a map are new, or void."""

    name: str
    runs: tuple[Run, ...]
    """(first flat position, count) of the positions that may differ from before."""
    map: MapState
    """The whole map, changed already."""


@dataclass(frozen=True)
class VectorMapChanged:
    """A new Bragg vector map."""

    pixels: NDArray[Any]
    """(rows, columns) summed intensity [counts]."""
    about: VectorMapInfo


@dataclass(frozen=True)
class ProgressChanged:
    """New counts and rates."""

    progress: Progress


@dataclass(frozen=True)
class EventSeen:
    """Something worth a line to a person."""

    event: Event


@dataclass(frozen=True)
class ScanBegan:
    """Another scan is followed from now on; its maps come with its plan."""

    scan: ScanStarted


@dataclass(frozen=True)
class PlanReplaced:
    """Results are made under a new plan revision; the maps before stay under ``live.earlier``."""

    plan: PlanChanged


@dataclass(frozen=True)
class ScanFinished:
    """The scan is final for the daemon; the last values may still be on their way here."""

    ended: ScanEnded


@dataclass(frozen=True)
class ScanForgotten:
    """The daemon no longer has the scan that is followed in memory; what is here stays, and nothing is added."""

    scan_id: str


@dataclass(frozen=True)
class Stale:
    """The daemon has been silent for longer than it should be."""

    seconds: float
    """Time since its last heartbeat [s]."""


@dataclass(frozen=True)
class Reconnected:
    """The daemon is heard again, or has been started again; what was missed is being fetched."""

    epoch: str
    restarted: bool
    """True where it is another start of the daemon."""


Update: TypeAlias = (
    MapChanged
    | VectorMapChanged
    | ProgressChanged
    | EventSeen
    | ScanBegan
    | PlanReplaced
    | ScanFinished
    | ScanForgotten
    | Stale
    | Reconnected
)
