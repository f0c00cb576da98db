"""
Products of many small matrices in one thread.

A linear algebra library starts threads for each of them, which costs more than it saves, and far more where the
processor is busy.
"""

import numpy as np
from numba import njit

from livestrain_core.types import Float64


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def inner(a: Float64, weight: Float64, b: Float64) -> Float64:
    """
    Weighted scalar products of rows.

    Parameters
    ----------
    a : (i, points)
        Rows.
    weight : (points,)
        What each point counts.
    b : (j, points)
        Rows.

    Returns
    -------
    (i, j)
        a diag(weight) b^T.
    """
    out = np.empty((len(a), len(b)))
    scaled = np.empty(a.shape[1])
    for i in range(len(a)):
        row = a[i]
        for p in range(len(row)):
            scaled[p] = row[p] * weight[p]
        for j in range(len(b)):
            other, total = b[j], 0.0
            for p in range(len(other)):
                total += scaled[p] * other[p]
            out[i, j] = total
    return out


@njit(cache=True, nogil=True)
def normals(terms: Float64, weight: Float64) -> Float64:
    """
    Normal matrices of weighted least squares.

    Parameters
    ----------
    terms : (n, k, points)
        Terms of n fits.
    weight : (n, points)
        What each point counts.

    Returns
    -------
    (n, k, k)
        Symmetric.
    """
    out = np.empty((len(terms), terms.shape[1], terms.shape[1]))
    for n in range(len(terms)):
        out[n] = inner(terms[n], weight[n], terms[n])
    return out


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def leverages(terms: Float64, inverse: Float64) -> Float64:
    """
    Quadratic form of a symmetric matrix at each point.

    Parameters
    ----------
    terms : (n, k, points)
        Terms of n fits.
    inverse : (n, k, k)
        A matrix for each.

    Returns
    -------
    (n, points)
        terms^T inverse terms at each point.
    """
    out = np.zeros((terms.shape[0], terms.shape[2]))
    mixed = np.empty(terms.shape[2])
    for n in range(len(terms)):
        into = out[n]
        for i in range(terms.shape[1]):
            mixed[:] = 0.0
            for j in range(terms.shape[1]):
                factor, row = inverse[n, i, j], terms[n, j]
                for p in range(len(mixed)):
                    mixed[p] += factor * row[p]
            row = terms[n, i]
            for p in range(len(mixed)):
                into[p] += row[p] * mixed[p]
    return out
