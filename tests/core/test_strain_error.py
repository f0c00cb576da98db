"""Standard errors of strain against derivatives by difference and against Monte Carlo."""

from time import perf_counter

import numpy as np
import pytest
from numpy.typing import NDArray

from livestrain_core.along_axes import along, covariance_along
from livestrain_core.axes import turn
from livestrain_core.errors import SingularLattice
from livestrain_core.strain import Strain, strain
from livestrain_core.strain_error import standard_errors, strain_covariance

Float64 = NDArray[np.float64]
REFERENCE = np.array([[21.0, 4.0], [-4.0, 21.5]])
BENT = np.array([[1.02, 0.01], [0.01, 0.99]])


def some_covariance(rng: np.random.Generator, size_px: float) -> Float64:
    """Of centre, g1 and g2, everything correlated, (6, 6) [px^2]."""
    mixed = rng.normal(0, size_px, (6, 6))
    return np.asarray(mixed @ mixed.T / 6, np.float64)


def packed(covariance: Float64) -> Float64:
    return covariance[np.triu_indices(6)][None]


def components(found: Strain) -> Float64:
    return np.stack([found.e_xx, found.e_yy, found.e_xy, found.theta])


def full(ten: Float64) -> Float64:
    out = np.zeros((4, 4))
    out[np.triu_indices(4)] = ten
    return out + np.triu(out, 1).T


@pytest.mark.parametrize("distortion", [None, BENT], ids=["round", "elliptic"])
@pytest.mark.parametrize("angle_deg", [0.0, 35.0, -160.0])
def test_the_derivative_is_exact_for_large_strain_and_rotation(angle_deg: float, distortion: Float64 | None) -> None:
    rng = np.random.default_rng(1)
    g = (REFERENCE + rng.normal(0, 1.5, (2, 2))) @ turn(np.radians(angle_deg)).T
    step, slope = 1e-6, np.empty((4, 4))
    for k in range(4):
        shifted = np.zeros(4)
        shifted[k] = step
        up, down = (components(strain((g + s * shifted.reshape(2, 2))[None], REFERENCE, distortion)) for s in (1, -1))
        slope[:, k] = (up - down)[:, 0] / (2 * step)
    covariance = some_covariance(rng, 0.1)
    found = strain_covariance(g[None], REFERENCE, packed(covariance), distortion)
    expected = slope @ covariance[2:, 2:] @ slope.T
    np.testing.assert_allclose(full(found[0]), expected, rtol=1e-6, atol=1e-6 * expected.max())


def test_the_standard_errors_are_the_scatter_of_a_noisy_lattice() -> None:
    rng = np.random.default_rng(2)
    truth = (REFERENCE @ turn(0.2).T) * 1.01
    covariance = some_covariance(rng, 0.05)
    drawn = rng.multivariate_normal(np.zeros(6), covariance, 20_000)[:, 2:].reshape(-1, 2, 2)
    scatter = components(strain(truth + drawn, REFERENCE)).std(axis=1)
    found = standard_errors(strain_covariance(truth[None], REFERENCE, packed(covariance)))
    np.testing.assert_allclose([found.e_xx[0], found.e_yy[0], found.e_xy[0], found.theta[0]], scatter, rtol=0.02)


def test_the_errors_along_other_axes_are_the_scatter_along_them() -> None:
    rng = np.random.default_rng(3)
    covariance = some_covariance(rng, 0.05)
    axes = turn(0.6) @ np.diag([1.0, -1.0])
    drawn = rng.multivariate_normal(np.zeros(6), covariance, 20_000)[:, 2:].reshape(-1, 2, 2)
    scatter = np.cov(components(along(strain(REFERENCE + drawn, REFERENCE), axes)))
    found = covariance_along(strain_covariance(REFERENCE[None], REFERENCE, packed(covariance)), axes)
    np.testing.assert_allclose(full(found[0]), scatter, rtol=0.05, atol=0.02 * scatter.max())


def test_an_exact_lattice_has_no_error_and_none_at_all_has_nan() -> None:
    g = np.stack([REFERENCE, np.full((2, 2), np.nan), REFERENCE])
    covariance = np.zeros((3, 21), np.float32)
    covariance[2] = np.nan
    found = standard_errors(strain_covariance(g, REFERENCE, covariance))
    assert found.e_xx[0] == found.theta[0] == 0.0
    for values in (found.e_xx, found.e_yy, found.e_xy, found.theta):
        assert np.isnan(values[1:]).all()


def test_noise_and_misfit_apart_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(4)
    noise, misfit = some_covariance(rng, 0.02), some_covariance(rng, 0.04)
    g = (REFERENCE * 1.01)[None]
    parts = [strain_covariance(g, REFERENCE, packed(part)) for part in (noise, misfit, noise + misfit)]
    np.testing.assert_allclose(parts[0] + parts[1], parts[2], rtol=1e-9, atol=1e-20)


def test_positions_split_or_permuted_change_no_bit() -> None:
    rng = np.random.default_rng(5)
    g = REFERENCE + rng.normal(0, 0.3, (101, 2, 2))
    covariance = rng.normal(0, 1e-3, (101, 21)).astype(np.float32)
    order = rng.permutation(101)
    axes = turn(0.4)

    def found(which: NDArray[np.int64]) -> Float64:
        return covariance_along(strain_covariance(g[which], REFERENCE, covariance[which]), axes)

    whole, shuffled = found(np.arange(101)), found(order)
    parts = np.concatenate([found(np.arange(first, min(first + 7, 101))) for first in range(0, 101, 7)])
    assert whole.tobytes() == parts.tobytes()
    assert whole[order].tobytes() == shuffled.tobytes()


def test_the_errors_of_a_large_map_take_milliseconds() -> None:
    rng = np.random.default_rng(6)
    g = REFERENCE + rng.normal(0, 0.3, (65_536, 2, 2))
    covariance = np.full((65_536, 21), 1e-4, np.float32)
    strain_covariance(g[:1], REFERENCE, covariance[:1])
    took = []
    for _ in range(5):
        began = perf_counter()
        strain_covariance(g, REFERENCE, covariance)
        took.append(perf_counter() - began)
    # far above what it takes, so that a busy machine does not fail it
    assert min(took) < 0.2


def test_a_singular_reference_or_distortion_is_refused() -> None:
    covariance = np.zeros((1, 21))
    with pytest.raises(SingularLattice, match="reference"):
        strain_covariance(REFERENCE[None], np.ones((2, 2)), covariance)
    with pytest.raises(SingularLattice, match="distortion"):
        strain_covariance(REFERENCE[None], REFERENCE, covariance, np.zeros((2, 2)))
