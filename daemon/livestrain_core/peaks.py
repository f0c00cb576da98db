"""Kernels for the maxima of a map: which they are, and where between the places of the map."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.types import Float32, Float64


@njit(cache=True, nogil=True)
def maxima(contrast: Float32, score2: Float32, least: float, found: NDArray[np.int64]) -> int:
    """Local maxima (row, column) among eight neighbours with at least a score, row by row; returns how many."""
    rows, columns = contrast.shape
    nothing, peak = np.zeros(columns, np.float32), np.zeros(columns, np.bool_)
    count, threshold = 0, np.float32(least * least)
    for r in range(rows):
        scores, enough = score2[r], 0
        for c in range(columns):
            enough += scores[c] >= threshold
        if enough == 0:
            continue
        before = contrast[r - 1] if r > 0 else nothing
        after = contrast[r + 1] if r + 1 < rows else nothing
        mark_peaks(before, contrast[r], after, scores, threshold, peak)
        peaks = 0
        for c in range(columns):
            peaks += peak[c]
        if peaks == 0:
            continue
        for c in range(columns):
            if peak[c]:
                found[count, 0], found[count, 1] = r, c
                count += 1
    return count


@njit(cache=True, nogil=True)
def mark_peaks(
    before: Float32, row: Float32, after: Float32, scores: Float32, least: np.float32, peak: NDArray[np.bool_]
) -> None:
    """Which values of a row are the highest of three rows around them and have a score; the outermost ones are not."""
    value, score, out = row[1:-1], scores[1:-1], peak[1:-1]
    left, right = row[:-2], row[2:]
    a, b, c = before[:-2], before[1:-1], before[2:]
    d, e, f = after[:-2], after[1:-1], after[2:]
    for k in range(len(out)):
        # of equal neighbours the first counts
        v = value[k]
        here = (v > np.float32(0.0)) & (score[k] >= least) & (v > left[k]) & (v >= right[k])
        out[k] = here & (v > a[k]) & (v > b[k]) & (v > c[k]) & (v >= d[k]) & (v >= e[k]) & (v >= f[k])


@njit(cache=True, nogil=True)
def summit(contrast: Float32, r: int, c: int, place: Float64) -> None:
    """Sub-bin position (row, column) of a maximum."""
    rows, columns = contrast.shape
    here = np.float64(contrast[r, c])
    place[0], place[1] = r, c
    if 0 < r < rows - 1:
        place[0] += parabola(np.float64(contrast[r - 1, c]), here, np.float64(contrast[r + 1, c]))
    if 0 < c < columns - 1:
        place[1] += parabola(np.float64(contrast[r, c - 1]), here, np.float64(contrast[r, c + 1]))


@njit(cache=True, nogil=True)
def parabola(before: float, here: float, after: float) -> float:
    """Offset of the summit of a parabola through three equidistant values, at most half a step."""
    curvature = 2.0 * here - before - after
    if not curvature > 0.0:
        return 0.0
    return min(max(0.5 * (after - before) / curvature, -0.5), 0.5)
