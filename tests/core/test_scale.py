"""Pixel sizes against tabulated wavelengths and silicon's spacing."""

import pytest

from livestrain_core.scale import electron_wavelength_nm, mrad_from_per_nm, mrad_per_pixel, per_nm_per_pixel


@pytest.mark.parametrize(("voltage_kv", "wavelength_pm"), [(60, 4.866), (80, 4.176), (200, 2.508), (300, 1.969)])
def test_the_wavelength_is_that_of_the_tables(voltage_kv: float, wavelength_pm: float) -> None:
    assert electron_wavelength_nm(voltage_kv) * 1e3 == pytest.approx(wavelength_pm, abs=5e-4)


def test_a_disk_of_the_semiangle_gives_mrad() -> None:
    assert mrad_per_pixel(2.0, 8.0) == 0.25


def test_a_known_spacing_gives_inverse_nanometres_and_both_agree() -> None:
    # silicon 220, d = 0.192 nm, at 40 px
    size = per_nm_per_pixel(0.19201, 40.0)
    assert size * 40.0 == pytest.approx(5.2081, abs=1e-4)
    # at 200 kV its Bragg vector lies 13.06 mrad off axis
    assert mrad_from_per_nm(5.2081, 200.0) == pytest.approx(13.062, abs=5e-3)
