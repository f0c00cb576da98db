import numpy as np
import pytest

from core.patterns import HEXAGONAL, OBLIQUE, SQUARE
from livestrain_core.errors import SingularLattice
from livestrain_core.lattice import Lattice, Reason, fit_lattice, predict, primitive_basis
from livestrain_core.types import Disks

HK = np.array([(h, k) for h in range(-2, 3) for k in range(-2, 3)])


def disks(sigma: float, n: int, rng: np.random.Generator, lattice: Lattice = SQUARE) -> Disks:
    position = predict(lattice, HK) + rng.normal(0, sigma, (n, len(HK), 2))
    ones = np.ones((n, len(HK)), np.float32)
    return Disks(position.astype(np.float32), 100 * ones, ones / np.float32(max(sigma, 1e-3)), ones)


def keep(found: Disks, which: list[int]) -> Disks:
    position, score = found.position.copy(), found.score.copy()
    lost = np.setdiff1d(np.arange(len(HK)), which)
    position[:, lost] = np.nan
    score[:, lost] = 0
    return Disks(position, found.intensity, score, found.noise_part)


@pytest.mark.parametrize("lattice", [SQUARE, HEXAGONAL, OBLIQUE], ids=["square", "hexagonal", "oblique"])
def test_a_basis_is_primitive_reduced_and_right_handed(lattice: Lattice) -> None:
    peaks = (predict(lattice, HK) - np.array(lattice.centre))[np.abs(HK).sum(axis=1) > 0]
    basis = primitive_basis(peaks + np.random.default_rng(0).normal(0, 0.2, peaks.shape))
    np.testing.assert_allclose(basis, [lattice.g1, lattice.g2], atol=0.25)
    assert np.linalg.det(basis) > 0


def test_missing_and_foreign_peaks_do_not_change_the_basis() -> None:
    rng = np.random.default_rng(4)
    peaks = (predict(HEXAGONAL, HK) - np.array(HEXAGONAL.centre))[rng.permutation(len(HK))[:16]]
    foreign = rng.uniform(-50, 50, (2, 2))
    basis = primitive_basis(np.concatenate([peaks, foreign]))
    np.testing.assert_allclose(basis, [HEXAGONAL.g1, HEXAGONAL.g2], atol=0.2)


def test_the_basis_does_not_depend_on_the_order_of_the_peaks() -> None:
    peaks = (predict(SQUARE, HK) - np.array(SQUARE.centre))[1:]
    np.testing.assert_allclose(primitive_basis(peaks), primitive_basis(peaks[::-1]), atol=1e-9)


@pytest.mark.parametrize("peaks", [np.empty((0, 2)), [[10.0, 0.0]], [[10.0, 1.0], [20.0, 2.0], [-10.0, -1.0]]])
def test_peaks_on_one_line_have_no_basis(peaks: list[list[float]]) -> None:
    with pytest.raises(SingularLattice):
        primitive_basis(np.asarray(peaks))


def test_an_exact_lattice_is_recovered_exactly() -> None:
    fit = fit_lattice(disks(0.0, 2, np.random.default_rng(0)), HK)
    np.testing.assert_allclose(fit.centre[1], SQUARE.centre, atol=1e-5)
    np.testing.assert_allclose(fit.g1[1], SQUARE.g1, atol=1e-5)
    np.testing.assert_allclose(fit.g2[1], SQUARE.g2, atol=1e-5)
    assert fit.disks_used[1] == len(HK)
    assert fit.reason[1] == Reason.FITTED


def test_the_covariance_is_the_scatter_of_the_fit() -> None:
    fit = fit_lattice(disks(0.1, 4000, np.random.default_rng(7)), HK)
    parameters = np.concatenate([fit.centre, fit.g1, fit.g2], axis=1)
    scatter = np.cov(parameters.T)[np.triu_indices(6)]
    promised = fit.covariance.mean(axis=0)
    diagonal = [0, 6, 11, 15, 18, 20]
    np.testing.assert_allclose(promised[diagonal], scatter[diagonal], rtol=0.2)
    np.testing.assert_allclose(promised, scatter, atol=0.1 * scatter[diagonal].max())
    assert fit.residual_px.mean() == pytest.approx(0.1, rel=0.15)


def test_weights_make_a_bad_disk_harmless_when_its_score_says_so() -> None:
    found = disks(0.0, 1, np.random.default_rng(0))
    found.position[0, 3] += 0.5
    found.score[0, 3] = 1e-3
    np.testing.assert_allclose(fit_lattice(found, HK).g1[0], SQUARE.g1, atol=1e-3)


def test_an_outlier_with_a_good_score_is_left_out() -> None:
    found = disks(0.02, 1, np.random.default_rng(0))
    found.position[0, 24] += 3.0
    fit = fit_lattice(found, HK)
    np.testing.assert_allclose(fit.g1[0], SQUARE.g1, atol=0.03)
    assert fit.disks_used[0] < len(HK)


@pytest.mark.parametrize(
    ("which", "reason"),
    [
        ([], Reason.NO_SIGNAL),
        ([12], Reason.TOO_FEW_DISKS),
        ([12, 13], Reason.TOO_FEW_DISKS),
        ([11, 12, 13], Reason.COLLINEAR),
        ([6, 12, 18, 24], Reason.COLLINEAR),
    ],
)
def test_too_little_gives_nan_with_the_reason(which: list[int], reason: Reason) -> None:
    fit = fit_lattice(keep(disks(0.02, 2, np.random.default_rng(0)), which), HK)
    assert (fit.reason == reason).all()
    for values in (fit.centre, fit.g1, fit.g2, fit.covariance, fit.residual_px):
        assert np.isnan(values).all()
    assert (fit.disks_used == 0).all()


def test_three_disks_off_one_line_are_enough() -> None:
    fit = fit_lattice(keep(disks(0.02, 2, np.random.default_rng(0)), [12, 13, 17]), HK)
    assert (fit.reason == Reason.FITTED).all()
    np.testing.assert_allclose(fit.g1, np.broadcast_to(SQUARE.g1, (2, 2)), atol=0.15)
    assert np.isfinite(fit.covariance).all()


def test_disks_that_share_no_lattice_are_lost() -> None:
    found = disks(0.0, 1, np.random.default_rng(0))
    found.position[0] += np.random.default_rng(1).uniform(-9, 9, found.position[0].shape).astype(np.float32)
    fit = fit_lattice(found, HK)
    assert fit.reason[0] == Reason.LOST
    assert np.isnan(fit.g1).all()
