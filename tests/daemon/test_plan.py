import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from daemon.small_scan import known_plan
from livestrain_daemon.errors import PlanError
from livestrain_daemon.plan import (
    CalibrationPlan,
    DetectorPlan,
    Plan,
    changed,
    parse_calibration,
    parse_plan,
    read_plan,
    stages_for,
)
from livestrain_daemon.unusable import pixels_outside, unusable_runs

number = st.floats(0, 60000)
vector = st.tuples(st.floats(8, 100), st.floats(-4, 4))


def plan_of(centre: tuple[float, float], g1: tuple[float, float], g2: tuple[float, float], edge: float) -> Plan:
    calibration = CalibrationPlan(
        centre=centre, radius_px=edge + 0.1, edge_px=edge, g1=g1, g2=(-g2[1], g2[0]), hk=((0, 0), (0, 1), (-1, 0))
    )
    return Plan(
        calibration=calibration, detectors=(DetectorPlan(name="a", outer=edge + 1),), stages={"diffraction": ("disks",)}
    )


@given(st.tuples(number, number), vector, vector, number)
def test_a_recorded_plan_comes_back_bit_by_bit(
    centre: tuple[float, float], g1: tuple[float, float], g2: tuple[float, float], edge: float
) -> None:
    plan = plan_of(centre, g1, g2, edge)
    assert parse_plan(json.loads(json.dumps(plan.model_dump(mode="json")))) == plan
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_a_plan_is_read_from_a_file_or_from_a_line_of_a_journal(tmp_path: Path) -> None:
    plan = known_plan(revision=4)
    path = tmp_path / "plan.json"
    for fields in (plan.model_dump(mode="json"), {"kind": "plan", "utc_ns": 1, "plan": plan.model_dump(mode="json")}):
        path.write_text(json.dumps(fields))
        assert read_plan(path) == plan


@pytest.mark.parametrize("text", ["", "junk", "[]", "7", "null", '{"plan": 7}', "{}", "[" * 100_000, '{"revision": 1}'])
def test_a_file_without_a_plan_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(PlanError):
        read_plan(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"none\.json"):
        read_plan(tmp_path / "none.json")


def test_a_change_replaces_only_what_it_names() -> None:
    plan = known_plan()
    new = changed(plan, {"calibration": {"search_px": 5.0}}, 2)
    assert new.revision == 2
    assert new.calibration == plan.calibration.model_copy(update={"search_px": 5.0})
    assert (new.detectors, new.stages) == (plan.detectors, plan.stages)


def test_no_change_gives_the_same_plan_under_a_new_number() -> None:
    assert changed(known_plan(), {}, 2) == known_plan(2)


def test_losing_the_lattice_takes_the_disks_out_of_the_stages() -> None:
    new = changed(known_plan(), {"calibration": {"g1": None, "g2": None}}, 2)
    assert new.stages == {"diffraction": ("virtual", "detect"), "reduction": ("patterns",)}


def test_stages_of_the_user_stay_with_a_changed_calibration() -> None:
    stages = {"diffraction": ("disks",)}
    assert changed(known_plan(), {"calibration": {"search_px": 2.0}, "stages": stages}, 2).stages == stages


def test_stages_that_somebody_has_chosen_stay_when_the_calibration_is_changed() -> None:
    plan = known_plan(stages={"diffraction": ("disks",)})
    assert changed(plan, {"calibration": {"search_px": 2.0}}, 2).stages == plan.stages
    assert changed(plan, {"detectors": []}, 2).stages == plan.stages


def test_other_disks_change_the_usual_stages_and_are_refused_for_chosen_ones() -> None:
    assert changed(known_plan(), {"disks": "both"}, 2).stages["diffraction"] == ("virtual", "disks", "detect")
    chosen = known_plan(stages={"diffraction": ("disks",)})
    with pytest.raises(PlanError, match="disks: the plan has stages of its own"):
        changed(chosen, {"disks": "both"}, 2)
    assert changed(chosen, {"disks": chosen.disks}, 2).stages == chosen.stages
    stages = {"diffraction": ("detect",)}
    assert changed(chosen, {"disks": "both", "stages": stages}, 2).stages == stages


def test_the_number_of_a_revision_is_not_the_users_to_choose() -> None:
    assert changed(known_plan(), {"revision": 99}, 2).revision == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"calibration": {"radius_px": 0}}, "calibration.radius_px"),
        ({"calibration": {"centre": [1.0]}}, "calibration.centre.1"),
        ({"calibration": {"hk": [[0, 0], [1, 0]]}}, "calibration: "),
        ({"calibration": {"g1": [0.1, 0.0], "g2": [0.0, 0.1]}}, "calibration: "),
        ({"calibration": {"colour": 1}}, "calibration.colour"),
        ({"calibration": []}, "calibration: "),
        ({"detectors": [{"name": "a"}]}, "detectors.0.outer"),
        ({"unusable": [[0]]}, "unusable.0.1"),
        ({"stages": {"diffraction": "virtual"}}, "stages.diffraction"),
        ({"stages": None}, "stages"),
    ],
)
def test_a_change_that_makes_no_sense_names_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(PlanError) as error:
        changed(known_plan(), changes, 2)
    assert str(error.value).startswith(field)
    assert "\n" not in str(error.value)


def test_a_calibration_needs_both_vectors() -> None:
    with pytest.raises(PlanError, match="g1 and g2 come together"):
        parse_calibration({"centre": [1, 1], "radius_px": 1, "edge_px": 1, "g1": [10, 0]})


def test_the_analyses_follow_from_the_lattice() -> None:
    assert stages_for(known_plan().calibration) == {"diffraction": ("virtual", "disks"), "reduction": ("patterns",)}


@given(arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=6)))
def test_unusable_pixels_come_back_from_their_runs(usable: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> None:
    shape = (usable.shape[0], usable.shape[1])
    np.testing.assert_array_equal(pixels_outside(unusable_runs(usable), shape), usable)
    plan = known_plan(unusable=unusable_runs(usable))
    np.testing.assert_array_equal(plan.usable_pixels(shape), usable)


def test_runs_beyond_the_frame_mean_the_pixels_within() -> None:
    assert pixels_outside([(3, 1 << 60), (1 << 61, 5)], (2, 3)).tolist() == [[True] * 3, [False] * 3]
