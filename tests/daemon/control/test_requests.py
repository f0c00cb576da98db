"""Requests about the daemon, calibration and reference, on a real scan over a real socket."""

import numpy as np
import pytest

from daemon.control.window import Window
from daemon.desk import only
from daemon.small_scan import CAMERA, POSITIONS
from livestrain_client.cli.status import status_fields
from livestrain_daemon.messages import FaultSeen, IntakeCounts
from livestrain_daemon.scan.calibration import MOST_FRAMES
from livestrain_simulator.patterns import vacuum_probe
from livestrain_wire.messages import (
    ArmRequest,
    BraggVectorMapRequest,
    CalibrateReply,
    CalibrateRequest,
    Done,
    Event,
    FrameRequest,
    PatternRequest,
    PlanRequest,
    ReanalyseRequest,
    ReferenceReply,
    ReferenceRequest,
    Refused,
    Request,
    SnapshotRequest,
    StatusReply,
    StatusRequest,
    StopRequest,
)

REQUESTS_ABOUT_A_SCAN: list[Request] = [
    SnapshotRequest(id="1", scan_id="small", name="total"),
    FrameRequest(id="2", row=0, column=0),
    PatternRequest(id="3"),
    BraggVectorMapRequest(id="8"),
    CalibrateRequest(id="4"),
    ReferenceRequest(id="5", median=True),
    PlanRequest(id="6", changes={}, based_on=0),
    ReanalyseRequest(id="7", based_on=0),
]


@pytest.mark.parametrize("request_", REQUESTS_ABOUT_A_SCAN, ids=lambda request: request.type)
def test_without_a_scan_there_is_nothing_to_ask_about(window: Window, request_: Request) -> None:
    reason, text = window.refused(request_)
    assert reason == "no_scan"
    assert text in {"there has been no scan yet", "no scan small in memory"}


@pytest.mark.parametrize("request_", REQUESTS_ABOUT_A_SCAN, ids=lambda request: request.type)
def test_a_scan_without_a_frame_or_plan_refuses_in_words(window: Window, request_: Request) -> None:
    window.desk.open()
    reason, text = window.refused(request_)
    assert reason in {"no_such_map", "not_stored", "no_calibration", "bad_request"}
    assert text


def test_the_status_tells_everything(looked_at: Window) -> None:
    status = looked_at.get(StatusReply, StatusRequest(id="1"))
    assert status.scan is not None
    assert status.plan is not None
    assert status.progress is not None
    assert status.ended is not None
    assert status.reference is not None
    assert (status.armed, status.scan.start.scan_id, status.plan.revision) == (True, "small", 1)
    assert status.progress.stages["diffraction"].analysed == POSITIONS
    assert status.ended.stages == status.progress.stages
    assert status.topics["small/map/total"] > 0


def test_the_status_of_an_idle_daemon_is_empty(window: Window) -> None:
    status = window.get(StatusReply, StatusRequest(id="1"))
    assert (status.scan, status.plan, status.progress, status.reference, status.ended) == (None,) * 5


def test_arming_is_passed_on_and_told(window: Window) -> None:
    assert window.get(Done, ArmRequest(id="1", armed=False)).id == "1"
    assert window.armed == [False]
    assert not window.get(StatusReply, StatusRequest(id="2")).armed


def test_a_scan_that_came_while_nobody_was_armed_is_an_event_and_its_frames_are_counted(window: Window) -> None:
    text = "scan a is ignored, because the daemon is not armed"
    window.desk.scans.take(FaultSeen(scan_id="", kind="not_armed", text=text))
    window.desk.scans.take(IntakeCounts(scan_id="", stored=0, queued=0, faults={"not_armed": 12}))
    (event,) = only(window.desk.heard(), Event)
    assert (event.name, event.text, event.scan_id) == ("not_armed", text, "")
    status = window.get(StatusReply, StatusRequest(id="1"))
    assert status.stray_faults == {"not_armed": 12}
    assert status_fields(status)["no scan's"] == "not_armed 12"


def test_stopping_the_daemon_is_passed_on(window: Window) -> None:
    window.get(Done, StopRequest(id="1", what="daemon"))
    assert window.stopped == ["daemon"]


def test_a_scan_can_be_stopped_while_there_is_one(window: Window) -> None:
    refused, _ = window.ask(StopRequest(id="1", what="scan"))
    assert isinstance(refused, Refused)
    assert refused.reason == "no_scan"
    window.desk.open("another")
    window.get(Done, StopRequest(id="2", what="scan"))
    assert window.stopped == ["scan"]


def test_a_calibration_is_told_and_applied_on_request(analysed: Window) -> None:
    told = analysed.get(CalibrateReply, CalibrateRequest(id="1", positions=tuple(range(0, 320, 10))))
    assert told.revision is None
    assert told.calibration["source"] == "command"
    applied = analysed.get(CalibrateReply, CalibrateRequest(id="2", apply=True))
    assert applied.revision == 2
    assert len(applied.calibration["positions"]) == 64
    status = analysed.get(StatusReply, StatusRequest(id="3"))
    assert status.plan is not None
    assert status.plan.plan["calibration"] == applied.calibration


def test_a_vacuum_probe_may_come_with_a_calibration(looked_at: Window) -> None:
    probe = vacuum_probe(CAMERA).astype("<f4").tobytes()
    reply = looked_at.get(CalibrateReply, CalibrateRequest(id="1"), probe)
    assert reply.calibration["vacuum_probe"] is True


@pytest.mark.parametrize("payload", [b"x", bytes(64 * 64 * 4 - 1), bytes(64 * 64 * 4 + 4)])
def test_a_probe_of_another_size_is_refused(looked_at: Window, payload: bytes) -> None:
    reason, text = looked_at.refused(CalibrateRequest(id="1"), payload)
    assert (reason, "64 x 64 float32" in text) == ("bad_request", True)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf"), -1.0, 1e38])
def test_a_probe_without_a_disk_is_refused_or_finds_nothing(looked_at: Window, value: float) -> None:
    probe = np.full((64, 64), value, "<f4").tobytes()
    with np.errstate(all="ignore"):
        reply, _ = looked_at.ask(CalibrateRequest(id="1", apply=True), probe)
    assert isinstance(reply, Refused)
    assert reply.reason in {"no_calibration", "internal"}


def test_a_calibration_on_too_many_positions_is_refused(looked_at: Window) -> None:
    reason, text = looked_at.refused(CalibrateRequest(id="1", positions=tuple(range(MOST_FRAMES + 1))))
    assert (reason, str(MOST_FRAMES) in text) == ("bad_request", True)


def test_a_reference_names_the_one_before(analysed: Window) -> None:
    before = analysed.get(StatusReply, StatusRequest(id="1")).reference
    assert before is not None
    reply = analysed.get(ReferenceReply, ReferenceRequest(id="2", region=(0, 0, 3, 3)))
    assert (reply.previous, reply.reference.positions) == (before.revision, 9)
    back = analysed.get(ReferenceReply, ReferenceRequest(id="3", revert_to=reply.previous))
    assert back.reference.vectors == before.vectors
    assert analysed.refused(ReferenceRequest(id="4", revert_to=77))[0] == "bad_request"
