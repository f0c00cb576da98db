import pytest

from livestrain_core.scale import mrad_from_per_nm
from livestrain_recordings.units import Axis, axis_facts


@pytest.mark.parametrize(
    ("scale", "units", "step_nm"),
    [
        (2.0, "nm", 2.0),
        (-2.0, "nm", 2.0),
        (20.0, "A", 2.0),
        (20.0, "Å", 2.0),
        (0.002, "µm", 2.0),
        (0.002, "[u_m]", 2.0),
    ],
)
def test_steps_are_told_in_nanometres(scale: float, units: str, step_nm: float) -> None:
    assert axis_facts([Axis(scale, units)] * 2, []) == {"step_nm": pytest.approx(step_nm, rel=1e-12)}


@pytest.mark.parametrize("units", ["1/A", "1 / Å", "A^-1", "$A^{-1}$", "Å⁻¹", "A^(-1)"])
def test_pixel_sizes_are_told_in_reciprocal_nanometres(units: str) -> None:
    assert axis_facts([], [Axis(0.01, units)] * 2) == {"pixel_size_per_nm": pytest.approx(0.1, rel=1e-12)}
    angle = mrad_from_per_nm(0.1, 300.0)
    assert axis_facts([], [Axis(0.01, units)] * 2, 300.0)["pixel_size_mrad"] == pytest.approx(angle, rel=1e-12)


def test_pixel_sizes_that_are_angles_are_told_as_such() -> None:
    assert axis_facts([], [Axis(0.001, "rad")] * 2, 300.0) == {"pixel_size_mrad": 1.0}


@pytest.mark.parametrize(
    "axes",
    [
        [],
        [Axis(1.0, ""), Axis(1.0, "")],
        [Axis(1.0, "pixel"), Axis(1.0, "pixel")],
        [Axis(0.0, "nm"), Axis(0.0, "nm")],
        [Axis(float("nan"), "nm"), Axis(1.0, "nm")],
        [Axis(1.0, "nm"), Axis(2.0, "nm")],
        [Axis(1.0, "nm"), Axis(1.0, "1/nm")],
    ],
    ids=str,
)
def test_what_has_no_unit_or_differs_between_rows_and_columns_is_not_told(axes: list[Axis]) -> None:
    assert axis_facts(axes, []) == {}
