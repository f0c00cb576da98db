"""Requests to change the plan of a real scan, over a real socket."""

from typing import Any

import numpy as np
import pytest

from daemon.control.window import Window
from daemon.small_scan import POSITIONS
from livestrain_daemon.plan import parse_plan
from livestrain_wire.messages import (
    BraggVectorMapRequest,
    FrameRequest,
    PatternRequest,
    PlanReply,
    PlanRequest,
    ReanalyseRequest,
    ReferenceRequest,
    Refused,
    Reply,
    StatusReply,
    StatusRequest,
)

WHOLE_LATTICE: dict[str, Any] = {"g1": [10.0, 0.0], "g2": [0.0, 10.0]}


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
