"""A frame as an image of electrons with a margin around it, and what is hidden in it."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.types import Float32, Usable

# a frame of floats with less than this many counts is normalised; it is taken to hold a usual number of electrons
FEWEST_COUNTS = 1000.0
USUAL_ELECTRONS = 1e5


class Cover(NamedTuple):
    """What hides disks."""

    hidden: Float32
    """Of the image's shape: 1 where a pixel is unusable or outside the frame, else 0."""
    flagged: NDArray[np.bool_]
    """(m,) whether anything is hidden where a disk may be."""


class Pixels(NamedTuple):
    """How a frame becomes an image."""

    margin: int
    """Zeros around a frame [px]."""
    usable: Usable
    """(rows, columns)"""
    cover: Cover
    """What is hidden in every frame."""
    plain: bool
    """Whether every pixel of every frame is usable."""
    checked: bool
    """Whether a usable pixel may be lost in a frame: not finite or saturated."""
    usable_count: int
    """Usable pixels."""
    limit: float
    """A pixel at or above it is saturated; infinite where none is [counts]."""
    electrons_per_count: float
    """Zero where it is not known, and then one, or what makes a normalised frame hold a usual number of electrons."""


@njit(cache=True, nogil=True)
def to_image(frame: NDArray[Any], pixels: Pixels, image: Float32) -> int:
    """Frame in the middle of an image, zero where nothing is seen; returns how many usable pixels were lost."""
    rows, columns = frame.shape
    margin, usable, limit = pixels.margin, pixels.usable, np.float32(pixels.limit)
    plain, checked = pixels.plain, pixels.checked
    gain = np.float32(pixels.electrons_per_count if pixels.electrons_per_count > 0.0 else 1.0)
    left = 0
    for r in range(rows):
        source, target, keep = frame[r], image[margin + r, margin : margin + columns], usable[r]
        if checked:
            # of the same width as the values, so that a loop takes many at a time
            in_row = np.int32(0)
            for c in range(len(target)):
                value = np.float32(source[c])
                # a comparison with what is not a number is false, and infinity is not below any limit
                good = (abs(value) < limit) & keep[c]
                target[c] = gain * value if good else np.float32(0.0)
                in_row = np.int32(in_row + np.int32(good))
            left += int(in_row)
        elif plain:
            for c in range(len(target)):
                target[c] = gain * np.float32(source[c])
        else:
            for c in range(len(target)):
                target[c] = gain * np.float32(source[c]) if keep[c] else np.float32(0.0)
    return pixels.usable_count - left if checked else 0


@njit(cache=True, nogil=True)
def hide_lost(frame: NDArray[Any], pixels: Pixels, cover: Cover, shown: Float32) -> None:
    """What is hidden and shown in a frame whose pixels are not all finite, or saturated."""
    hidden, flagged, usable = cover.hidden, cover.flagged, pixels.usable
    margin, limit = pixels.margin, np.float32(pixels.limit)
    hidden[:] = pixels.cover.hidden
    for r in range(frame.shape[0]):
        for c in range(frame.shape[1]):
            if usable[r, c] and not abs(np.float32(frame[r, c])) < limit:
                hidden[margin + r, margin + c] = 1.0
    shown[:] = 1.0 - hidden
    flagged[:] = True


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def total_of(image: Float32) -> float:
    """Sum of an image."""
    total = 0.0
    for r in range(image.shape[0]):
        row, part = image[r], np.float32(0.0)
        for c in range(len(row)):
            part += row[c]
        total += float(part)
    return total


@njit(cache=True, nogil=True)
def normalise(image: Float32) -> float:
    """Scale the image of a normalised frame to a usual number of electrons, in place; returns the factor."""
    total = total_of(image)
    if not 0.0 < total < FEWEST_COUNTS:
        return 1.0
    gain = USUAL_ELECTRONS / total
    for r in range(len(image)):
        row = image[r]
        for c in range(len(row)):
            row[c] *= np.float32(gain)
    return gain
