from pathlib import Path

import numpy as np
import pytest

from daemon.small_scan import CAMERA, POSITIONS, SPECIMEN, frames, known_calibration, known_plan, lay_out, stored_scan
from livestrain_core.seek import Tracking
from livestrain_daemon.analyses import FrameKind, find_analysis, stage_outputs
from livestrain_daemon.analyses.protocol import Results
from livestrain_daemon.detecting import DetectPlan
from livestrain_daemon.errors import PlanError
from livestrain_daemon.messages import AnalyseTask
from livestrain_daemon.plan import DIFFRACTION, Plan, changed, stages_for
from livestrain_daemon.scanfolder import ResultsFile, open_results
from livestrain_daemon.unusable import unusable_runs
from livestrain_daemon.worker.tasks import Tasks
from livestrain_simulator.patterns import Renderer

KIND = FrameKind(CAMERA.shape, np.dtype(np.uint16))
DETECTING = {DIFFRACTION: ("detect",)}


def analysed(plan: Plan, some: slice = slice(0, 40), name: str = "detect") -> Results:
    prepared = find_analysis(name).prepare(plan, KIND)
    return prepared.analyse(frames()[some], np.arange(POSITIONS)[some], {})


def test_the_disks_of_a_frame_are_found_where_they_are() -> None:
    found = analysed(known_plan(stages=DETECTING))
    renderer = Renderer(SPECIMEN, CAMERA)
    for i in range(0, 40, 7):
        truth = renderer.disks(i)
        places = found["peak_position"][i, : found["peak_count"][i]]
        distance = np.hypot(*(truth[:, None] - places[None]).transpose(2, 0, 1))
        assert (distance.min(axis=1) < 0.8).mean() > 0.9
        assert (distance.min(axis=0) < 1.5).all()


def test_the_maps_sum_up_the_list() -> None:
    found = analysed(known_plan(stages=DETECTING))
    np.testing.assert_array_equal(found["peak_count"], np.isfinite(found["peak_score"]).sum(axis=1))
    others = np.nansum(found["peak_intensity"][:, 1:], axis=1)
    np.testing.assert_allclose(found["peak_total"], others, rtol=1e-5)


def test_outputs_are_what_the_analysis_gives() -> None:
    plan = known_plan(stages=DETECTING, detect=DetectPlan(count=5))
    found, outputs = analysed(plan), stage_outputs(plan, KIND)[DIFFRACTION]
    assert {output.name for output in outputs} == set(found)
    for output in outputs:
        assert found[output.name].shape == (40, *output.shape)
        assert found[output.name].dtype == output.dtype
    assert found["peak_count"].max() == 5


def test_the_plan_s_filters_and_unusable_pixels_hold() -> None:
    usable = np.ones(CAMERA.shape, np.bool_)
    usable[:, :32] = False
    right = analysed(known_plan(stages=DETECTING, unusable=unusable_runs(usable)))
    assert np.nanmin(right["peak_position"][..., 1]) > 30.0
    strict = analysed(known_plan(stages=DETECTING, detect=DetectPlan(score=60.0)))
    assert np.nanmin(strict["peak_score"]) >= 60.0
    assert strict["peak_count"].sum() < analysed(known_plan(stages=DETECTING))["peak_count"].sum()


@pytest.mark.parametrize(
    ("disks", "lattice", "nominal", "expected"),
    [
        ("auto", True, False, ("virtual", "disks")),
        ("auto", False, False, ("virtual", "detect")),
        ("auto", False, True, ("virtual",)),
        ("tracked", False, False, ("virtual",)),
        ("detected", True, False, ("virtual", "detect")),
        ("both", True, False, ("virtual", "disks", "detect")),
        ("both", False, False, ("virtual", "detect")),
        ("both", False, True, ("virtual",)),
    ],
)
def test_what_is_looked_for_follows_from_what_is_known(
    disks: str, lattice: bool, nominal: bool, expected: tuple[str, ...]
) -> None:
    fields = {"nominal": nominal} | ({} if lattice else {"g1": None, "g2": None, "hk": ()})
    plan = changed(known_plan(), {"disks": disks}, 2)
    assert changed(plan, {"calibration": fields}, 3).stages[DIFFRACTION] == expected
    assert stages_for(known_calibration().model_copy(update=fields), plan.disks)[DIFFRACTION] == expected


def test_the_choice_can_be_changed_alone_and_a_table_of_filters_in_part() -> None:
    plan = changed(known_plan(), {"disks": "both", "detect": {"count": 9}}, 2)
    assert plan.stages[DIFFRACTION] == ("virtual", "disks", "detect")
    assert changed(plan, {"detect": {"score": 7.0}}, 3).detect == DetectPlan(score=7.0, count=9)


@pytest.mark.parametrize("detect", [{"count": 0}, {"score": 0.0}, {"edge_px": -1.0}, {"relative_intensity": 2.0}])
def test_filters_that_make_no_sense_are_refused_by_name(detect: dict[str, float]) -> None:
    with pytest.raises(PlanError, match=f"detect.{next(iter(detect))}"):
        changed(known_plan(), {"detect": detect}, 2)


def test_detected_disks_are_stored_like_any_map(tmp_path: Path) -> None:
    folder = tmp_path / "scan"
    stored_scan(folder)
    plan = known_plan(stages={DIFFRACTION: ("virtual", "detect")})
    lay_out(folder, plan)
    tasks = Tasks()
    tasks.run(AnalyseTask(number=2, folder=str(folder), revision=1, stage=DIFFRACTION, runs=((3, 6),)), b"")
    tasks.close()
    with ResultsFile(open_results(folder, 1)) as results:
        expected = analysed(plan, slice(3, 9))
        for name in ("peak_position", "peak_count", "peak_total"):
            np.testing.assert_array_equal(results.read(name, 3, 6), expected[name])


def test_the_quality_map_says_how_each_lattice_was_found() -> None:
    prepared = find_analysis("disks").prepare(known_plan(), KIND)
    given = frames()[:4].copy()
    given[1] = 0
    given[2] = np.rot90(given[2])
    found = prepared.analyse(given, np.arange(4), {})
    assert found["tracking"].tolist()[:2] == [Tracking.TRACKED, Tracking.NOT_FOUND]
    assert found["tracking"][3] == Tracking.TRACKED
    assert found["reason"][1] != 0
    assert np.isnan(found["g1"][1]).all()
