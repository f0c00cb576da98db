"""Standard errors of strain and rotation, from the covariance of the lattice they come from."""

from dataclasses import dataclass
from math import hypot

import numpy as np
from numba import njit

from livestrain_core.strain import deformation, frame_matrices
from livestrain_core.types import Float32, Float64, Vectors


@dataclass(frozen=True)
class StrainError:
    """Standard errors of each position's strain and rotation."""

    e_xx: Float64
    """(n,) [1]."""
    e_yy: Float64
    """(n,) [1]."""
    e_xy: Float64
    """(n,) [1]."""
    theta: Float64
    """(n,) [rad]."""


def strain_covariance(
    g: Vectors, reference: Float64, covariance: Float64 | Float32, distortion: Float64 | None = None
) -> Float64:
    """
    Covariance of strain and rotation, along the detector's axes.

    Parameters
    ----------
    g : (n, 2, 2)
        Lattice vectors, [:, 0] = g1 and [:, 1] = g2, each (row, column) [px].
    reference : (2, 2)
        The same, unstrained; it counts as exact [px].
    covariance : (n, 21)
        Upper triangle, row by row, over (centre r, centre c, g1 r, g1 c, g2 r, g2 c); of the noise, of the misfit, or
        of both together [px^2].
    distortion : (2, 2), optional
        D of a detector whose vectors are D times the true ones.

    Returns
    -------
    (n, 10)
        Upper triangle, row by row, over (e_xx, e_yy, e_xy, theta) [1, rad]; NaN where there is no strain or no
        covariance.

    Raises
    ------
    SingularLattice
        The reference, or the distortion, spans no area.

    Notes
    -----
    First order in the error of the lattice, with the exact derivative of the polar decomposition at the measured
    lattice: dF = -F dM^T F, dtheta from atan2, dU = R^T dF - dtheta J U with J the quarter turn. Strain and rotation of
    any size are covered.
    """
    left, right = frame_matrices(reference, distortion)
    # of the 21 values, those over g1 and g2 are the last ten
    lattice = np.ascontiguousarray(np.asarray(covariance)[:, 11:], np.float64)
    return np.asarray(_covariances(np.ascontiguousarray(g, np.float64), left, right, lattice), np.float64)


def standard_errors(covariance: Float64) -> StrainError:
    """Standard errors out of a packed covariance (n, 10) over (e_xx, e_yy, e_xy, theta)."""
    # rounding may leave a variance of zero just below it
    errors = np.sqrt(np.maximum(covariance[:, [0, 4, 7, 9]], 0.0))
    return StrainError(errors[:, 0], errors[:, 1], errors[:, 2], errors[:, 3])


@njit(cache=True, nogil=True)
def transformed(slope: Float64, packed: Float64, work: Float64, out: Float64) -> None:
    """
    Packed covariance S C S^T of (4,) values that depend by S on others, whose packed covariance is C.

    `work` is (2, 4, 4) to calculate in.
    """
    half, full = work[0], work[1]
    at = 0
    for p in range(4):
        for q in range(p, 4):
            full[p, q] = full[q, p] = packed[at]
            at += 1
    for k in range(4):
        for q in range(4):
            half[k, q] = (
                slope[k, 0] * full[0, q]
                + slope[k, 1] * full[1, q]
                + slope[k, 2] * full[2, q]
                + slope[k, 3] * full[3, q]
            )
    at = 0
    for k in range(4):
        for m in range(k, 4):
            out[at] = (
                half[k, 0] * slope[m, 0]
                + half[k, 1] * slope[m, 1]
                + half[k, 2] * slope[m, 2]
                + half[k, 3] * slope[m, 3]
            )
            at += 1


@njit(cache=True, nogil=True)
def _covariances(g: Float64, left: Float64, right: Float64, packed: Float64) -> Float64:
    out = np.empty((len(g), 10))
    f, slope, work = np.empty((2, 2)), np.empty((4, 4)), np.empty((2, 4, 4))
    for i in range(len(g)):
        if deformation(g[i], left, right, f):
            _slope(f, left, right, slope)
            transformed(slope, packed[i], work, out[i])
        else:
            out[i] = np.nan
    return out


@njit(cache=True, nogil=True)
def _slope(f: Float64, left: Float64, right: Float64, slope: Float64) -> None:
    """Derivative (4, 4) of (e_xx, e_yy, e_xy, theta) by (g1 r, g1 c, g2 r, g2 c)."""
    p, q = f[0, 0] + f[1, 1], f[1, 0] - f[0, 1]
    size = hypot(p, q)
    c, s = p / size, q / size
    u01, u11 = c * f[0, 1] + s * f[1, 1], c * f[1, 1] - s * f[0, 1]
    for j in range(2):
        # dM^T is the outer product of these two, so that dF = -(F b) (a^T F)
        v0 = f[0, 0] * right[j, 0] + f[0, 1] * right[j, 1]
        v1 = f[1, 0] * right[j, 0] + f[1, 1] * right[j, 1]
        for a in range(2):
            w0 = left[0, a] * f[0, 0] + left[1, a] * f[1, 0]
            w1 = left[0, a] * f[0, 1] + left[1, a] * f[1, 1]
            d00, d01, d10, d11 = -v0 * w0, -v0 * w1, -v1 * w0, -v1 * w1
            turn = (p * (d10 - d01) - q * (d00 + d11)) / (size * size)
            k = 2 * j + a
            slope[0, k] = c * d00 + s * d10 + turn * u01
            slope[1, k] = c * d11 - s * d01 - turn * u01
            slope[2, k] = c * d01 + s * d11 + turn * u11
            slope[3, k] = turn
