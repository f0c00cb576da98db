"""What each request does: looks are answered at once, changes go to the scan's planner and referencer."""

from collections.abc import Callable
from typing import Any

from livestrain_daemon.control import looks
from livestrain_daemon.control.calibrating import Calibrations
from livestrain_daemon.control.history import HistoryRequests
from livestrain_daemon.control.socket import Answer, Refuse
from livestrain_daemon.dispatch.pool import WorkerPool
from livestrain_daemon.housekeeping import Housekeeper
from livestrain_daemon.publish.snapshots import NoSuchMap, snapshot
from livestrain_daemon.scan.scans import ScanInHand, Scans
from livestrain_daemon.scan.surroundings import Surroundings
from livestrain_wire.messages import (
    ApplyCalibrationRequest,
    ArmRequest,
    BraggVectorMapRequest,
    CalibrateRequest,
    Done,
    FrameRequest,
    PatternRequest,
    PlanReply,
    PlanRequest,
    ReanalyseRequest,
    ReferenceInfo,
    ReferenceReply,
    ReferenceRequest,
    RefusalReason,
    Refused,
    RemoveRequest,
    Request,
    RetainRequest,
    ScanId,
    ScansRequest,
    SnapshotRequest,
    StatusRequest,
    StopRequest,
)


class Requests:
    """
    Answers clients.

    Parameters
    ----------
    scans, pool, surroundings
        What is asked about.
    arm
        Lets scans in, or not.
    stop
        Ends the scan or the daemon.
    housekeeper
        Lists, retains and removes scans.
    """

    def __init__(
        self,
        scans: Scans,
        pool: WorkerPool,
        surroundings: Surroundings,
        arm: Callable[[bool], None],
        stop: Callable[[str], None],
        housekeeper: Housekeeper,
    ) -> None:
        self._scans = scans
        self._pool = pool
        self._around = surroundings
        self._epoch = surroundings.publisher.epoch
        self._arm = arm
        self._stop = stop
        self._history = HistoryRequests(housekeeper, self._epoch)
        self._armed = True
        self._calibrations = Calibrations(surroundings)

    def handle(self, request: Request, payload: bytes, answer: Answer) -> None:
        """Does what a request asks, and answers now or when a worker has done its part."""

        def refuse(reason: RefusalReason, text: str) -> None:
            answer(Refused(id=request.id, epoch=self._epoch, reason=reason, text=text))

        match request:
            case StatusRequest() if request.scan_id is not None and self._scans.find(request.scan_id) is None:
                refuse("no_scan", f"no scan {request.scan_id} in memory")
            case StatusRequest():
                answer(looks.status(request, self._scans, self._pool, self._around, self._armed))
            case ArmRequest():
                self._armed = request.armed
                self._arm(request.armed)
                answer(Done(id=request.id, epoch=self._epoch))
            case StopRequest(what="scan") if self._no_scan_in_progress:
                refuse("no_scan", "no scan is in progress")
            case StopRequest():
                self._stop(request.what)
                answer(Done(id=request.id, epoch=self._epoch))
            case ScansRequest() | RetainRequest() | RemoveRequest():
                self._history.handle(request, answer, refuse)
            case _:
                scan_id: ScanId | None = getattr(request, "scan_id", None)
                hand = self._scans.find(scan_id)
                if hand is None:
                    refuse("no_scan", f"no scan {scan_id} in memory" if scan_id else "there has been no scan yet")
                else:
                    self._for_scan(hand, request, payload, answer, refuse)

    @property
    def _no_scan_in_progress(self) -> bool:
        hand = self._scans.newest
        return hand is None or hand.scan.stopped_coming

    def _for_scan(self, hand: ScanInHand, request: Request, payload: bytes, answer: Answer, refuse: Refuse) -> None:
        match request:
            case SnapshotRequest():
                self._snapshot(hand, request, answer, refuse)
            case FrameRequest():
                looks.frame(request, hand.scan, self._epoch, answer, refuse)
            case PatternRequest():
                looks.pattern(request, hand.scan, self._around, answer, refuse)
            case BraggVectorMapRequest():
                looks.bragg_vector_map(request, hand.scan, self._around, answer, refuse)
            case CalibrateRequest():
                self._calibrations.propose(hand, request, payload, answer, refuse)
            case ApplyCalibrationRequest():
                self._calibrations.apply(hand, request, answer, refuse)
            case ReferenceRequest():
                self._reference(hand, request, answer, refuse)
            case PlanRequest():
                self._change_plan(hand, request.id, request.based_on, request.changes, answer, refuse)
            case ReanalyseRequest():
                self._change_plan(hand, request.id, request.based_on, {}, answer, refuse)

    def _snapshot(self, hand: ScanInHand, request: SnapshotRequest, answer: Answer, refuse: Refuse) -> None:
        try:
            chunk = snapshot(request, hand.scan, self._around.publisher)
        except NoSuchMap as error:
            refuse("no_such_map", str(error))
        else:
            answer(chunk.reply, chunk.payload)

    def _reference(self, hand: ScanInHand, request: ReferenceRequest, answer: Answer, refuse: Refuse) -> None:
        before = hand.scan.references.current

        def adopted(info: ReferenceInfo) -> None:
            previous = before.revision if before else 0
            answer(
                ReferenceReply(
                    id=request.id, epoch=self._epoch, scan_id=hand.scan.id, reference=info, previous=previous
                )
            )

        hand.referencer.request(request, adopted, lambda text: refuse("bad_request", text))

    def _change_plan(
        self, hand: ScanInHand, request_id: str, based_on: int, changes: dict[str, Any], answer: Answer, refuse: Refuse
    ) -> None:
        current = hand.scan.revision.plan.revision if hand.scan.revision else 0
        if based_on != current:
            refuse("outdated", f"the plan's revision is {current}, the request was based on {based_on}")
            return
        hand.planner.change(
            changes,
            lambda: self._tell_plan(hand, request_id, answer),
            lambda text: refuse("bad_request", text),
            lambda text: refuse("outdated" if hand.scan.revision else "no_calibration", text),
        )

    def _tell_plan(self, hand: ScanInHand, request_id: str, answer: Answer) -> None:
        if hand.scan.revision is None:
            return
        plan = hand.scan.revision.plan
        answer(
            PlanReply(
                id=request_id,
                epoch=self._epoch,
                scan_id=hand.scan.id,
                revision=plan.revision,
                plan=plan.model_dump(mode="json"),
            )
        )
