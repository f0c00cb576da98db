"""
Measure a disk from its visible pixels alone.

The filters of `templates` expect a whole window. Where a part of it is hidden the same estimate - generalised least
squares with the contrast as a random field - is solved for the pixels that are left: the normal matrix of the whole
window, made once, less what the hidden pixels would have added.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
from numba import njit

from livestrain_core.contrast import Contrast
from livestrain_core.probe import Probe
from livestrain_core.products import inner
from livestrain_core.templates import CLASSES, SHIFTS, disk_model, pixel_variance, window_half, within
from livestrain_core.types import Float32, Float64

# a diagonal element that is smaller than this part of what it was has been hidden as good as wholly
SMALLEST = 1e-6


class Visible(NamedTuple):
    """Normal equations of a disk's window for each class of brightness and sub-pixel shift."""

    terms: Float64
    """(shifts, shifts, pixels, k): displacement row, column, disk, plane (3), contrast modes."""
    weight: Float32
    """(classes, shifts, shifts, pixels) inverse variance of a pixel of a disk of one count."""
    normal: Float64
    """(classes, shifts, shifts, k, k) of the whole window, what is known of the contrast included."""
    spread: Float64
    """(classes, shifts, shifts) sum of both displacements' variances in a whole window [px^2]."""


class Equations(NamedTuple):
    """Room for the equations of one disk."""

    normal: Float64
    """(k, k), then its Cholesky factor in the lower triangle."""
    right: Float64
    """(3, k): the data, and the unit vectors of both displacements; then the solutions."""


NOTHING = Visible(
    np.empty((0, 0, 0, 0)),
    np.empty((0, 0, 0, 0), np.float32),
    np.empty((0, 0, 0, 0, 0)),
    np.empty((0, 0, 0)),
)
"""Where hidden pixels are filled instead."""


def visible_tables(probe: Probe, contrast: Contrast, reach_px: float) -> Visible:
    """
    Normal equations of whole windows.

    Parameters
    ----------
    probe
        Radius and edge [px].
    contrast
        Statistics of the intensity inside disks.
    reach_px
        Distance from a disk's centre at which its neighbours begin [px].

    Returns
    -------
    Visible
        Windows of (2 half + 1)^2 pixels, without filling.
    """
    half = window_half(probe)
    near = within(probe, half, reach_px)
    shifts = [(a + 0.5) / SHIFTS - 0.5 for a in range(SHIFTS)]
    models = [[np.concatenate(disk_model(probe, contrast, half, (a, b))) for b in shifts] for a in shifts]
    terms = np.array(models)
    k = terms.shape[2]
    weight = np.zeros((len(CLASSES), SHIFTS, SHIFTS, terms.shape[3]), np.float32)
    normal = np.zeros((len(CLASSES), SHIFTS, SHIFTS, k, k))
    for kind, electrons in enumerate(CLASSES):
        for a in range(SHIFTS):
            for b in range(SHIFTS):
                weight[kind, a, b] = near / pixel_variance(terms[a, b, 2], electrons, contrast)
                # of the rounded weights, so that nothing is left when all pixels are hidden
                normal[kind, a, b] = inner(terms[a, b], weight[kind, a, b].astype(np.float64), terms[a, b])
    normal[..., range(6, k), range(6, k)] += 1.0
    inverse = np.linalg.inv(normal)
    spread = inverse[..., 0, 0] + inverse[..., 1, 1]
    return Visible(np.ascontiguousarray(terms.swapaxes(2, 3)), weight, normal, spread)


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def set_up(
    window: Float32, hidden: Float32, terms: Float64, weight: Float32, whole: Float64, equations: Equations
) -> None:
    """Equations of the visible pixels of a window that is zero where it is hidden; the lower triangle only."""
    normal, right = equations.normal, equations.right
    normal[:] = whole
    right[:] = 0.0
    right[1, 0] = right[2, 1] = 1.0
    data = right[0]
    for p in range(len(window)):
        # nothing is to be added for empty pixels, nor taken away for those beyond the window's reach
        if weight[p] == 0.0 or (hidden[p] == 0.0 and window[p] == 0.0):
            continue
        term = terms[p]
        if hidden[p] == 0.0:
            value = np.float64(weight[p]) * window[p]
            for i in range(len(term)):
                data[i] += value * term[i]
            continue
        for i in range(len(term)):
            row, factor = normal[i], weight[p] * term[i]
            for j in range(i + 1):
                row[j] -= factor * term[j]


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def factorise(normal: Float64, whole: Float64) -> bool:
    """Cholesky factor in the lower triangle, in place; False where the visible pixels do not tell some term."""
    for i in range(len(normal)):
        row = normal[i]
        for j in range(i):
            other, total = normal[j], row[j]
            for m in range(j):
                total -= row[m] * other[m]
            row[j] = total / other[j]
        total = row[i]
        for m in range(i):
            total -= row[m] * row[m]
        if not total > SMALLEST * whole[i, i]:
            return False
        row[i] = sqrt(total)
    return True


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def substitute(factor: Float64, values: Float64) -> None:
    """Solve with a Cholesky factor, in place."""
    k = len(values)
    for i in range(k):
        total = values[i]
        for m in range(i):
            total -= factor[i, m] * values[m]
        values[i] = total / factor[i, i]
    for i in range(k - 1, -1, -1):
        total = values[i]
        for m in range(i + 1, k):
            total -= factor[m, i] * values[m]
        values[i] = total / factor[i, i]


@njit(cache=True, nogil=True)
def measure_visible(
    window: Float32, hidden: Float32, visible: Visible, at: tuple[int, int, int], equations: Equations
) -> tuple[float, float, float, float]:
    """
    Displacement times intensity (row, column), intensity, and the factor by which hiding raises the variance.

    Parameters
    ----------
    window : (pixels,)
        A disk's window, zero where it is hidden [electrons].
    hidden : (pixels,)
        1 where it is hidden.
    visible
        Equations of whole windows.
    at
        Class of brightness and sub-pixel shift (row, column).
    equations
        Room.

    Returns
    -------
    (float, float, float, float)
        Infinite the last where too little is visible.
    """
    kind, a, b = at
    whole = visible.normal[kind, a, b]
    set_up(window, hidden, visible.terms[a, b], visible.weight[kind, a, b], whole, equations)
    right = equations.right
    if not factorise(equations.normal, whole):
        return 0.0, 0.0, 0.0, np.inf
    for n in range(len(right)):
        substitute(equations.normal, right[n])
    return right[0, 0], right[0, 1], right[0, 2], (right[1, 0] + right[2, 1]) / visible.spread[kind, a, b]
