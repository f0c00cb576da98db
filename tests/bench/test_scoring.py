from dataclasses import replace

import numpy as np
import pytest

from livestrain_bench.case import LatticeTruth
from livestrain_bench.scoring import score, transform

REFERENCE = np.array([[20.0, -4.0], [4.0, 20.0]])
RNG = np.random.default_rng(1)
STRAIN = RNG.uniform(-0.01, 0.01, (40, 4))


def lattices(strain: np.ndarray) -> np.ndarray:
    """Found lattices (n, 2, 2) with these strains, vectors as rows."""
    e00, e11, e01, theta = strain.T
    cosine, sine = np.cos(theta), np.sin(theta)
    turn = np.array([[cosine, -sine], [sine, cosine]]).transpose(2, 0, 1)
    stretch = np.array([[1 + e00, e01], [e01, 1 + e11]]).transpose(2, 0, 1)
    columns = np.linalg.inv(turn @ stretch).swapaxes(1, 2) @ REFERENCE
    return np.ascontiguousarray(columns.swapaxes(1, 2))


TRUTH = LatticeTruth(STRAIN, REFERENCE, np.array([[0, 0], [1, 0], [0, 1]]), np.zeros((40, 2)), np.full(4, 1e-3))


def test_the_true_lattice_has_no_error() -> None:
    found = score(lattices(STRAIN), None, TRUTH)
    assert found.failed == 0
    assert [found.rms_normal_1e4, found.rms_shear_1e4, found.rms_theta_mrad] == pytest.approx([0, 0, 0], abs=1e-8)


@pytest.mark.parametrize("basis", [[[0, 1], [-1, 0]], [[1, 1], [0, 1]], [[2, 1], [1, 1]], [[1, 0], [-3, 1]]])
def test_any_basis_of_the_same_lattice_has_no_error(basis: list[list[int]]) -> None:
    found = score(np.array(basis, np.float64) @ lattices(STRAIN), None, TRUTH)
    assert found.failed == 0
    assert found.rms_normal_1e4 == pytest.approx(0, abs=1e-8)


def test_another_lattice_has_failed_everywhere() -> None:
    for wrong in (2.0 * lattices(STRAIN), 0.5 * lattices(STRAIN), np.full((40, 2, 2), np.nan), np.zeros((40, 2, 2))):
        found = score(wrong, None, TRUTH)
        assert found.failed == 1
        assert np.isnan(found.rms_normal_1e4)


def test_errors_are_root_mean_squares_in_the_units_of_their_names() -> None:
    off = np.zeros((40, 4))
    off[:, 0], off[:, 1], off[:, 2], off[:, 3] = 3e-4, -4e-4, 2e-4, 5e-3
    found = score(lattices(STRAIN + off), None, TRUTH)
    assert found.rms_normal_1e4 == pytest.approx(np.sqrt((9 + 16) / 2))
    assert found.rms_shear_1e4 == pytest.approx(2)
    assert found.rms_theta_mrad == pytest.approx(5)
    assert found.bias_1e4 == pytest.approx(-0.5)
    assert found.bias_shear_1e4 == pytest.approx(2)
    assert found.bias_theta_mrad == pytest.approx(5)
    assert found.bound_ratio == pytest.approx(found.rms_normal_1e4 / 10)


def test_nan_and_what_is_far_off_count_as_failed_and_nowhere_else() -> None:
    g = lattices(STRAIN)
    g[3] = np.nan
    off = np.zeros((40, 4))
    off[7, 2] = 0.021
    g[7] = lattices(STRAIN + off)[7]
    found = score(g, None, TRUTH)
    assert found.failed == pytest.approx(2 / 40)
    assert found.rms_normal_1e4 == pytest.approx(0, abs=1e-8)


def test_right_standard_errors_have_a_ratio_of_one() -> None:
    many = RNG.uniform(-0.01, 0.01, (4000, 4))
    truth = replace(TRUTH, strain=many)
    covariance = np.zeros((4000, 21))
    covariance[:, [11, 15, 18, 20]] = 0.01**2
    noisy = lattices(many) + 0.01 * RNG.standard_normal((4000, 2, 2))
    assert score(noisy, covariance, truth).z_rms == pytest.approx(1, abs=0.03)
    # in another basis the same noise has another covariance
    basis = np.array([[2.0, 1.0], [1.0, 1.0]])
    mixed = np.kron(basis, np.eye(2))
    packed = np.zeros((4000, 21))
    packed[:, 11:] = (0.01**2 * mixed @ mixed.T)[np.triu_indices(4)]
    assert score(basis @ noisy, packed, truth).z_rms == pytest.approx(1, abs=0.03)


def test_a_transform_is_unimodular_or_none() -> None:
    w = transform(np.array([[[0.0, 1.0], [-1.0, 0.0]]]) @ lattices(STRAIN[:1] * 0), REFERENCE)
    assert w is not None
    assert abs(round(float(np.linalg.det(w)))) == 1
    assert transform(3 * lattices(STRAIN), REFERENCE) is None
