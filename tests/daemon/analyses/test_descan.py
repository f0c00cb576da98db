"""Virtual detectors and the centre of mass relative to the centre that the descan plane predicts."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.small_scan import CAMERA, POSITIONS, SCAN, known_calibration, known_plan
from livestrain_daemon.analyses import FrameKind, Results, find_analysis, stage_outputs
from livestrain_daemon.geometry import DescanPlan
from livestrain_daemon.plan import DetectorPlan, Plan

KIND = FrameKind(CAMERA.shape, np.dtype(np.uint16), SCAN)
PLANE = DescanPlan(origin=(28.0, 30.0), per_row=(0.5, 0.0), per_column=(0.0, 0.25))
FOLLOWING = DetectorPlan(name="moved", outer=6.0, unit="px", centre="descan")


def plan(descan: DescanPlan | None, *detectors: DetectorPlan) -> Plan:
    return known_plan(calibration=known_calibration().model_copy(update={"descan": descan}), detectors=detectors)


def patterns() -> NDArray[Any]:
    return np.random.default_rng(4).poisson(20, (POSITIONS, *CAMERA.shape)).astype(np.uint16)


def measured(wanted: Plan, frames: NDArray[Any], first: int = 0) -> Results:
    positions = np.arange(first, first + len(frames))
    return find_analysis("virtual").prepare(wanted, KIND).analyse(frames, positions, {})


def test_a_detector_is_where_the_plane_predicts_it_at_each_position() -> None:
    frames = patterns()
    found = measured(plan(PLANE, FOLLOWING), frames)["moved"]
    r, c = np.indices(CAMERA.shape)
    for position in (0, 1, SCAN[1], POSITIONS - 1):
        row, column = divmod(position, SCAN[1])
        inside = (r - (28.0 + 0.5 * row)) ** 2 + (c - (30.0 + 0.25 * column)) ** 2 <= 36.0
        assert found[position] == frames[position][inside].sum()


def test_without_a_plane_it_stays_at_the_centre_of_the_plan() -> None:
    frames = patterns()[:5]
    fixed = DetectorPlan(name="fixed", outer=6.0, unit="px", centre=CAMERA.centre)
    found = measured(plan(None, FOLLOWING, fixed), frames)
    np.testing.assert_array_equal(found["moved"], found["fixed"])
    assert "deflection" not in found


def test_the_deflection_is_the_centre_of_mass_from_the_plane() -> None:
    found = measured(plan(PLANE), patterns())
    rows, columns = np.divmod(np.arange(POSITIONS), SCAN[1])
    predicted = np.stack([28.0 + 0.5 * rows, 30.0 + 0.25 * columns], axis=1)
    np.testing.assert_allclose(found["deflection"], found["centre_of_mass"] - predicted, atol=1e-12)
    names = [output.name for output in stage_outputs(plan(PLANE), KIND)["diffraction"]]
    assert "deflection" in names
    assert "deflection" not in [output.name for output in stage_outputs(plan(None), KIND)["diffraction"]]


def test_batches_split_change_no_bit() -> None:
    frames, wanted = patterns(), plan(PLANE, FOLLOWING)
    whole = measured(wanted, frames)
    for name in ("moved", "deflection"):
        parts = [measured(wanted, frames[first : first + 7], first)[name] for first in range(0, POSITIONS, 7)]
        assert np.concatenate(parts).tobytes() == np.asarray(whole[name]).tobytes()


def test_the_map_says_which_centre_it_has() -> None:
    (output,) = [one for one in stage_outputs(plan(PLANE, FOLLOWING), KIND)["diffraction"] if one.name == "moved"]
    assert "descan plane" in output.description


@pytest.mark.parametrize("centre", ["elsewhere", (1.0,), (-1.0, 2.0), float("nan")])
def test_a_centre_that_is_none_is_refused(centre: Any) -> None:
    with pytest.raises(ValueError, match="centre"):
        DetectorPlan(name="a", outer=2.0, centre=centre)
