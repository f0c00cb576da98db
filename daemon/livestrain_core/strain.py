from dataclasses import dataclass
from math import atan2, cos, sin

import numpy as np
from numba import njit

from livestrain_core.basis import spans_area
from livestrain_core.errors import SingularLattice
from livestrain_core.types import Float64, Vectors


@dataclass(frozen=True)
class Strain:
    """Strain and rotation of each position; x is axis 0 (rows, down), y is axis 1 (columns, right)."""

    e_xx: Float64
    """(n,) along axis 0 [1]."""
    e_yy: Float64
    """(n,) along axis 1 [1]."""
    e_xy: Float64
    """(n,) tensor shear, half the engineering shear [1]."""
    theta: Float64
    """(n,) rotation from axis 0 towards axis 1 [rad]."""


def strain(g: Vectors, reference: Float64, distortion: Float64 | None = None) -> Strain:
    """
    Strain and rotation of lattices relative to a reference, along the detector's axes.

    Parameters
    ----------
    g : (n, 2, 2)
        Lattice vectors, [:, 0] = g1 and [:, 1] = g2, each (row, column) [px].
    reference : (2, 2)
        The same, unstrained [px].
    distortion : (2, 2), optional
        D of a detector whose vectors are D times the true ones; lattices and reference are both corrected.

    Returns
    -------
    Strain
        NaN where a lattice is not finite or singular.

    Raises
    ------
    SingularLattice
        The reference, or the distortion, spans no area.

    Notes
    -----
    With the vectors as columns, M = G G0^-1 and F = M^-T is the deformation of real space. Its right polar
    decomposition F = R U is exact for any rotation, so that a rotation alone gives no strain: e = U - I, and
    theta from R = [[c, -s], [s, c]] on (axis 0, axis 1).
    """
    out = _strain(np.ascontiguousarray(g, np.float64), *frame_matrices(reference, distortion))
    return Strain(out[0], out[1], out[2], out[3])


def frame_matrices(reference: Float64, distortion: Float64 | None) -> tuple[Float64, Float64]:
    """
    What a lattice is multiplied with from both sides: M = D^-1 G (D^-1 G0)^-1 = A G B.

    Raises
    ------
    SingularLattice
        The reference, or the distortion, spans no area.
    """
    columns = np.asarray(reference, np.float64).T
    if not spans_area(columns):
        raise SingularLattice(f"the reference vectors g1 {columns[:, 0]} and g2 {columns[:, 1]} span no area")
    bend = np.eye(2) if distortion is None else np.asarray(distortion, np.float64)
    if not spans_area(bend):
        raise SingularLattice(f"the distortion {bend.tolist()} spans no area")
    left, right = np.linalg.inv(bend), np.linalg.inv(columns) @ bend
    return np.ascontiguousarray(left, np.float64), np.ascontiguousarray(right, np.float64)


@njit(cache=True, nogil=True)
def deformation(g: Float64, left: Float64, right: Float64, f: Float64) -> bool:
    """F = (A G B)^-T of one lattice (2, 2), its vectors as rows; False where it is no deformation."""
    a00 = left[0, 0] * g[0, 0] + left[0, 1] * g[0, 1]
    a10 = left[1, 0] * g[0, 0] + left[1, 1] * g[0, 1]
    a01 = left[0, 0] * g[1, 0] + left[0, 1] * g[1, 1]
    a11 = left[1, 0] * g[1, 0] + left[1, 1] * g[1, 1]
    m00 = a00 * right[0, 0] + a01 * right[1, 0]
    m01 = a00 * right[0, 1] + a01 * right[1, 1]
    m10 = a10 * right[0, 0] + a11 * right[1, 0]
    m11 = a10 * right[0, 1] + a11 * right[1, 1]
    det = m00 * m11 - m01 * m10
    # a mirrored or flat lattice is no deformation of the reference; NaN fails the comparison as well
    if not det > 1e-9:
        return False
    f[0, 0], f[0, 1], f[1, 0], f[1, 1] = m11 / det, -m10 / det, -m01 / det, m00 / det
    return True


@njit(cache=True, nogil=True)
def _strain(g: Float64, left: Float64, right: Float64) -> Float64:
    out = np.empty((4, len(g)))
    f = np.empty((2, 2))
    for i in range(len(g)):
        if not deformation(g[i], left, right, f):
            out[:, i] = np.nan
            continue
        theta = atan2(f[1, 0] - f[0, 1], f[0, 0] + f[1, 1])
        c, s = cos(theta), sin(theta)
        out[0, i] = c * f[0, 0] + s * f[1, 0] - 1.0
        out[1, i] = c * f[1, 1] - s * f[0, 1] - 1.0
        out[2, i] = c * f[0, 1] + s * f[1, 1]
        out[3, i] = theta
    return out
