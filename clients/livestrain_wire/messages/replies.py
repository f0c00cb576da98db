"""Replies of the control port: ROUTER to DEALER, port 5552."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from livestrain_wire.messages.base import (
    IDENTITY,
    Axes,
    Count,
    Matrix,
    Message,
    Name,
    RefusalReason,
    Run,
    ScanId,
    Shape2,
    by_type,
)
from livestrain_wire.messages.maps import PlanChanged, Progress, ScanEnded, ScanStarted, VectorMapInfo


class Reply(Message):
    """What every reply carries."""

    id: str
    epoch: str


class Refused(Reply):
    """The request cannot be met, and why, in one line."""

    type: Literal["refused"] = "refused"
    reason: RefusalReason
    text: str


class Done(Reply):
    """The request has been met and there is nothing more to say."""

    type: Literal["done"] = "done"


class WorkerStatus(BaseModel):
    """One worker process."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int
    state: Literal["starting", "idle", "busy", "spare"]


class DetectorStatus(BaseModel):
    """The detector that frames are taken from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    endpoint: str
    state: Literal["connecting", "waiting", "receiving"]
    """waiting: it is connected, and no series is in progress."""
    trouble: str = ""
    """What kept it from being reached or armed last, while nothing has come since."""
    lost_ns: Count | None = None
    """Since when the connection is gone (UTC) [ns]; None while there is one, or if there has been none."""


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
    source: Literal["automatic", "command"] = "automatic"
    """Whether it was asked for; what follows the data, or a new plan, is automatic."""
    undo_to: Count | None = None
    """The revision that held before the latest request that has not been undone; None: there is none."""
    axes: Axes = "detector"
    """Axes of the strain components: the detector's, the scan's, or along g1 of the reference."""
    to_axes: Matrix = IDENTITY
    """Row by row, what takes a direction on the detector to these axes: e = A e_detector A^T; theta changes its sign
    with the determinant."""
    distortion: Matrix = IDENTITY
    """Row by row, D of the detector: lattice vectors are D times the true ones, these vectors too; it is taken out
    before strain is computed."""


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
    stray_faults: dict[str, Count] = Field(default_factory=dict)
    """What came in and belongs to no scan, by kind, since the start of the daemon."""
    last_refusal: str = ""
    """The last scan that was refused, and why."""
    detector: DetectorStatus | None = None
    """None where frames come by livestrain's own protocol."""


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
    axes: Axes | Literal[""] = ""
    """Axes of the components, for maps that have some."""
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


class BraggVectorMapReply(Reply):
    """A Bragg vector map; the payload holds its pixels, float32, little-endian, row by row."""

    type: Literal["bragg_vector_map_reply"] = "bragg_vector_map_reply"
    scan_id: ScanId
    about: VectorMapInfo


class CalibrateReply(Reply):
    """What a calibration found; nothing is applied unless asked for."""

    type: Literal["calibrate_reply"] = "calibrate_reply"
    scan_id: ScanId
    calibration: dict[str, Any]
    """The plan's calibration, field by field."""
    proposal: str = ""
    """Names it, to apply it with `ApplyCalibrationRequest`."""
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


class ScanEntry(BaseModel):
    """One scan of the spool, as its journal tells; a scan in memory as it is now."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    scan_id: ScanId
    folder: str
    state: Literal["receiving", "analysing", "ended", "unfinished", "unreadable"]
    """unfinished: nothing is done for it, and its journal tells of no end. unreadable: its journal cannot be read."""
    began_ns: Count
    """[UTC ns]"""
    recording: bool = True
    """False where its frames went through a ring."""
    scan_shape: Shape2 | None = None
    frame_shape: Shape2 | None = None
    dtype: str = ""
    stored: Count = 0
    missing: Count = 0
    analysed: Count = 0
    failed: Count = 0
    dropped: Count = 0
    faults: dict[str, Count] = {}
    """Counts by kind, as in `progress`."""
    reason: str = ""
    """Why no more frames were taken; empty while they are."""
    seconds: float = 0.0
    """From its start to its last result; 0 until then [s]."""
    size_bytes: Count = 0
    """What its folder takes on the disk."""
    retained: bool = False
    """True where somebody wants it kept, whatever the limits of the spool are."""


class ScansReply(Reply):
    """Scans of the spool, the newest first."""

    type: Literal["scans_reply"] = "scans_reply"
    scans: tuple[ScanEntry, ...]
    total: Count
    """All scans of the spool."""
    size_bytes: Count
    """What all of them take on the disk."""
    more: bool = False
    """There are older ones than those told here."""


REPLIES = by_type(
    Refused,
    Done,
    StatusReply,
    SnapshotReply,
    FrameReply,
    PatternReply,
    BraggVectorMapReply,
    CalibrateReply,
    ReferenceReply,
    PlanReply,
    ScansReply,
)
"""What the control port answers."""
