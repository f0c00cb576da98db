"""Scans in our own protocol, with what goes wrong on purpose."""

from dataclasses import replace

import numpy as np

from livestrain_simulator.delivery import Acquisition, Delivery, Report, Tell, numbered
from livestrain_simulator.emulators.faults import STALE_FRAMES
from livestrain_simulator.emulators.native_faults import FaultySender, Message
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.send import Sending, Sent, send_scan
from livestrain_simulator.sender import FrameSender
from livestrain_simulator.timing import TimedSender


def deliver_native(acquisition: Acquisition, delivery: Delivery, tell: Tell) -> Report:
    """
    Send scans to a daemon; the report of the last.

    Raises
    ------
    NobodyListens
        If frames are not accepted within the waiting time.
    """
    start, wait = acquisition.start, delivery.wait_seconds
    frame_bytes = start.frame_shape[0] * start.frame_shape[1] * np.dtype(start.dtype).itemsize
    report: Report | None = None
    stale: list[Message] = []
    with FrameSender(delivery.endpoint, delivery.sending.frames_per_message * frame_bytes, wait, wait) as sender:
        for scan in range(delivery.scans_to_send):
            report, stale = _deliver_scan(sender, acquisition, delivery, scan, stale)
            tell(report)
    assert report is not None  # noqa: S101 - there is one scan at least
    return report


def _deliver_scan(
    sender: FrameSender, acquisition: Acquisition, delivery: Delivery, scan: int, stale: list[Message]
) -> tuple[Report, list[Message]]:
    """Send one scan; its report, and what is left behind of it."""
    start = acquisition.start.model_copy(update={"scan_id": numbered(acquisition.start.scan_id, scan)})
    faulty: FaultySender | None = None
    if delivery.faults:
        last = scan + 1 == delivery.scans_to_send
        plan = delivery.faults.plan(scan, acquisition.frames, last)
        record = ScanRecord(scan, acquisition.frames)
        faulty = FaultySender(sender, plan, record, delivery.faults.seed, delivery.stall_seconds, stale)
    timed = TimedSender(faulty or sender, acquisition.frames)
    how = _how(delivery, last=scan + 1 == delivery.scans_to_send)
    sent = send_scan(timed, start, acquisition.blocks(), how, acquisition.positions, acquisition.absent)
    if delivery.times is not None:
        with delivery.times.open("wb") as file:
            np.save(file, timed.sent_ns)
    if faulty is None:
        return Report(sent), []
    return Report(_as_it_ended(sent, faulty, delivery.faults.abort_at), record=faulty.record), faulty.left_behind


def _how(delivery: Delivery, last: bool) -> Sending:
    """When the source of frames is to stop."""
    faults = delivery.faults
    if faults.rearm is not None and not last:
        return replace(delivery.sending, abort_at=faults.rearm + STALE_FRAMES)
    return replace(delivery.sending, abort_at=faults.abort_at)


def _as_it_ended(sent: Sent, faulty: FaultySender, abort_at: int | None) -> Sent:
    """What has really left."""
    record = faulty.record
    if sent.aborted and abort_at is not None:
        record.do(abort_at, ["abort"])
    frame_bytes = sent.bytes // sent.frames if sent.frames else 0
    size = record.sent * frame_bytes
    aborted = sent.aborted or faulty.is_rearmed
    return replace(sent, frames=record.sent, messages=faulty.messages, bytes=size, aborted=aborted)
