import numpy as np
import pytest
from numpy.typing import NDArray

from livestrain_core.errors import SingularLattice
from livestrain_core.strain import strain

REFERENCE = np.array([[21.0, 4.0], [-4.0, 21.5]])


def deformed(F: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lattice vectors as rows after a deformation F of real space: each g becomes F^-T g."""
    return np.asarray((np.linalg.inv(F).T @ REFERENCE.T).T[None], np.float64)


def rotation(theta: float) -> NDArray[np.float64]:
    return np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])


def test_a_pure_rotation_of_ten_degrees_is_no_strain() -> None:
    theta = np.deg2rad(10.0)
    found = strain(deformed(rotation(theta)), REFERENCE)
    np.testing.assert_allclose([found.e_xx, found.e_yy, found.e_xy], 0.0, atol=1e-14)
    np.testing.assert_allclose(found.theta, theta, rtol=1e-12)


def test_theta_is_positive_from_axis_0_towards_axis_1() -> None:
    # a lattice turned from rows towards columns: g along axis 0 gains a positive column
    g = REFERENCE @ rotation(0.05).T
    assert (rotation(0.05) @ np.array([1.0, 0.0]))[1] > 0
    assert strain(g[None], REFERENCE).theta[0] == pytest.approx(0.05)


def test_a_larger_real_space_along_axis_0_is_positive_e_xx() -> None:
    found = strain(deformed(np.diag([1.03, 1.0])), REFERENCE)
    assert found.e_xx[0] == pytest.approx(0.03)
    assert found.e_yy[0] == pytest.approx(0.0, abs=1e-14)


def test_shear_keeps_its_sign_under_rotation() -> None:
    U = np.array([[1.01, 0.02], [0.02, 0.98]])
    found = strain(deformed(rotation(-0.3) @ U), REFERENCE)
    np.testing.assert_allclose(
        [found.e_xx[0], found.e_yy[0], found.e_xy[0], found.theta[0]], [0.01, -0.02, 0.02, -0.3], rtol=1e-10
    )


def test_strain_agrees_with_a_polar_decomposition_by_singular_values() -> None:
    rng = np.random.default_rng(5)
    g = REFERENCE + rng.normal(0, 1, (50, 2, 2))
    found = strain(g, REFERENCE)
    for i in range(50):
        F = np.linalg.inv(g[i].T @ np.linalg.inv(REFERENCE.T)).T
        u, s, vt = np.linalg.svd(F)
        e = vt.T @ np.diag(s) @ vt - np.eye(2)
        R = u @ vt
        expected = [e[0, 0], e[1, 1], e[0, 1], np.arctan2(R[1, 0], R[0, 0])]
        np.testing.assert_allclose(
            [found.e_xx[i], found.e_yy[i], found.e_xy[i], found.theta[i]], expected, rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("bad", [np.full((2, 2), np.nan), np.zeros((2, 2)), [[1.0, 2.0], [2.0, 4.0]], REFERENCE[::-1]])
def test_no_strain_comes_out_of_no_lattice(bad: NDArray[np.float64]) -> None:
    found = strain(np.stack([np.asarray(bad), REFERENCE]), REFERENCE)
    assert np.isnan([found.e_xx[0], found.e_yy[0], found.e_xy[0], found.theta[0]]).all()
    assert found.e_xx[1] == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("reference", [np.zeros((2, 2)), np.full((2, 2), np.nan), [[1.0, 2.0], [2.0, 4.0]]])
def test_a_singular_reference_is_refused(reference: NDArray[np.float64]) -> None:
    with pytest.raises(SingularLattice, match="span no area"):
        strain(REFERENCE[None], np.asarray(reference))
