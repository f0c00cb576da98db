"""What is known beside the frames: put into a calibration with its source, and into every scan's plan."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import small_scan
from daemon.desk import EVERYTHING, Desk
from daemon.small_scan import known_calibration
from livestrain_core.ellipse import distortion_matrix
from livestrain_core.errors import EllipseUnknown
from livestrain_daemon.errors import PlanError
from livestrain_daemon.geometry import DescanPlan, EllipsePlan, PixelSizePlan, ScanAxesPlan
from livestrain_daemon.plan import CalibrationPlan, parse_calibration
from livestrain_daemon.scan.known import inherited, with_known, with_sent
from livestrain_wire.messages import Event, GivenValues


def known(calibration: CalibrationPlan | None = None, start: Any = None, **given: Any) -> CalibrationPlan:
    found = with_known(calibration or known_calibration(), GivenValues.model_validate(given), "given")
    return found if start is None else with_sent(found, start)


def test_nothing_known_changes_nothing() -> None:
    assert known() == known_calibration()


def test_a_rotation_and_a_flip_may_come_one_after_the_other() -> None:
    first = known(rotation_deg=30.0)
    both = known(first, flip="columns").scan_axes
    assert both == ScanAxesPlan(source="given", how="as given", rotation_deg=30.0, flip="columns")


def test_a_distortion_is_taken_out_before_a_spacing_gives_the_pixel_size() -> None:
    plain = known_calibration()
    assert plain.g1 is not None
    assert plain.g2 is not None
    bent = distortion_matrix(1.05, np.radians(20))
    g1, g2 = (bent @ np.array(vector) for vector in (plain.g1, plain.g2))
    seen = plain.model_copy(update={"g1": tuple(g1.tolist()), "g2": tuple(g2.tolist())})
    sizes = [known(seen, spacing_nm=0.2, spacing_of=of, ellipse=(1.05, 20.0)).pixel_size for of in ("g1", "g2")]
    expected = 1 / (0.2 * float(np.hypot(*plain.g1)))
    assert [one.size for one in sizes if one] == [pytest.approx(expected), pytest.approx(expected)]


def test_what_the_sender_says_counts_until_somebody_knows_better() -> None:
    start = small_scan.start(pixel_size_mrad=0.3, semiangle_mrad=2.0)
    assert known(start=start).pixel_size == PixelSizePlan(how="as the sender says", size=0.3, unit="mrad")
    better = known(start=start, pixel_size=0.31).pixel_size
    assert (better and better.size, better and better.source) == (0.31, "given")
    from_angle = known(start=small_scan.start(semiangle_mrad=2.0)).pixel_size
    assert from_angle is not None
    assert from_angle.size == pytest.approx(2.0 / small_scan.CAMERA.radius_px)


def test_a_known_lattice_needs_one_that_was_found() -> None:
    without = known_calibration().model_copy(update={"g1": None, "g2": None, "reason": "vacuum"})
    with pytest.raises(EllipseUnknown, match="vacuum"):
        known(without, lattice_shape=(1.0, 90.0))


@pytest.mark.parametrize("value", [("spacing_nm", 1e-9), ("semiangle_mrad", 1e-323), ("spacing_nm", 5e-324)])
def test_a_known_value_that_gives_no_possible_pixel_is_refused_in_one_line(value: tuple[str, float]) -> None:
    with pytest.raises(PlanError) as error:
        known(None, None, **dict([value]))
    assert str(error.value).startswith("expected a pixel of more than 0 and at most 1e+06")
    assert "\n" not in str(error.value)
    assert known(None, None, **{value[0]: 0.2}).pixel_size is not None


EXTREME = st.floats(min_value=0, max_value=1e6, exclude_min=True)


@given(EXTREME, EXTREME, EXTREME, st.floats(-360, 360), st.sampled_from(["g1", "g2"]))
def test_whatever_is_known_gives_a_calibration_that_can_be_read_again_or_is_refused(
    spacing: float, semiangle: float, ratio: float, angle: float, of: str
) -> None:
    for one in ({"spacing_nm": spacing, "spacing_of": of}, {"semiangle_mrad": semiangle}):
        try:
            found = known(**one, lattice_shape=(ratio, angle))
        except (EllipseUnknown, PlanError):
            continue
        assert parse_calibration(found.model_dump(mode="json")) == found


def test_a_new_calibration_inherits_what_its_frames_do_not_tell() -> None:
    descan = DescanPlan(source="given", how="as given", origin=(1, 2), per_row=(0, 0), per_column=(0, 0))
    fitted = DescanPlan(how="centres", origin=(3, 4), per_row=(0, 0), per_column=(0, 0))
    ellipse = EllipsePlan(ratio=1.01, angle_deg=5)
    before = known_calibration().model_copy(update={"descan": descan, "ellipse": ellipse})
    fresh = known_calibration().model_copy(update={"descan": fitted})
    assert (inherited(fresh, before).descan, inherited(fresh, before).ellipse) == (descan, ellipse)
    older = before.model_copy(update={"descan": fitted.model_copy(update={"how": "older"})})
    assert inherited(fresh, older).descan == fitted
    assert inherited(known_calibration(), older).descan == older.descan


def test_the_configuration_reaches_the_plan_of_every_scan(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "calibration": {"rotation_deg": 90.0, "lattice_shape": (1.0, 90.0), "spacing_nm": 0.2},
        "analysis": {"axes": "scan"},
    }
    with Desk(tmp_path, **settings) as desk:
        desk.open()
        desk.store(*EVERYTHING)
        desk.end()
        desk.finish()
        hand = desk.scans.newest
        assert hand is not None
        assert hand.scan.revision is not None
        plan, reference = hand.scan.revision.plan, hand.scan.references.current
        calibration = plan.calibration
        assert calibration.scan_axes is not None
        assert calibration.ellipse is not None
        assert calibration.pixel_size is not None
        assert (calibration.source, calibration.scan_axes.source, calibration.ellipse.source) == (
            "automatic",
            "given",
            "given",
        )
        assert calibration.ellipse.ratio == pytest.approx(1.0, abs=0.01)
        assert reference is not None
        assert (plan.axes, reference.axes, reference.kind) == ("scan", "scan", "median")


def planned_with(folder: Path, start: dict[str, Any], **settings: Any) -> tuple[CalibrationPlan, list[Event]]:
    """The calibration that a whole scan gets by itself, and what was told meanwhile."""
    with Desk(folder, **settings) as desk:
        hand = desk.open(**start)
        desk.store(*EVERYTHING)
        desk.end()
        desk.finish()
        assert hand.scan.revision is not None
        events = [one.message for one in desk.heard() if isinstance(one.message, Event)]
        return hand.scan.revision.plan.calibration, [one for one in events if one.name == "pixel_size_unknown"]


@pytest.mark.parametrize(
    ("who", "start", "values"),
    [
        ("the sender", {"semiangle_mrad": 1e-323}, {}),
        ("the configuration", {}, {"spacing_nm": 1e-9}),
        ("the configuration", {}, {"spacing_nm": 1e-9, "lattice_shape": (1.9, 45.0)}),
    ],
)
def test_a_pixel_size_that_cannot_be_costs_the_pixel_size_and_not_the_scan(
    tmp_path: Path, who: str, start: dict[str, Any], values: dict[str, Any]
) -> None:
    calibration, told = planned_with(tmp_path, start, calibration={"rotation_deg": 5.0, **values})
    assert (calibration.pixel_size, calibration.g1 is not None, calibration.scan_axes is not None) == (None, True, True)
    assert [event.level for event in told] == ["warning"]
    assert told[0].text.startswith(f"the pixel size of {who} is not used: ")


def test_a_pixel_size_that_can_be_is_used_and_nothing_is_told(tmp_path: Path) -> None:
    calibration, told = planned_with(tmp_path, {"semiangle_mrad": 2.0})
    assert (calibration.pixel_size is not None, told) == (True, [])


def test_a_known_lattice_that_does_not_fit_costs_the_correction_and_not_the_scan(tmp_path: Path) -> None:
    with Desk(tmp_path, calibration={"lattice_shape": (1.9, 45.0), "rotation_deg": 5.0}) as desk:
        desk.open()
        desk.store(*EVERYTHING)
        desk.end()
        desk.finish()
        hand = desk.scans.newest
        assert hand is not None
        assert hand.scan.revision is not None
        calibration = hand.scan.revision.plan.calibration
        assert (calibration.ellipse, calibration.g1 is not None, calibration.scan_axes is not None) == (
            None,
            True,
            True,
        )
        events = [one.message for one in desk.heard() if isinstance(one.message, Event)]
        assert [event.level for event in events if event.name == "ellipse_unknown"] == ["warning"]
