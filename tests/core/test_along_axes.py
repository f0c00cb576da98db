"""Strain along other axes: exact, whatever the size, with the signs that a flip changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from livestrain_core.along_axes import along
from livestrain_core.axes import FLIPS, Flip, g1_axes, scan_axes, turn
from livestrain_core.strain import Strain, strain

Float64 = NDArray[np.float64]
REFERENCE = np.array([[21.0, 4.0], [-4.0, 21.5]])
NAMES = ("e_xx", "e_yy", "e_xy", "theta")


def deformed(F: Float64, reference: Float64 = REFERENCE) -> Float64:
    """Lattice vectors as rows after a deformation F of real space: each g becomes F^-T g."""
    return np.asarray((np.linalg.inv(F).T @ reference.T).T[None], np.float64)


def listed(found: Strain) -> list[float]:
    return [float(getattr(found, name)[0]) for name in NAMES]


@settings(max_examples=50, deadline=None)
@given(
    rotation=st.floats(-3.0, 3.0),
    theta=st.floats(-1.0, 1.0),
    flip=st.sampled_from(list(FLIPS)),
    stretch=st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2), st.floats(-0.15, 0.15)),
)
def test_along_the_scan_is_the_strain_of_a_deformation_of_the_scan(
    rotation: float, theta: float, flip: Flip, stretch: tuple[float, float, float]
) -> None:
    e_xx, e_yy, e_xy = stretch
    on_scan = turn(theta) @ (np.eye(2) + np.array([[e_xx, e_xy], [e_xy, e_yy]]))
    axes = scan_axes(rotation, flip)
    # F_scan = (Q P) F (Q P)^-1
    on_detector = np.linalg.inv(axes) @ on_scan @ axes
    found = along(strain(deformed(on_detector), REFERENCE), axes)
    np.testing.assert_allclose(listed(found), [e_xx, e_yy, e_xy, theta], atol=1e-12)


def test_a_flip_changes_the_sign_of_theta_and_of_the_shear() -> None:
    before = strain(deformed(turn(0.1) @ np.array([[1.01, 0.003], [0.003, 0.98]])), REFERENCE)
    for flip in ("rows", "columns"):
        after = along(before, scan_axes(0.0, flip))
        np.testing.assert_allclose(listed(after), np.array(listed(before)) * [1, 1, -1, -1], rtol=1e-14)
    e_xx, e_yy, e_xy, theta = listed(before)
    np.testing.assert_allclose(listed(along(before, scan_axes(0.0, "transpose"))), [e_yy, e_xx, e_xy, -theta])


def test_a_quarter_turn_exchanges_the_components() -> None:
    before = strain(deformed(np.array([[1.01, 0.003], [0.003, 0.98]])), REFERENCE)
    e_xx, e_yy, e_xy, theta = listed(before)
    after = along(before, scan_axes(np.pi / 2))
    np.testing.assert_allclose(listed(after), [e_yy, e_xx, -e_xy, theta], atol=1e-15)


def test_along_g1_a_stretch_along_g1_is_all_e_xx() -> None:
    # real space stretched by 2 % in the direction of g1
    direction = REFERENCE[0] / np.hypot(*REFERENCE[0])
    stretched = strain(deformed(np.eye(2) + 0.02 * np.outer(direction, direction)), REFERENCE)
    found = along(stretched, g1_axes(REFERENCE))
    np.testing.assert_allclose(listed(found), [0.02, 0.0, 0.0, 0.0], atol=1e-14)


def test_a_pure_rotation_is_no_strain_along_any_axes() -> None:
    rotated = strain(deformed(turn(np.radians(10.0))), REFERENCE)
    for axes in (scan_axes(0.7), scan_axes(-2.0, "rows"), g1_axes(REFERENCE)):
        found = along(rotated, axes)
        np.testing.assert_allclose(listed(found)[:3], 0.0, atol=1e-14)
        assert abs(found.theta[0]) == pytest.approx(np.radians(10.0))


def test_a_position_without_strain_has_none_along_other_axes() -> None:
    found = along(strain(np.full((1, 2, 2), np.nan), REFERENCE), turn(0.3))
    assert np.isnan(listed(found)).all()


def test_a_known_distortion_is_taken_out_of_lattices_and_reference() -> None:
    bent = np.array([[1.03, 0.012], [0.012, 0.98]])
    F = turn(0.3) @ np.array([[1.01, 0.004], [0.004, 0.99]])
    seen, reference = deformed(F) @ bent.T, REFERENCE @ bent.T
    np.testing.assert_allclose(listed(strain(seen, reference, bent)), [0.01, -0.01, 0.004, 0.3], atol=1e-12)


def test_a_distortion_left_in_fakes_strain_in_rotated_grains_and_taken_out_does_not() -> None:
    bent = np.array([[1.01, 0.0], [0.0, 1 / 1.01]])
    grain, reference = deformed(turn(np.radians(30.0))) @ bent.T, REFERENCE @ bent.T
    assert max(map(abs, listed(strain(grain, reference))[:3])) > 0.004
    np.testing.assert_allclose(listed(strain(grain, reference, bent))[:3], 0.0, atol=1e-14)
