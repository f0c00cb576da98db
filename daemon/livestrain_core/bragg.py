from dataclasses import dataclass
from math import floor, isfinite

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from livestrain_core.types import Float64

INSIDE, OUTSIDE, UNCENTRED = 0, 1, 2
"""What can become of a Bragg vector; each is counted, so that none is lost silently."""


@dataclass(frozen=True)
class VectorMap:
    """
    A Bragg vector map while it is being made.

    `add_vectors` adds to its arrays; adding in order gives the same bits, whatever the portions.
    """

    image: Float64
    """(rows * sampling, columns * sampling) summed intensity [counts]."""
    sampling: int
    """Pixels of the map per detector pixel, along each axis."""
    counts: NDArray[np.int64]
    """(3,) vectors in the image, outside of it, and at positions without a centre."""
    intensities: Float64
    """(3,) the summed intensity of each kind [counts]."""


def empty_vector_map(frame_shape: tuple[int, int], sampling: int = 1) -> VectorMap:
    """
    A Bragg vector map without vectors.

    Parameters
    ----------
    frame_shape
        (rows, columns) of the detector.
    sampling
        Pixels of the map per detector pixel, along each axis.

    Raises
    ------
    ValueError
        If sampling is below 1.
    """
    if sampling < 1:
        raise ValueError(f"expected a sampling of at least 1, found {sampling}")
    shape = (frame_shape[0] * sampling, frame_shape[1] * sampling)
    return VectorMap(np.zeros(shape), sampling, np.zeros(3, np.int64), np.zeros(3))


def add_vectors(found: VectorMap, position: ArrayLike, intensity: ArrayLike, shift: ArrayLike | None = None) -> None:
    """
    Adds Bragg vectors to a map.

    Parameters
    ----------
    found
        The map; changed in place.
    position : (n, m, 2)
        Places of up to m disks at n scan positions, (row, column); NaN where there is none [px].
    intensity : (n, m)
        Their intensities [counts].
    shift : (n, 2), optional
        Added to all places of a scan position, to take the descan out; NaN where it is not known [px].

    Notes
    -----
    Each intensity is shared among the four pixels around its place in proportion to their nearness. A place on the
    detector has at least one of them in the image, and those that would lie beyond the edge leave their share to it,
    so that the sum over the image is the summed intensity, to rounding. Places off the detector (a shift can move
    them there) and those whose shift is not known are counted apart.
    """
    where = np.ascontiguousarray(position, np.float64)
    moved = np.zeros((len(where), 2)) if shift is None else np.ascontiguousarray(shift, np.float64)
    values = np.ascontiguousarray(intensity, np.float64)
    if values.shape != where.shape[:-1] or where.shape[-1] != 2 or moved.shape != (len(where), 2):
        raise ValueError(f"expected (n, m, 2), (n, m), (n, 2), found {where.shape}, {values.shape}, {moved.shape}")
    _add(where, values, moved, float(found.sampling), found.image, found.counts, found.intensities)


def bragg_vector_map(
    position: ArrayLike,
    intensity: ArrayLike,
    frame_shape: tuple[int, int],
    sampling: int = 1,
    shift: ArrayLike | None = None,
) -> VectorMap:
    """
    The bilinear histogram of Bragg vectors, weighted by their intensities.

    Parameters
    ----------
    position, intensity, shift
        As of `add_vectors`.
    frame_shape, sampling
        As of `empty_vector_map`.

    Returns
    -------
    VectorMap
        Detector place q lies at (q + 1/2) sampling - 1/2 in pixels of the image.
    """
    found = empty_vector_map(frame_shape, sampling)
    add_vectors(found, position, intensity, shift)
    return found


@njit(cache=True, nogil=True)
def _add(
    position: Float64,
    intensity: Float64,
    shift: Float64,
    sampling: float,
    image: Float64,
    counts: NDArray[np.int64],
    intensities: Float64,
) -> None:
    rows, columns = image.shape
    for i in range(len(position)):
        centred = isfinite(shift[i, 0]) and isfinite(shift[i, 1])
        for j in range(position.shape[1]):
            value = intensity[i, j]
            if not (isfinite(position[i, j, 0]) and isfinite(position[i, j, 1]) and isfinite(value)):
                continue
            r = (position[i, j, 0] + shift[i, 0] + 0.5) * sampling - 0.5
            c = (position[i, j, 1] + shift[i, 1] + 0.5) * sampling - 0.5
            kind = INSIDE
            if not centred:
                kind = UNCENTRED
            elif not (-0.5 <= r <= rows - 0.5 and -0.5 <= c <= columns - 0.5):
                kind = OUTSIDE
            counts[kind] += 1
            intensities[kind] += value
            if kind != INSIDE:
                continue
            row, column = floor(r), floor(c)
            # differences, not products, so that the four shares add up to the whole
            lower = value * (r - row)
            upper = value - lower
            lower_right, upper_right = lower * (c - column), upper * (c - column)
            # beyond the edge a share goes to the pixel at the edge
            top, bottom = max(row, 0), min(row + 1, rows - 1)
            left, right = max(column, 0), min(column + 1, columns - 1)
            image[top, left] += upper - upper_right
            image[top, right] += upper_right
            image[bottom, left] += lower - lower_right
            image[bottom, right] += lower_right
