"""Strain and its covariance along other axes than the detector's."""

import numpy as np
from numba import njit

from livestrain_core.axes import component_matrix
from livestrain_core.strain import Strain
from livestrain_core.strain_error import transformed
from livestrain_core.types import Float64


def along(strain: Strain, axes: Float64) -> Strain:
    """
    Strain and rotation with their components along other axes.

    Parameters
    ----------
    strain
        Of n positions, along the axes that a direction is given in.
    axes : (2, 2)
        Orthogonal matrix that takes a direction to the new axes.

    Returns
    -------
    Strain
        e = A e A^T; theta changes its sign with a flip. Exact for strain and rotation of any size.

    Notes
    -----
    F becomes A F A^T = (A R A^T) (A U A^T), and A R A^T is the same rotation, or its inverse where A has a flip.
    """
    before = (strain.e_xx, strain.e_yy, strain.e_xy, strain.theta)
    # sums written out: a matrix product may round differently for another number of positions
    e_xx, e_yy, e_xy, theta = (
        row[0] * before[0] + row[1] * before[1] + row[2] * before[2] + row[3] * before[3]
        for row in component_matrix(axes)
    )
    return Strain(e_xx, e_yy, e_xy, theta)


def covariance_along(covariance: Float64, axes: Float64) -> Float64:
    """
    Covariance of strain and rotation along other axes.

    Parameters
    ----------
    covariance : (n, 10)
        Upper triangle, row by row, over (e_xx, e_yy, e_xy, theta).
    axes : (2, 2)
        As in `along`.

    Returns
    -------
    (n, 10)
        The same along the new axes.
    """
    return np.asarray(
        _all_transformed(np.ascontiguousarray(covariance, np.float64), component_matrix(axes)), np.float64
    )


@njit(cache=True, nogil=True)
def _all_transformed(covariance: Float64, change: Float64) -> Float64:
    out, work = np.empty_like(covariance), np.empty((2, 4, 4))
    for i in range(len(covariance)):
        transformed(change, covariance[i], work, out[i])
    return out
