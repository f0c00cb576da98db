import numpy as np
import pytest

from core.patterns import HEXAGONAL, OBLIQUE, PROBE, SHAPE, SQUARE
from livestrain_core.disks import track
from livestrain_core.errors import SingularLattice
from livestrain_core.lattice import Lattice, fit_lattice, predict, primitive_basis, refuse_singular
from livestrain_core.reason import Reason
from livestrain_core.seek import find_lattices
from livestrain_core.target import Target, miller
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


@pytest.mark.parametrize("off", [(0, 0), (26, 26), (-40, 13), (300, -200)])
def test_indices_far_from_the_origin_give_the_same_vectors(off: tuple[int, int]) -> None:
    near = np.array([(h, k) for h in (-1, 0, 1) for k in (-1, 0, 1)])
    patch = near + np.array(off, np.int64)
    position = predict(SQUARE, near)[None].astype(np.float32)
    ones = np.ones((1, 9), np.float32)
    fit = fit_lattice(Disks(position, ones, 10 * ones, ones), patch)
    assert fit.reason[0] == Reason.FITTED
    np.testing.assert_allclose([fit.g1[0], fit.g2[0]], [SQUARE.g1, SQUARE.g2], atol=1e-4)


@pytest.mark.parametrize("step", [(1, 0), (0, 1), (1, 1), (3, -2)])
@pytest.mark.parametrize("off", [(0, 0), (26, 25), (300, -200)])
def test_a_line_of_disks_is_one_wherever_it_lies(step: tuple[int, int], off: tuple[int, int]) -> None:
    line = np.array([(n * step[0] + off[0], n * step[1] + off[1]) for n in range(-3, 4)])
    position = predict(SQUARE, line - off)[None].astype(np.float32)
    score = np.random.default_rng(0).uniform(1, 300, (1, 7)).astype(np.float32)
    fit = fit_lattice(Disks(position, score, score, score / score), line)
    assert fit.reason[0] == Reason.COLLINEAR


@pytest.mark.parametrize("apart_px", [0.0, 0.4])
def test_disks_at_one_place_are_lost(apart_px: float) -> None:
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)])
    ones = np.ones((1, 4), np.float32)
    position = (np.array(SQUARE.centre) + apart_px * corners)[None].astype(np.float32)
    fit = fit_lattice(Disks(position, ones, 10 * ones, ones), corners)
    assert fit.reason[0] == Reason.LOST
    assert fit.disks_used[0] == 0
    for values in (fit.centre, fit.g1, fit.g2, fit.covariance, fit.residual_px):
        assert np.isnan(values).all()


NO_LATTICES = {
    "no vectors": Lattice((63.3, 64.1), (0.0, 0.0), (0.0, 0.0)),
    "parallel vectors": Lattice((63.3, 64.1), (21.0, 4.0), (-42.0, -8.0)),
    "no centre": Lattice((np.nan, 64.1), (21.0, 4.0), (-4.0, 21.0)),
    "no end": Lattice((63.3, 64.1), (np.inf, 4.0), (-4.0, 21.0)),
    "far below a pixel": Lattice((63.3, 64.1), (0.05, 0.0), (0.0, 0.05)),
}


@pytest.mark.parametrize("kind", NO_LATTICES)
def test_what_is_no_lattice_is_not_looked_for(kind: str) -> None:
    frames = np.zeros((2, *SHAPE), np.uint16)
    with pytest.raises(SingularLattice):
        refuse_singular(NO_LATTICES[kind])
    with pytest.raises(SingularLattice):
        track(frames, None, Target(NO_LATTICES[kind], miller(HK), PROBE, 4.0))
    with pytest.raises(SingularLattice):
        find_lattices(frames, None, Target(NO_LATTICES[kind], miller(HK), PROBE, 4.0))


@pytest.mark.parametrize("lattice", [SQUARE, HEXAGONAL, OBLIQUE], ids=["square", "hexagonal", "oblique"])
def test_a_lattice_is_looked_for(lattice: Lattice) -> None:
    refuse_singular(lattice)
    assert (
        find_lattices(np.zeros((2, *SHAPE), np.uint16), None, Target(lattice, miller(HK), PROBE, 4.0)).fit.reason == 1
    ).all()


def test_without_indices_there_are_no_disks_and_no_lattice() -> None:
    nothing, frames = np.empty((0, 2), np.int64), np.ones((2, *SHAPE), np.uint16)
    found = track(frames, None, Target(SQUARE, miller(nothing), PROBE, 4.0))
    shapes = [a.shape for a in (found.position, found.intensity, found.score, found.noise_part)]
    assert shapes == [(2, 0, 2), (2, 0), (2, 0), (2, 0)]
    sought = find_lattices(frames, None, Target(SQUARE, miller(nothing), PROBE, 4.0))
    assert (sought.fit.reason == Reason.NO_SIGNAL).all()
