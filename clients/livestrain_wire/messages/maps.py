"""Maps out: PUB, port 5551."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from livestrain_wire.messages.base import Axes, Count, Message, Name, Run, ScanId, Shape2, by_type
from livestrain_wire.messages.frames import ScanStart


class Published(Message):
    """What every published message carries beside its topic."""

    epoch: str
    """Changes with each start of the daemon: a subscriber that sees a new one asks for everything again."""
    sequence: Count
    """Counts the messages of this topic from 1; a gap means that some were lost."""


class MapInfo(BaseModel):
    """What a map holds, for those who draw it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name
    shape: tuple[int, ...] = ()
    """Shape per scan position; () for one value."""
    dtype: str
    """numpy's name of the value type."""
    unit: str = ""
    colours: Literal["sequential", "diverging", "categorical"] = "sequential"
    """What kind of colour map suits it."""
    limit: float | None = None
    """Usual largest magnitude, for a first colour range."""
    derived: bool = False
    """True where the map depends on the reference, too, and so can be republished whole."""
    description: str = ""
    """What it is, in words."""


class ScanStarted(Published):
    """A scan that the daemon has opened; topic ``scan-id/scan/start``."""

    type: Literal["scan_started"] = "scan_started"
    start: ScanStart
    folder: str
    """The scan folder, on the daemon's host."""
    started_ns: Count
    """UTC of the start [ns]."""
    recording: bool
    """False where the frames live in a ring and will be overwritten."""


class PlanChanged(Published):
    """The plan that results are made under from now on; topic ``scan-id/plan/current``."""

    type: Literal["plan"] = "plan"
    scan_id: ScanId
    revision: Count
    plan: dict[str, Any]
    maps: tuple[MapInfo, ...]
    """The maps that will come under this revision."""


class MapValues(Published):
    """What patches and whole maps have in common."""

    scan_id: ScanId
    name: Name
    revision: Count
    reference_revision: Count = 0
    """The reference that derived values were computed with; 0 for maps that need none."""
    axes: Axes | Literal[""] = ""
    """Axes of the components, for maps that have some."""
    runs: tuple[Run, ...]
    """(first flat position, count) of each run of positions."""
    dtype: str


class MapPatch(MapValues):
    """Acknowledged values of a map; topic ``scan-id/map/name``; the payload holds the values of all runs, in order."""

    type: Literal["map_patch"] = "map_patch"


class MapWhole(MapValues):
    """
    A part of a map that is published again from the beginning, after a change of the reference; same payload.

    The first part has ``first`` true: what a subscriber holds of the older reference revision is void.
    """

    type: Literal["map_whole"] = "map_whole"
    first: bool = True


class VectorMapInfo(BaseModel):
    """
    What a Bragg vector map holds: the bilinear histogram of the places of all disks, weighted by their intensities.

    Pixel i of the map along an axis lies at (i + 1/2) / ``sampling`` - 1/2 on the detector [px]. The sum over the map
    is ``intensity``, to rounding; what is not in it is counted apart.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    revision: Count
    """The plan revision whose vectors they are."""
    shape: Shape2
    """Pixels of the map (rows, columns)."""
    dtype: Literal["float32", "float64"]
    """Of the payload: float32 on the wire."""
    sampling: Annotated[int, Field(strict=True, ge=1, le=16)] = 1
    """Pixels of the map per detector pixel, along each axis."""
    centred_by: str = ""
    """The map of centres that were subtracted, so that the descan is out; empty: none."""
    origin: tuple[float, float]
    """Where the direct beam lies in a centred map: the centre of the plan (row, column) on the detector [px]."""
    positions: Count
    """Analysed positions that were looked at."""
    vectors: Count
    """Bragg vectors in the map."""
    intensity: float
    """Their summed intensity [counts]."""
    outside: Count = 0
    """Bragg vectors that lie off the detector after centring."""
    outside_intensity: float = 0.0
    without_centre: Count = 0
    """Bragg vectors at positions whose centre is not known."""
    without_centre_intensity: float = 0.0


class BraggVectorMap(Published):
    """
    The Bragg vector map so far; topic ``scan-id/image/bragg_vectors``; the payload holds its pixels, row by row.

    Published at 256, 512, 1024, ... analysed positions and after the last one, where the detector has at most 1048576
    pixels (1024 x 1024). At any time it can be asked for with a `BraggVectorMapRequest`.
    """

    type: Literal["vector_map"] = "vector_map"
    scan_id: ScanId
    about: VectorMapInfo


class StageCounts(BaseModel):
    """How far a stage is; the counts add up to the scan's positions."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    analysed: Count = 0
    failed: Count = 0
    dropped: Count = 0
    missing: Count = 0
    pending: Count = 0
    """Stored and not analysed yet, or not arrived yet."""


class Progress(Published):
    """Counts and rates; topic ``scan-id/progress/counts``."""

    type: Literal["progress"] = "progress"
    scan_id: ScanId
    revision: Count
    positions: Count
    stored: Count
    missing: Count
    stages: dict[str, StageCounts]
    frames_per_second: float
    """Positions stored per second, over the last seconds."""
    analysed_per_second: float
    lag_positions: Count
    """Stored positions that wait for their analysis."""
    lag_seconds: float
    """Time that the analysis needs to catch up at its present rate [s]."""
    eta_seconds: float | None = None
    """Time to the end of the scan at the present rate [s]."""
    faults: dict[str, Count]
    """Frames that were not stored, and why, by kind."""
    final: bool = False
    """True once nothing more will change."""


class Event(Published):
    """Something worth a line to a person; topic ``scan-id/event/name`` or ``_/event/name``."""

    type: Literal["event"] = "event"
    scan_id: str = ""
    name: Name
    level: Literal["info", "warning", "error"] = "info"
    text: str
    """One clear line."""
    utc_ns: Count
    """UTC [ns]."""


class ScanEnded(Published):
    """A scan is final: every position is analysed, failed, dropped or missing; topic ``scan-id/scan/end``."""

    type: Literal["scan_ended"] = "scan_ended"
    scan_id: ScanId
    reason: Literal["complete", "aborted", "superseded", "silence", "stopped"]
    """How the frames ended. Complete: every position has had one, or the sender says that it has sent all."""
    positions: Count
    stored: Count
    missing: Count
    stages: dict[str, StageCounts]
    faults: dict[str, Count]
    seconds: float
    """From the start of the scan to its last result [s]."""


class Heartbeat(Published):
    """
    The daemon lives; sent each second on topic ``_/heartbeat/daemon``.

    Lists the latest sequence of every topic, so that a lost last message is noticed, too.
    """

    type: Literal["heartbeat"] = "heartbeat"
    scan_id: str = ""
    """The scan in progress or last finished."""
    topics: dict[str, Count]
    utc_ns: Count
    """UTC [ns]."""


MAP_MESSAGES = by_type(
    ScanStarted, PlanChanged, MapPatch, MapWhole, BraggVectorMap, Progress, Event, ScanEnded, Heartbeat
)
"""What the publisher sends."""
