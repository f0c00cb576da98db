"""Requests to the control port: DEALER to ROUTER, port 5552."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from livestrain_wire.messages.base import Axes, Count, Message, Name, ScanId, by_type
from livestrain_wire.messages.given import GivenValues


class Request(Message):
    """What every request carries; sending it twice is safe."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    """Chosen by the client, repeated in the reply."""


class StatusRequest(Request):
    """What is going on? Replied by `StatusReply`."""

    type: Literal["status"] = "status"
    scan_id: ScanId | None = None
    """The scan to tell of; None: the current or last one."""


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


class ScansRequest(Request):
    """The scans of the spool, the newest first; replied by `ScansReply`."""

    type: Literal["scans"] = "scans"
    count: Annotated[int, Field(ge=1, le=256)] = 64
    """So many at most."""
    before_ns: Count | None = None
    """Only those that began before this: the last one of a page asks for the next [UTC ns]."""
    before_id: ScanId | None = None
    """With ``before_ns``: and those that began just then and are listed after this one, by their ids."""

    def comes_after(self, began_ns: int, scan_id: str) -> bool:
        """Whether a scan is listed behind those that were had already: by beginning, then by id, both descending."""
        if self.before_ns is None:
            return True
        return began_ns < self.before_ns or (began_ns == self.before_ns and scan_id < (self.before_id or ""))


class RetainRequest(Request):
    """Keep a scan whatever the limits of the spool are, or (``retained`` false) no longer; replied by `Done`."""

    type: Literal["retain"] = "retain"
    scan_id: ScanId
    retained: bool = True


class RemoveRequest(Request):
    """Remove the folder of a scan that is over and not retained; replied by `Done` when it is out of the list."""

    type: Literal["remove"] = "remove"
    scan_id: ScanId


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
    ScansRequest,
    RetainRequest,
    RemoveRequest,
)
"""What the control port takes."""
