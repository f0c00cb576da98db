"""
Every message that livestrain sends or takes, by the socket it travels on.

A message is one MessagePack map, followed by payload parts where its docstring says so. Unknown fields are ignored, so
that a newer sender of the same major version can be read.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PROTOCOL_VERSION = 1
"""Major version of the protocol; a change that an older reader would misread raises it."""

ScanId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")]
Side = Annotated[int, Field(strict=True, ge=1, le=1 << 16)]
Count = Annotated[int, Field(strict=True, ge=0, le=1 << 62)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Shape2 = tuple[Side, Side]
FrameDtype = Literal["uint8", "uint16", "uint32", "float32"]
Encoding = Literal["raw", "bslz4", "lz4"]
Order = Literal["raster", "serpentine", "explicit"]
Run = tuple[Count, Count]
RefusalReason = Literal[
    "bad_request", "no_scan", "no_such_map", "not_stored", "no_calibration", "outdated", "busy", "internal"
]


class Message(BaseModel):
    """What every message carries: the protocol version and its type."""

    model_config = ConfigDict(frozen=True, strict=False, extra="ignore", ser_json_inf_nan="constants")

    v: int = PROTOCOL_VERSION
    """Major protocol version of the sender."""
    type: str


# --- frames in: PUSH -> PULL, port 5550 -----------------------------------------------------------------------------


class ScanStart(Message):
    """
    A scan begins.

    With ``order`` explicit a payload part follows: the flat scan position of every frame, uint32, little-endian.
    """

    type: Literal["scan_start"] = "scan_start"
    scan_id: ScanId
    scan_shape: Shape2
    """Scan positions (rows, columns)."""
    frame_shape: Shape2
    """Pixels of a frame (rows, columns)."""
    dtype: FrameDtype
    order: Order = "raster"
    """How frame numbers run over the scan positions; serpentine turns every second row round."""
    flyback_frames: Annotated[int, Field(strict=True, ge=0, le=1 << 16)] = 0
    """Frames after each scan row that belong to no position."""
    step_nm: Positive | None = None
    """Distance of neighbouring scan positions [nm]."""
    energy_kev: Positive | None = None
    """Beam energy [keV]."""
    semiangle_mrad: Positive | None = None
    """Convergence semi-angle [mrad]."""
    pixel_size_mrad: Positive | None = None
    """Angle of one detector pixel [mrad]."""
    metadata: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Whatever else the sender knows; kept with the scan, never interpreted."""

    @model_validator(mode="after")
    def _flyback_needs_rows(self) -> "ScanStart":
        if self.order == "explicit" and self.flyback_frames:
            raise ValueError("flyback_frames has no meaning with explicit positions")
        return self


class Frames(Message):
    """
    One or more consecutive frames; one payload part holds them all, as one block of (count, rows, columns).

    ``raw``: little-endian pixels. ``lz4``: one raw LZ4 block. ``bslz4``: bitshuffle-LZ4 with the 12-byte big-endian
    header (uint64 uncompressed bytes, uint32 block bytes).
    """

    type: Literal["frames"] = "frames"
    scan_id: ScanId
    first_index: Count
    """Number of the first frame, counted from 0 in the order of acquisition, flyback frames included."""
    count: Annotated[int, Field(strict=True, ge=1, le=1 << 20)] = 1
    shape: Shape2
    """Pixels of a frame (rows, columns)."""
    dtype: FrameDtype
    encoding: Encoding = "raw"


class ScanEnd(Message):
    """No more frames of this scan will come."""

    type: Literal["scan_end"] = "scan_end"
    scan_id: ScanId
    reason: Literal["complete", "aborted"] = "complete"
    frames_sent: Count | None = None
    """Frames that the sender has sent, flyback included."""


# --- maps out: PUB, port 5551 ---------------------------------------------------------------------------------------


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


# --- control and snapshots: DEALER -> ROUTER, port 5552 -------------------------------------------------------------


class Request(Message):
    """What every request carries; sending it twice is safe."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    """Chosen by the client, repeated in the reply."""


class StatusRequest(Request):
    """What is going on? Replied by `StatusReply`."""

    type: Literal["status"] = "status"


class SnapshotRequest(Request):
    """A chunk of a map: values of the positions from ``first`` on, at most ``count``; replied by `SnapshotReply`."""

    type: Literal["snapshot"] = "snapshot"
    scan_id: ScanId
    name: Name
    revision: Count | None = None
    """None: the current one."""
    first: Count = 0
    count: Annotated[int, Field(ge=1, le=1 << 20)] = 1 << 14


class FrameRequest(Request):
    """One position's diffraction pattern and what was found in it; replied by `FrameReply`."""

    type: Literal["frame"] = "frame"
    scan_id: ScanId | None = None
    """None: the current or last scan."""
    row: Count
    column: Count


class PatternRequest(Request):
    """The summed or largest pattern of the scan so far, added in block order; replied by `PatternReply`."""

    type: Literal["pattern"] = "pattern"
    scan_id: ScanId | None = None
    kind: Literal["sum", "largest"] = "sum"


class CalibrateRequest(Request):
    """
    Find the centre, disk radius and lattice again; replied by `CalibrateReply`.

    A payload part may follow: the vacuum probe, float32, little-endian, of the frame's shape.
    """

    type: Literal["calibrate"] = "calibrate"
    scan_id: ScanId | None = None
    positions: tuple[Count, ...] | None = None
    """Flat positions to calibrate on; None: the usual ones."""
    apply: bool = False
    """Make a new plan of it; else only tell."""


class ReferenceRequest(Request):
    """
    Choose what strain is measured against; replied by `ReferenceReply`.

    Exactly one of ``region``, ``values``, ``median`` and ``revert_to``.
    """

    type: Literal["reference"] = "reference"
    scan_id: ScanId | None = None
    region: tuple[Count, Count, Count, Count] | None = None
    """First row, first column, row after the last, column after the last: the median of these positions."""
    values: tuple[float, float, float, float] | None = None
    """g1 row, g1 column, g2 row, g2 column [px]."""
    median: bool | None = None
    """True: the median over all good positions, kept up to date."""
    revert_to: Count | None = None
    """Undo: a reference revision to go back to; naming it makes the request safe to repeat."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "ReferenceRequest":
        given = [self.region is not None, self.values is not None, self.median is True, self.revert_to is not None]
        if sum(given) != 1:
            raise ValueError("exactly one of region, values, median and revert_to is needed")
        return self


class PlanRequest(Request):
    """Change fields of the plan: a new revision, filled in over the stored frames; replied by `PlanReply`."""

    type: Literal["set_plan"] = "set_plan"
    scan_id: ScanId | None = None
    changes: dict[str, Any]
    based_on: Count
    """The revision that was changed: a repeated or outdated request finds a newer one and does nothing."""


class ReanalyseRequest(Request):
    """Start a new revision with an unchanged plan; replied by `PlanReply`."""

    type: Literal["reanalyse"] = "reanalyse"
    scan_id: ScanId | None = None
    based_on: Count


class ArmRequest(Request):
    """Accept scans (``armed`` true) or ignore them until further notice; replied by `Done`."""

    type: Literal["arm"] = "arm"
    armed: bool = True


class StopRequest(Request):
    """End the daemon (``what`` daemon) after what is stored has been analysed, or just the scan; replied by `Done`."""

    type: Literal["stop"] = "stop"
    what: Literal["scan", "daemon"] = "scan"


class Reply(Message):
    """What every reply carries."""

    id: str
    epoch: str


class Refused(Reply):
    """The request cannot be met, and why, in one line."""

    type: Literal["refused"] = "refused"
    reason: Literal[
        "bad_request", "no_scan", "no_such_map", "not_stored", "no_calibration", "outdated", "busy", "internal"
    ]
    text: str


class Done(Reply):
    """The request has been met and there is nothing more to say."""

    type: Literal["done"] = "done"


class WorkerStatus(BaseModel):
    """One worker process."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int
    state: Literal["starting", "idle", "busy", "spare"]


class ReferenceInfo(BaseModel):
    """What strain is measured against."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    revision: Count
    kind: Literal["plan", "median", "region", "values"]
    vectors: tuple[float, float, float, float]
    """g1 row, g1 column, g2 row, g2 column [px]."""
    region: tuple[Count, Count, Count, Count] | None = None
    positions: Count = 0
    """Good positions that it is the median of."""


class StatusReply(Reply):
    """What is going on."""

    type: Literal["status_reply"] = "status_reply"
    version: str
    armed: bool
    spool: str
    scan: ScanStarted | None = None
    """The scan in progress or last finished."""
    progress: Progress | None = None
    plan: PlanChanged | None = None
    reference: ReferenceInfo | None = None
    ended: ScanEnded | None = None
    workers: tuple[WorkerStatus, ...] = ()
    topics: dict[str, Count] = Field(default_factory=dict)


class SnapshotReply(Reply):
    """
    The acknowledged values within the chunk asked for; the payload holds the values of all runs, in order.

    ``sequence`` is that of the map's topic when the chunk was read: later patches only add to it.
    """

    type: Literal["snapshot_reply"] = "snapshot_reply"
    scan_id: ScanId
    name: Name
    revision: Count
    reference_revision: Count = 0
    sequence: Count
    first: Count
    count: Count
    """The positions that this chunk covers, which may be fewer than asked for."""
    positions: Count
    """Positions of the whole map."""
    runs: tuple[Run, ...]
    dtype: str


class FrameReply(Reply):
    """One diffraction pattern; the payload holds its pixels, little-endian."""

    type: Literal["frame_reply"] = "frame_reply"
    scan_id: ScanId
    row: Count
    column: Count
    shape: Shape2
    dtype: str
    revision: Count = 0
    values: dict[str, list[float] | float | None] = Field(default_factory=dict)
    """The position's value of every map; None: not measured."""
    disks: tuple[tuple[float, float, float], ...] = ()
    """Row, column [px] and intensity [counts] of every disk found."""
    lattice: tuple[float, float, float, float, float, float] | None = None
    """Fitted centre row, column, g1 row, column, g2 row, column [px]."""


class PatternReply(Reply):
    """A pattern of the whole scan; the payload holds its pixels, little-endian."""

    type: Literal["pattern_reply"] = "pattern_reply"
    scan_id: ScanId
    kind: Literal["sum", "largest"]
    shape: Shape2
    dtype: str
    positions: Count
    """Positions that are in it: whole blocks only."""


class CalibrateReply(Reply):
    """What a calibration found; nothing is applied unless asked for."""

    type: Literal["calibrate_reply"] = "calibrate_reply"
    scan_id: ScanId
    calibration: dict[str, Any]
    """The plan's calibration, field by field."""
    revision: Count | None = None
    """The plan revision made of it, if it was applied."""


class ReferenceReply(Reply):
    """The reference that holds now, and the one before, to go back to."""

    type: Literal["reference_reply"] = "reference_reply"
    scan_id: ScanId
    reference: ReferenceInfo
    previous: Count
    """The reference revision that held before."""


class PlanReply(Reply):
    """The plan revision that holds now."""

    type: Literal["plan_reply"] = "plan_reply"
    scan_id: ScanId
    revision: Count
    plan: dict[str, Any]


def by_type(*kinds: type[Message]) -> dict[str, type[Message]]:
    """Message types by the name that their ``type`` field carries."""
    return {kind.model_fields["type"].default: kind for kind in kinds}


FRAME_MESSAGES = by_type(ScanStart, Frames, ScanEnd)
"""What may come in on the frames port."""
MAP_MESSAGES = by_type(ScanStarted, PlanChanged, MapPatch, MapWhole, Progress, Event, ScanEnded, Heartbeat)
"""What the publisher sends."""
REQUESTS = by_type(
    StatusRequest,
    SnapshotRequest,
    FrameRequest,
    PatternRequest,
    CalibrateRequest,
    ReferenceRequest,
    PlanRequest,
    ReanalyseRequest,
    ArmRequest,
    StopRequest,
)
"""What the control port takes."""
REPLIES = by_type(
    Refused,
    Done,
    StatusReply,
    SnapshotReply,
    FrameReply,
    PatternReply,
    CalibrateReply,
    ReferenceReply,
    PlanReply,
)
"""What the control port answers."""
