"""Control and snapshots: DEALER to ROUTER, port 5552."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
from livestrain_wire.messages.given import GivenValues
from livestrain_wire.messages.maps import PlanChanged, Progress, ScanEnded, ScanStarted, VectorMapInfo


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


class BraggVectorMapRequest(Request):
    """
    The Bragg vector map of the positions analysed so far; replied by `BraggVectorMapReply`.

    It may have at most 4194304 pixels (2048 x 2048). A client gets one map at a time of a scan: another request while
    one is in work is refused.
    """

    type: Literal["bragg_vector_map"] = "bragg_vector_map"
    scan_id: ScanId | None = None
    sampling: Annotated[int, Field(strict=True, ge=1, le=16)] = 1
    """Pixels of the map per detector pixel, along each axis."""
    centred: bool = True
    """Subtract the centre of each position, so that the descan is out."""


class CalibrateRequest(Request):
    """
    Propose a calibration: centre, disk, lattice and descan as the frames show them; replied by `CalibrateReply`.

    A payload part may follow, of images of the frame's shape, float32, little-endian, one after the other: the vacuum
    probe if ``vacuum_probe`` is true, then the pattern with the ring if ``ring_image`` is true. A payload with neither
    said is a vacuum probe.
    """

    type: Literal["calibrate"] = "calibrate"
    scan_id: ScanId | None = None
    positions: tuple[Count, ...] | None = None
    """Flat positions to calibrate on; None: the usual ones."""
    apply: bool = False
    """Make a new plan of it at once; else `ApplyCalibrationRequest` can."""
    keep: bool = False
    """Leave what frames can tell as it is in the plan, and set only what is given."""
    given: GivenValues = GivenValues()
    """What is known otherwise."""
    vacuum_probe: bool = False
    ring_image: bool = False


class ApplyCalibrationRequest(Request):
    """Make a new plan of a proposed calibration, once; replied by `CalibrateReply` with the revision."""

    type: Literal["apply_calibration"] = "apply_calibration"
    scan_id: ScanId | None = None
    proposal: Annotated[str, Field(min_length=1, max_length=64)]
    """As `CalibrateReply` told; refused as outdated once another plan holds."""


class ReferenceRequest(Request):
    """
    Choose what strain is measured against, and along which axes it is given; replied by `ReferenceReply`.

    One of ``region``, ``values``, ``median`` and ``revert_to``, or ``axes``, or ``axes`` with one of the first three.
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
    """A reference revision to go back to; naming it makes the request safe to repeat. If it is the `undo_to` of the
    one that holds, the latest request is undone; else this is one that can be undone."""
    axes: Axes | None = None
    """Axes of the strain components; None: as they are, or those of the reference that is gone back to."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "ReferenceRequest":
        given = [self.region is not None, self.values is not None, self.median is True, self.revert_to is not None]
        if sum(given) != 1 and (any(given) or self.axes is None):
            raise ValueError("exactly one of region, values, median and revert_to is needed, or axes alone")
        if self.axes is not None and self.revert_to is not None:
            raise ValueError("revert_to brings its own axes")
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


REQUESTS = by_type(
    StatusRequest,
    SnapshotRequest,
    FrameRequest,
    PatternRequest,
    BraggVectorMapRequest,
    CalibrateRequest,
    ApplyCalibrationRequest,
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
    BraggVectorMapReply,
    CalibrateReply,
    ReferenceReply,
    PlanReply,
)
"""What the control port answers."""
