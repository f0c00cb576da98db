"""A probe that is no flat disk: its image in vacuum, continued between the pixels by a cubic spline."""

from functools import lru_cache

import numpy as np
from numba import njit

from livestrain_core.pattern import Pattern
from livestrain_core.types import Float64

# zeros around the coefficients of the spline, so that its ends need no care
PAD = 2


def pattern_values(pattern: Pattern, dr: Float64, dc: Float64) -> Float64:
    """
    The probe's image, never below zero.

    Parameters
    ----------
    pattern
        The image.
    dr, dc
        Distance of each pixel from the centre of the probe [px].

    Returns
    -------
    array
        Of mean 1 inside the probe; 0 outside the image.
    """
    return np.asarray(np.maximum(_spline(pattern, dr, dc)[0], 0.0), np.float64)


def pattern_slopes(pattern: Pattern, dr: Float64, dc: Float64) -> tuple[Float64, Float64]:
    """
    Change of the image's pixels when its centre moves.

    Parameters
    ----------
    pattern
        The image.
    dr, dc
        Distance of each pixel from the centre of the probe [px].

    Returns
    -------
    (array, array)
        Derivative of `pattern_values` with respect to the centre's row and column [1/px].
    """
    value, down, along = _spline(pattern, dr, dc)
    inside = value > 0.0
    return np.where(inside, -down, 0.0), np.where(inside, -along, 0.0)


def spline_coefficients(image: Float64) -> Float64:
    """
    Coefficients of the cubic B-spline through an image, which is zero around.

    Parameters
    ----------
    image : (rows, columns)
        Values at the pixels.

    Returns
    -------
    (rows + 4, columns + 4)
        For `spline_at`.
    """
    for _ in range(2):
        # first along the rows, then, transposed, along the columns
        image = _unsmoothed(image).T
    return np.pad(image, PAD)


def _unsmoothed(image: Float64) -> Float64:
    """Solves (c[i - 1] + 4 c[i] + c[i + 1]) / 6 = image[i] for c, zero around, by elimination."""
    out, factors = 6.0 * image, np.empty(len(image))
    before, last = 0.0, np.zeros(image.shape[1])
    for i in range(len(out)):
        factors[i] = before = 1.0 / (4.0 - before)
        last = out[i] = (out[i] - last) * before
    for i in range(len(out) - 2, -1, -1):
        out[i] -= factors[i] * out[i + 1]
    return out


@njit(cache=True, nogil=True)
def spline_at(coefficients: Float64, r: Float64, c: Float64, out: Float64) -> None:
    """
    A cubic spline and its slopes.

    Parameters
    ----------
    coefficients : (rows + 4, columns + 4)
        From `spline_coefficients`.
    r, c : (n,)
        Places in the image [px].
    out : (3, n)
        Receives value, slope along the rows' numbers, slope along the columns' numbers; zero outside the image.
    """
    rows, columns = coefficients.shape[0] - 2 * PAD, coefficients.shape[1] - 2 * PAD
    weights = np.empty((4, 4))
    for k in range(len(r)):
        out[:, k] = 0.0
        i, j = int(np.floor(r[k])), int(np.floor(c[k]))
        if not (-1 <= i < rows and -1 <= j < columns):
            continue
        _cubic(r[k] - i, weights[0], weights[1])
        _cubic(c[k] - j, weights[2], weights[3])
        for a in range(4):
            row = coefficients[i + PAD - 1 + a]
            value, slope = 0.0, 0.0
            for b in range(4):
                value += weights[2, b] * row[j + PAD - 1 + b]
                slope += weights[3, b] * row[j + PAD - 1 + b]
            out[0, k] += weights[0, a] * value
            out[1, k] += weights[1, a] * value
            out[2, k] += weights[0, a] * slope


@njit(cache=True, nogil=True)
def _cubic(t: float, value: Float64, slope: Float64) -> None:
    """The four B-splines that are not zero this far behind a pixel, and their slopes."""
    s = 1.0 - t
    value[0], value[3] = s * s * s / 6.0, t * t * t / 6.0
    value[1] = (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0
    value[2] = (3.0 * s * s * s - 6.0 * s * s + 4.0) / 6.0
    slope[0], slope[3] = -0.5 * s * s, 0.5 * t * t
    slope[1] = 1.5 * t * t - 2.0 * t
    slope[2] = 2.0 * s - 1.5 * s * s


@lru_cache(maxsize=8)
def _coefficients(pattern: Pattern) -> Float64:
    return spline_coefficients(pattern.image())


def _spline(pattern: Pattern, dr: Float64, dc: Float64) -> Float64:
    """(3, ...) value and slopes in the shape of the distances."""
    down, along = np.broadcast_arrays(np.asarray(dr, np.float64), np.asarray(dc, np.float64))
    out = np.empty((3, down.size))
    r, c = (a.ravel() + (pattern.half + shift) for a, shift in zip((down, along), pattern.offset, strict=True))
    spline_at(_coefficients(pattern), r, c, out)
    return out.reshape(3, *down.shape)
