"""What a daemon says of a scan of known values; who sends it sets epoch and sequence."""

from typing import Literal

from helpers.wire_scan import WireScan
from livestrain_wire.messages import (
    MapInfo,
    MapPatch,
    MapWhole,
    PlanChanged,
    Progress,
    ReferenceInfo,
    ReferenceRequest,
    Run,
    ScanEnded,
    SnapshotReply,
    StageCounts,
)

Reason = Literal["complete", "aborted", "superseded", "silence", "stopped"]


def plan_of(scan: WireScan) -> PlanChanged:
    """Its plan, which has a revision and nothing else."""
    return PlanChanged(
        epoch="",
        sequence=0,
        scan_id=scan.start.scan_id,
        revision=scan.revision,
        plan={"revision": scan.revision},
        maps=scan.infos,
    )


def progress_of(scan: WireScan) -> Progress:
    """Everything acknowledged is all that is stored."""
    known, positions = int(scan.known.sum()), scan.known.size
    return Progress(
        epoch="",
        sequence=0,
        scan_id=scan.start.scan_id,
        revision=scan.revision,
        positions=positions,
        stored=known,
        missing=0,
        stages={"diffraction": StageCounts(analysed=known, pending=positions - known)},
        frames_per_second=1000.0,
        analysed_per_second=900.0,
        lag_positions=0,
        lag_seconds=0.0,
        eta_seconds=1.5,
        faults={},
        final=scan.ended is not None or known == positions,
    )


def values_of(
    kind: type[MapPatch] | type[MapWhole], scan: WireScan, info: MapInfo, runs: tuple[Run, ...], **more: bool
) -> MapPatch | MapWhole:
    """The header of some values of a map."""
    return kind(
        epoch="",
        sequence=0,
        scan_id=scan.start.scan_id,
        name=info.name,
        revision=scan.revision,
        reference_revision=scan.reference_revision if info.derived else 0,
        runs=runs,
        dtype=info.dtype,
        **more,
    )


def ended_of(scan: WireScan, reason: Reason) -> ScanEnded:
    """Its end; what is not acknowledged is missing."""
    positions, known = scan.known.size, int(scan.known.sum())
    return ScanEnded(
        epoch="",
        sequence=0,
        scan_id=scan.start.scan_id,
        reason=reason,
        positions=positions,
        stored=known,
        missing=positions - known,
        stages={"diffraction": StageCounts(analysed=known, missing=positions - known)},
        faults={},
        seconds=2.0,
    )


def snapshot_of(scan: WireScan, info: MapInfo, chunk: Run, request_id: str) -> SnapshotReply:
    """The header of the acknowledged values of a chunk."""
    first, count = chunk
    return SnapshotReply(
        id=request_id,
        epoch="",
        scan_id=scan.start.scan_id,
        name=info.name,
        revision=scan.revision,
        reference_revision=scan.reference_revision if info.derived else 0,
        sequence=0,
        first=first,
        count=count,
        positions=scan.known.size,
        runs=scan.known_runs(first, count),
        dtype=info.dtype,
    )


def reference_of(scan: WireScan, request: ReferenceRequest, previous: int) -> ReferenceInfo:
    """The reference that was asked for."""
    return ReferenceInfo(
        revision=scan.reference_revision,
        kind="region" if request.region else "values" if request.values else "median",
        vectors=request.values or (0.0, 3.0, 3.0, 0.0),
        region=request.region,
        positions=16,
        source="command",
        undo_to=previous,
    )
