"""How far measured lattices are from the truth."""

from dataclasses import dataclass

import numpy as np

from livestrain_bench.case import Float64, LatticeTruth
from livestrain_core.strain import strain
from livestrain_core.strain_error import standard_errors, strain_covariance

FAILED_FROM = 0.02
"""A strain or a rotation [rad] that is off by more than this is no measurement but a failure."""


@dataclass(frozen=True)
class Score:
    """Errors of a measurement over a scan; failures count in `failed` alone."""

    rms_normal_1e4: float
    """Root mean square error of e00 and e11 together [1e-4]."""
    rms_shear_1e4: float
    """Root mean square error of e01 [1e-4]."""
    rms_theta_mrad: float
    failed: float
    """Part of the positions that is NaN, or off by more than 0.02 in any component."""
    bias_1e4: float
    """Mean error of e00 and e11 together: dilation [1e-4]."""
    bias_shear_1e4: float
    bias_theta_mrad: float
    z_rms: float
    """Root mean square of error over standard error, of all four components; NaN without standard errors [1]."""
    bound_ratio: float
    """`rms_normal_1e4` over the bound with unknown quadratic contrast; NaN where there is none [1]."""


def transform(g: Float64, reference: Float64) -> Float64 | None:
    """
    The whole-number change of basis from found lattices to a reference.

    Parameters
    ----------
    g : (n, 2, 2)
        Found lattices, [:, 0] = g1 and [:, 1] = g2 [px].
    reference : (2, 2)
        G0, with the vectors as columns [px].

    Returns
    -------
    (2, 2) or None
        W, unimodular: found columns times W come nearest to G0. None if the lattices are not those of the reference.
    """
    good = np.isfinite(g).all(axis=(1, 2))
    if not good.any():
        return None
    columns = np.median(g[good], axis=0).T
    if abs(np.linalg.det(columns)) < 1e-6:
        return None
    w = np.rint(np.linalg.solve(columns, reference))
    return np.asarray(w) if round(abs(float(np.linalg.det(w)))) == 1 else None


def score(g: Float64, covariance: Float64 | None, truth: LatticeTruth) -> Score:
    """
    Score measured lattices.

    Parameters
    ----------
    g : (n, 2, 2)
        Found lattices, [:, 0] = g1 and [:, 1] = g2, NaN where there is none, in any basis [px].
    covariance : (n, 21), optional
        Their covariance as `LatticeFit` has it [px^2].
    truth
        What they should be.

    Returns
    -------
    Score
        All failed if they are not the lattice of the truth.

    Notes
    -----
    One basis serves the whole scan. Strain does not depend on the basis in which lattice and reference are given, so
    the reference is brought to the basis found.
    """
    w = transform(g, truth.reference)
    if w is None:
        return _summary(np.full_like(truth.strain, np.nan), None, truth)
    reference = np.ascontiguousarray((truth.reference @ np.linalg.inv(w)).T)
    found = strain(g, reference)
    errors = np.stack([found.e_xx, found.e_yy, found.e_xy, found.theta], axis=1) - truth.strain
    if covariance is None:
        return _summary(errors, None, truth)
    expected = standard_errors(strain_covariance(g, reference, covariance))
    deviations = np.stack([expected.e_xx, expected.e_yy, expected.e_xy, expected.theta], axis=1)
    return _summary(errors, deviations, truth)


def _summary(errors: Float64, deviations: Float64 | None, truth: LatticeTruth) -> Score:
    with np.errstate(invalid="ignore"):
        good = (np.abs(errors) <= FAILED_FROM).all(axis=1)
    kept = errors[good]
    normal = _rms(kept[:, :2])
    bound = np.nan if truth.bound is None else _rms(truth.bound[:2])
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.nan if deviations is None else _rms(kept / deviations[good])
    mean = kept.mean(axis=0) if len(kept) else np.full(4, np.nan)
    return Score(
        rms_normal_1e4=1e4 * normal,
        rms_shear_1e4=1e4 * _rms(kept[:, 2]),
        rms_theta_mrad=1e3 * _rms(kept[:, 3]),
        failed=float(1.0 - good.mean()),
        bias_1e4=1e4 * float(mean[:2].mean()),
        bias_shear_1e4=1e4 * float(mean[2]),
        bias_theta_mrad=1e3 * float(mean[3]),
        z_rms=z,
        bound_ratio=normal / bound,
    )


def _rms(values: Float64) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else float("nan")
