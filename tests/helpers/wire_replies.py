"""What the daemon's side of the wire answers, for tests of clients."""

from typing import TYPE_CHECKING

from helpers.wire_messages import reference_of, snapshot_of
from helpers.wire_scan import WireScan, canned_reply, scans_page
from livestrain_wire.messages import (
    ArmRequest,
    Done,
    Message,
    ReferenceReply,
    ReferenceRequest,
    RefusalReason,
    Refused,
    RemoveRequest,
    Request,
    RetainRequest,
    ScansRequest,
    SnapshotRequest,
    StatusReply,
    StatusRequest,
    StopRequest,
)

if TYPE_CHECKING:
    from helpers.wire_daemon import WireDaemon

Answer = tuple[Message, bytes | None]


def reply_to(daemon: "WireDaemon", request: Request) -> Answer:
    """The reply to a request, and its payload if it has one."""
    if isinstance(request, StatusRequest):
        return _status(daemon, request), None
    if isinstance(request, ArmRequest):
        daemon.armed = request.armed
    if isinstance(request, ArmRequest | StopRequest | RetainRequest | RemoveRequest):
        return Done(id=request.id, epoch=daemon.epoch), None
    if isinstance(request, ScansRequest):
        return scans_page(request, daemon.history, daemon.epoch), None
    return _reply_about_scan(daemon, request)


def _reply_about_scan(daemon: "WireDaemon", request: Request) -> Answer:
    if daemon.scan is None:
        return Refused(id=request.id, epoch=daemon.epoch, reason="no_scan", text="no scan yet"), None
    if isinstance(request, SnapshotRequest):
        return _snapshot(daemon, request, daemon.scan)
    if isinstance(request, ReferenceRequest):
        return _reference(daemon, request, daemon.scan), None
    return canned_reply(request, daemon.scan, daemon.epoch)


def _status(daemon: "WireDaemon", request: StatusRequest) -> Message:
    scan = daemon.scan
    if request.scan_id is not None and (scan is None or scan.start.scan_id != request.scan_id):
        return Refused(id=request.id, epoch=daemon.epoch, reason="no_scan", text="not in memory")
    return StatusReply(
        id=request.id,
        epoch=daemon.epoch,
        version="0",
        armed=daemon.armed,
        spool="/spool",
        scan=None if scan is None else scan.started,
        progress=None if scan is None else scan.progress,
        plan=None if scan is None else scan.plan,
        ended=None if scan is None else scan.ended,
        reference=daemon.reference,
        topics=dict(daemon.sequences),
        last_refusal=daemon.last_refusal,
    )


def _snapshot(daemon: "WireDaemon", request: SnapshotRequest, scan: WireScan) -> Answer:
    refused: RefusalReason | None = daemon.refusals.pop(0) if daemon.refusals else None
    info = next((info for info in scan.infos if info.name == request.name), None)
    if request.scan_id != scan.start.scan_id or request.revision not in {None, scan.revision}:
        refused = "outdated"
    if refused is not None or info is None:
        return Refused(id=request.id, epoch=daemon.epoch, reason=refused or "no_such_map", text="not now"), None
    count = min(request.count, daemon.largest_chunk, scan.known.size - request.first)
    sequence = daemon.sequences.get(f"{request.scan_id}/map/{info.name}", 0)
    reply = snapshot_of(scan, info, (request.first, count), request.id).model_copy(
        update={"epoch": daemon.epoch, "sequence": sequence}
    )
    return reply, scan.payload(info, reply.runs)


def _reference(daemon: "WireDaemon", request: ReferenceRequest, scan: WireScan) -> ReferenceReply:
    previous = scan.reference_revision
    daemon.republish(1)
    daemon.reference = info = reference_of(scan, request, previous)
    return ReferenceReply(
        id=request.id, epoch=daemon.epoch, scan_id=scan.start.scan_id, reference=info, previous=previous
    )
