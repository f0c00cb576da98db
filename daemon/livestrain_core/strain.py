from dataclasses import dataclass
from math import atan2, cos, sin

import numpy as np
from numba import njit

from livestrain_core.errors import NoReference, SingularLattice
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


def strain(g: Vectors, reference: Float64) -> Strain:
    """
    Strain and rotation of lattices relative to a reference.

    Parameters
    ----------
    g : (n, 2, 2)
        Lattice vectors, [:, 0] = g1 and [:, 1] = g2, each (row, column) [px].
    reference : (2, 2)
        The same, unstrained [px].

    Returns
    -------
    Strain
        NaN where a lattice is not finite or singular.

    Raises
    ------
    SingularLattice
        The reference spans no area.

    Notes
    -----
    With the vectors as columns, M = G G0^-1 and F = M^-T is the deformation of real space. Its right polar
    decomposition F = R U is exact for any rotation, so that a rotation alone gives no strain: e = U - I, and
    theta from R = [[c, -s], [s, c]] on (axis 0, axis 1).
    """
    columns = np.asarray(reference, np.float64).T
    if not np.isfinite(columns).all() or abs(np.linalg.det(columns)) <= 1e-9 * (columns**2).sum():
        raise SingularLattice(f"the reference vectors g1 {columns[:, 0]} and g2 {columns[:, 1]} span no area")
    out = _strain(np.ascontiguousarray(g, np.float64), np.asarray(np.linalg.inv(columns), np.float64))
    return Strain(out[0], out[1], out[2], out[3])


def median_reference(g: Vectors) -> Float64:
    """
    Median lattice of the positions that have one.

    Parameters
    ----------
    g : (n, 2, 2)
        Lattice vectors [px], NaN where there is none.

    Returns
    -------
    (2, 2)
        Component-wise median of g1, g2 [px].

    Raises
    ------
    NoReference
        No position is finite.
    """
    good = np.isfinite(g).all(axis=(1, 2))
    if not good.any():
        raise NoReference(f"none of {len(g)} positions has a lattice")
    return np.asarray(np.median(g[good], axis=0), np.float64)


@njit(cache=True, nogil=True)
def _strain(g: Float64, inverse: Float64) -> Float64:
    out = np.empty((4, len(g)))
    for i in range(len(g)):
        # M = G G0^-1 with the vectors as columns
        m00 = g[i, 0, 0] * inverse[0, 0] + g[i, 1, 0] * inverse[1, 0]
        m01 = g[i, 0, 0] * inverse[0, 1] + g[i, 1, 0] * inverse[1, 1]
        m10 = g[i, 0, 1] * inverse[0, 0] + g[i, 1, 1] * inverse[1, 0]
        m11 = g[i, 0, 1] * inverse[0, 1] + g[i, 1, 1] * inverse[1, 1]
        det = m00 * m11 - m01 * m10
        # a mirrored or flat lattice is no deformation of the reference; NaN fails the comparison as well
        if not det > 1e-9:
            out[:, i] = np.nan
            continue
        f00, f01, f10, f11 = m11 / det, -m10 / det, -m01 / det, m00 / det
        theta = atan2(f10 - f01, f00 + f11)
        c, s = cos(theta), sin(theta)
        out[0, i] = c * f00 + s * f10 - 1.0
        out[1, i] = c * f11 - s * f01 - 1.0
        out[2, i] = c * f01 + s * f11
        out[3, i] = theta
    return out
