"""Every request on a real scan, over a real socket."""

from typing import Any

import numpy as np
import pytest

from daemon.control.window import Window
from daemon.small_scan import CAMERA, POSITIONS, SCAN, frames, known_plan, lay_out
from livestrain_daemon.plan import parse_plan
from livestrain_daemon.scan.calibration import MOST_FRAMES
from livestrain_simulator.patterns import vacuum_probe
from livestrain_wire.messages import (
    ArmRequest,
    BraggVectorMapReply,
    BraggVectorMapRequest,
    CalibrateReply,
    CalibrateRequest,
    Done,
    FrameReply,
    FrameRequest,
    PatternReply,
    PatternRequest,
    PlanReply,
    PlanRequest,
    ReanalyseRequest,
    ReferenceReply,
    ReferenceRequest,
    Refused,
    Reply,
    Request,
    SnapshotReply,
    SnapshotRequest,
    StatusReply,
    StatusRequest,
    StopRequest,
)

WHOLE_LATTICE: dict[str, Any] = {"g1": [10.0, 0.0], "g2": [0.0, 10.0]}


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


def test_a_frame_comes_with_what_was_found_in_it(looked_at: Window) -> None:
    reply, payload = looked_at.ask(FrameRequest(id="1", row=3, column=5))
    assert isinstance(reply, FrameReply)
    position = 3 * SCAN[1] + 5
    assert (reply.row, reply.column, reply.shape, reply.dtype, reply.revision) == (3, 5, CAMERA.shape, "uint16", 1)
    np.testing.assert_array_equal(np.frombuffer(payload, "<u2").reshape(CAMERA.shape), frames()[position])
    assert reply.values["total"] == frames()[position].sum()
    assert len(reply.disks) == 9
    assert reply.lattice is not None
    assert reply.values["g1"] == list(reply.lattice[2:4])


def test_a_frame_without_results_is_shown_alone(window: Window) -> None:
    window.desk.open()
    window.desk.store((0, 3))
    reply, payload = window.ask(FrameRequest(id="1", row=0, column=2))
    assert isinstance(reply, FrameReply)
    assert (reply.revision, reply.values, reply.disks, reply.lattice) == (0, {}, (), None)
    assert payload == frames()[2].tobytes()


@pytest.mark.parametrize(("row", "column"), [SCAN, (SCAN[0], 0), (0, SCAN[1]), (1 << 62, 1 << 62)])
def test_a_frame_outside_the_scan_is_refused(looked_at: Window, row: int, column: int) -> None:
    reason, text = looked_at.refused(FrameRequest(id="1", row=row, column=column))
    assert (reason, "within 18 x 20" in text) == ("bad_request", True)


def test_a_frame_that_is_not_there_is_refused(window: Window) -> None:
    window.desk.open()
    window.desk.store((0, 5))
    window.desk.recycle((0, 2))
    assert window.refused(FrameRequest(id="1", row=0, column=0))[1] == "the frame at (0, 0) is recycled"
    assert window.refused(FrameRequest(id="2", row=1, column=0)) == ("not_stored", "the frame at (1, 0) is expected")


def test_a_frame_of_a_truncated_file_is_refused_and_the_loop_lives(analysed: Window) -> None:
    newest = analysed.desk.scans.newest
    assert newest is not None
    path = newest.scan.folder / "frames.h5"
    with path.open("r+b") as file:
        file.truncate(8192)
    assert analysed.refused(FrameRequest(id="1", row=9, column=0))[0] == "internal"
    analysed.get(StatusReply, StatusRequest(id="2"))


@pytest.mark.parametrize("kind", ["sum", "largest"])
def test_the_pattern_of_the_whole_scan(looked_at: Window, kind: Any) -> None:
    reply, payload = looked_at.ask(PatternRequest(id="1", kind=kind))
    assert isinstance(reply, PatternReply)
    assert (reply.positions, reply.shape) == (POSITIONS, CAMERA.shape)
    expected = frames().sum(axis=0, dtype=np.uint64) if kind == "sum" else frames().max(axis=0)
    np.testing.assert_array_equal(np.frombuffer(payload, reply.dtype).reshape(CAMERA.shape), expected)


def test_a_pattern_holds_whole_blocks_only(window: Window) -> None:
    window.desk.planned()
    window.desk.store((0, 250))
    window.desk.work()
    assert window.refused(PatternRequest(id="1"))[0] == "not_stored"
    window.desk.store((250, 20))
    window.desk.work()
    assert window.get(PatternReply, PatternRequest(id="2")).positions == 256


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("sampling", [1, 3])
def test_the_bragg_vector_map_of_the_whole_scan(looked_at: Window, sampling: int, centred: bool) -> None:
    reply, payload = looked_at.ask(BraggVectorMapRequest(id="1", sampling=sampling, centred=centred))
    assert isinstance(reply, BraggVectorMapReply)
    about = reply.about
    image = np.frombuffer(payload, about.dtype).reshape(about.shape)
    assert image.shape == tuple(sampling * side for side in CAMERA.shape)
    assert about.centred_by == ("centre" if centred else "")
    assert about.positions == POSITIONS
    assert about.dtype == "float32"
    assert image.sum(dtype=np.float64) == pytest.approx(about.intensity, rel=1e-6)
    # nine disks a position
    assert about.vectors + about.outside + about.without_centre == 9 * POSITIONS


def test_before_there_is_a_plan_looks_say_so_and_changes_may_be_asked_for_again(window: Window) -> None:
    window.desk.open()
    for look in (BraggVectorMapRequest(id="1"), PatternRequest(id="2", kind="sum")):
        assert window.refused(look) == ("not_stored", "the scan has no plan yet")
    early = PlanRequest(id="3", changes={"detectors": []}, based_on=0)
    assert window.refused(early) == (
        "no_calibration",
        "the scan is being calibrated; try again when it has a plan",
    )


def test_a_change_while_another_plan_is_laid_out_is_outdated(analysed: Window) -> None:
    first, second = analysed.change(detectors=[]), analysed.change(detectors=[])
    replies: list[Reply] = []
    for request in (first, second):
        analysed.requests.handle(request, b"", lambda reply, payload=b"": replies.append(reply))
    analysed.desk.work()
    refused, made = replies
    assert isinstance(refused, Refused)
    assert isinstance(made, PlanReply)
    assert (refused.reason, made.revision) == ("outdated", 2)


def test_a_bragg_vector_map_too_large_is_refused(window: Window) -> None:
    desk = window.desk
    desk.open(frame_shape=(2048, 2048))
    plan = known_plan()
    hand = desk.scans.newest
    assert hand is not None
    lay_out(hand.scan.folder, plan)
    hand.scan.begin_revision(plan)
    assert window.refused(BraggVectorMapRequest(id="1", sampling=2)) == (
        "bad_request",
        "expected at most 4194304 pixels, found 2^2 x 2048 x 2048",
    )


def test_no_bragg_vector_map_is_kept(looked_at: Window) -> None:
    control = looked_at.control
    before = len(control._replies)
    for number in range(3):
        looked_at.get(BraggVectorMapReply, BraggVectorMapRequest(id=str(number), sampling=1 + number))
    assert (len(control._replies), control._in_work) == (before, {})


def test_a_snapshot_over_the_wire(looked_at: Window) -> None:
    reply, payload = looked_at.ask(SnapshotRequest(id="1", scan_id="small", name="e_xx", first=100, count=50))
    assert isinstance(reply, SnapshotReply)
    assert (reply.first, reply.count, len(payload)) == (100, 50, 200)
    assert looked_at.refused(SnapshotRequest(id="2", scan_id="small", name="e_zz"))[0] == "no_such_map"
    assert looked_at.refused(SnapshotRequest(id="3", scan_id="other", name="e_xx"))[0] == "no_scan"


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


def test_the_plan_is_changed_once_by_requests_based_on_the_same_revision(analysed: Window) -> None:
    reply = analysed.get(PlanReply, PlanRequest(id="1", changes={"detectors": []}, based_on=1))
    assert (reply.revision, parse_plan(reply.plan).detectors) == (2, ())
    assert analysed.refused(PlanRequest(id="2", changes={"detectors": []}, based_on=1))[0] == "outdated"
    assert analysed.get(PlanReply, ReanalyseRequest(id="3", based_on=2)).revision == 3


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"detectors": [{"name": "total", "outer": 1.0}]}, "total"),
        ({"detectors": [{"name": "e_xx", "outer": 1.0}]}, "e_xx"),
        ({"detectors": [{"name": "a", "outer": 1.0}, {"name": "a", "outer": 2.0}]}, "names of their own"),
        ({"detectors": [{"name": "a", "inner": 2.0, "outer": 1.0}]}, "detectors.0"),
        ({"detectors": 7}, "detectors"),
        ({"stages": {}}, "diffraction"),
        ({"stages": {"reduction": ["patterns"]}}, "diffraction"),
        ({"stages": {"diffraction": []}}, "diffraction"),
        ({"stages": {"diffraction": ["patterns"]}}, "diffraction"),
        ({"stages": {"diffraction": ["virtual", "patterns"]}}, "diffraction"),
        ({"stages": {"diffraction": ["virtual", "virtual"]}}, "twice"),
        ({"stages": {"diffraction": ["alchemy"]}}, "alchemy"),
        ({"stages": {"diffraction": ["virtual"], "": ["patterns"]}}, ""),
        ({"stages": {"diffraction": ["virtual"], "a/b\0c": ["patterns"]}}, ""),
        ({"calibration": {"g1": None}}, "calibration"),
        ({"calibration": {"g1": [1e5, 0.0], "g2": [0.0, 1e-5]}}, "calibration"),
        ({"calibration": {"g1": [float("nan"), 0.0], "g2": [0.0, 1.0]}}, "calibration"),
        ({"calibration": {"g1": [float("inf"), 0.0], "g2": [0.0, 1.0]}}, "calibration"),
        ({"calibration": {"hk": [["1" + "0" * 40, 0], [0, 1], [1, 1]]}}, "calibration.hk.0.0"),
        ({"calibration": {"hk": [[1 << 63, 0], [0, 1], [1, 1]]}}, "calibration.hk.0.0"),
        ({"calibration": {"positions": ["9" * 40]}}, "calibration.positions.0"),
        ({"calibration": {"radius_px": -1}}, "calibration.radius_px"),
        ({"calibration": {"radius_px": float("nan")}}, "calibration.radius_px"),
        ({"calibration": 7}, "calibration"),
        ({"calibration": None}, "calibration"),
        ({"unusable": [[-1, 5]]}, "unusable.0.0"),
        ({"unusable": "all"}, "unusable"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_naming_the_field(
    looked_at: Window, changes: dict[str, Any], field: str
) -> None:
    reason, text = looked_at.refused(looked_at.change(**changes))
    assert reason == "bad_request"
    assert field in text
    looked_at.desk.finish()
    status = looked_at.get(StatusReply, StatusRequest(id="after"))
    assert status.plan is not None
    assert status.plan.revision == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"unusable": [[0, 64 * 64]]},
        {"unusable": [[1 << 61, 1 << 61]]},
        {"calibration": {"hk": [[0, 0], [0, 0], [0, 0]], **WHOLE_LATTICE}},
        {"calibration": {"hk": [[65536, 65536], [0, 1], [-65536, 1]], **WHOLE_LATTICE}},
        {"calibration": {"centre": [65536.0, 65536.0], **WHOLE_LATTICE}},
        {"calibration": {"centre": [0.0, 0.0], "radius_px": 65536.0, **WHOLE_LATTICE}},
        {"calibration": {"radius_px": 1e-300, "edge_px": 0.0, "search_px": 65536.0, **WHOLE_LATTICE}},
        {"calibration": {"search_px": 0.0, "edge_px": 65536.0}},
        {"calibration": {"residual_px": float("nan"), "reason": "\0"}},
        {"detectors": [{"name": f"d{k}", "outer": 5.0, "unit": "px"} for k in range(60)]},
        {"detectors": [{"name": "a", "inner": 65535, "outer": 65536, "centre": [65536, 0], "unit": "px"}]},
        {"stages": {"diffraction": ["virtual"], "disks": ["disks"]}},
        {"stages": {"diffraction": ["disks"], "reduction": ["virtual"]}},
        {"revision": 999},
    ],
    ids="+".join,
)
def test_a_strange_change_is_carried_out_or_refused_and_the_loop_lives(
    analysed: Window, changes: dict[str, Any]
) -> None:
    with np.errstate(all="ignore"):
        reply, _ = analysed.ask(analysed.change(**changes))
        assert isinstance(reply, PlanReply | Refused)
        analysed.desk.finish()
        for request in (
            FrameRequest(id="a", row=0, column=0),
            PatternRequest(id="b"),
            ReferenceRequest(id="c", median=True),
        ):
            analysed.ask(request)
        analysed.desk.finish()
    counts = analysed.get(StatusReply, StatusRequest(id="d")).progress
    assert counts is not None
    assert all(sum(stage.model_dump().values()) == POSITIONS for stage in counts.stages.values())
    assert analysed.get(PlanReply, analysed.change(detectors=[])).revision > 1
