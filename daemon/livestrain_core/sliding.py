"""
Kernels for the contrast of a disk against its annulus at every shift of a frame.

A frame is copied into an image with a hidden margin and binned; sums over disks are differences of column sums. Each
is taken over the pixels that are visible.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.types import Float32, Float64, Frames

# a frame of floats with less than this many counts is normalised; it is taken to hold a usual number of electrons
FEWEST_COUNTS = 1000.0
USUAL_ELECTRONS = 1e5
# a pixel this many counts above this multiple of all four neighbours is broken or was hit by a cosmic ray
SPIKE_COUNTS = 10.0
SPIKE_FACTOR = 4.0
# rows that are correlated together, so that they stay in the nearest cache
STRIP = 12


class Layout(NamedTuple):
    """How an image is laid out and searched."""

    rows: int
    """Rows of a frame [px]."""
    columns: int
    """Columns of a frame [px]."""
    margin: int
    """Hidden pixels around the frame [px]."""
    step: int
    """Binning of the search [px]."""
    half: int
    """The window in which a disk is measured has 2 half + 1 pixels a side."""
    stride: int
    """Columns of such a window with those that fill it up."""
    reach: int
    """The window in which a disk is examined has 2 reach + 1 pixels a side."""
    radius: float
    """Radius of a disk [px]."""
    cover_radius: float
    """Radius of what a disk covers, its edge included [px]."""
    area: float
    """Pixels under a disk."""
    visible: float
    """Part of a disk that must be visible."""
    normalised: bool
    """Whether frames may hold intensities that are not counts."""


Whole: TypeAlias = NDArray[np.int64]
Tables: TypeAlias = tuple[Float32, Float64, Whole, Whole, Whole, Whole, Whole, Whole]
"""Filters, limits of their classes, sectors (offsets and their ends), chords of the disk and of the disk with ring
(offset along the row, and which of the lengths), offsets at which the contrast of a disk has fallen, and half the
lengths of chords, all in bins."""
Cover: TypeAlias = NDArray[np.int16]
"""Whose each pixel of an image is: free (0), hidden (-1), or of a disk found before (its number)."""
Visible: TypeAlias = tuple[NDArray[np.bool_], NDArray[np.int64], Float32, Float32]
"""Hidden pixels, their number above and left of each, and one over the visible bins of disk and annulus."""


@njit(cache=True, nogil=True)
def load(frames: Frames, usable: NDArray[np.bool_], images: Float32, finite: NDArray[np.bool_], margin: int) -> None:
    """Copy frames into the middle of images, zero where unusable; what is not finite stays so and is told."""
    for i in range(len(frames)):
        good = True
        for r in range(frames.shape[1]):
            source, target = frames[i, r], images[i, r + margin, margin : margin + frames.shape[2]]
            for c in range(len(source)):
                target[c] = source[c]
            if usable.shape[0] == frames.shape[1]:
                keep = usable[r]
                for c in range(len(keep)):
                    target[c] = target[c] if keep[c] else np.float32(0.0)
            for c in range(len(target)):
                # the difference with itself is zero unless it is NaN or infinite
                good &= target[c] - target[c] == 0
        finite[i] = good


@njit(cache=True, nogil=True)
def hide_bad(image: Float32, hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Make what is not finite zero, in place; returns the hidden pixels with these."""
    hidden = hidden.copy()
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            if image[r, c] - image[r, c] != 0:
                hidden[r, c], image[r, c] = True, 0.0
    return hidden


@njit(cache=True, nogil=True)
def scale_to_counts(image: Float32) -> float:
    """Scale a normalised image to a usual number of electrons, in place; returns the factor."""
    total = np.float64(image.sum())
    if not 0.0 < total < FEWEST_COUNTS:
        return 1.0
    gain = USUAL_ELECTRONS / total
    for r in range(len(image)):
        image[r] *= np.float32(gain)
    return gain


@njit(cache=True, nogil=True)
def quench(image: Float32, margin: int) -> None:
    """Replace single pixels far above all their neighbours by the mean of these, in place."""
    factor, offset = np.float32(SPIKE_FACTOR), np.float32(SPIKE_COUNTS)
    width = image.shape[1] - 2
    for r in range(margin, image.shape[0] - margin):
        above, row, below = image[r - 1, 1:-1], image[r], image[r + 1, 1:-1]
        here, left, right = row[1:-1], row[:-2], row[2:]
        spikes = 0
        for c in range(width):
            highest = max(above[c], below[c], left[c], right[c])
            spikes += here[c] > offset + factor * highest
        if spikes > 0:
            for c in range(width):
                highest = max(above[c], below[c], left[c], right[c])
                if here[c] > offset + factor * highest:
                    here[c] = np.float32(0.25) * (above[c] + below[c] + left[c] + right[c])


@njit(cache=True, nogil=True)
def column_sums(image: Float32, step: int, prefix: Float32, line: Float32) -> None:
    """Row r of `prefix` holds the sum of the binned rows above r, column by column; rows beyond the bins are left."""
    rows, columns = image.shape[0] // step, image.shape[1] // step
    prefix[0, :] = 0.0
    for r in range(rows):
        above, below = prefix[r], prefix[r + 1]
        if step == 1:
            row = image[r]
            for c in range(columns):
                below[c] = above[c] + row[c]
            continue
        width = columns * step
        tall = line[:width]
        tall[:] = image[r * step, :width]
        for i in range(1, step):
            row = image[r * step + i]
            for c in range(width):
                tall[c] += row[c]
        while width > columns:
            width //= 2
            for c in range(width):
                tall[c] = tall[2 * c] + tall[2 * c + 1]
        for c in range(columns):
            below[c] = above[c] + tall[c]


@njit(cache=True, nogil=True)
def chord_sums(prefix: Float32, start: int, length: int, width: int, halves: Whole, sums: Float32) -> None:
    """Sums over columns of 2 half + 1 bins at consecutive shifts, one row for each half; `prefix` is flattened."""
    for i in range(len(halves)):
        top, low = start - halves[i] * width, start + (halves[i] + 1) * width
        above, below, out = prefix[top : top + length], prefix[low : low + length], sums[i][:length]
        for k in range(len(out)):
            out[k] = below[k] - above[k]


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def disk_sums(columns: Float32, first: int, chords: Whole, sums: Float32) -> None:
    """
    Sums over a disk at consecutive shifts, `first` being that of the first among the sums over its columns.

    A chord is its offset along the row and the row of `columns` that it is taken from. Their number is a multiple of
    four: four at a time quarter the traffic.
    """
    n = len(sums)
    for i in range(0, len(chords), 4):
        at = first + chords[i, 0], first + chords[i + 1, 0], first + chords[i + 2, 0], first + chords[i + 3, 0]
        a, b = columns[chords[i, 1]][at[0] : at[0] + n], columns[chords[i + 1, 1]][at[1] : at[1] + n]
        c, d = columns[chords[i + 2, 1]][at[2] : at[2] + n], columns[chords[i + 3, 1]][at[3] : at[3] + n]
        if i == 0:
            for k in range(n):
                sums[k] = (a[k] + b[k]) + (c[k] + d[k])
        else:
            for k in range(n):
                sums[k] += (a[k] + b[k]) + (c[k] + d[k])


@njit(cache=True, nogil=True)
def disk_sum(prefix: Float32, r: int, c: int, chords: Whole, halves: Whole) -> float:
    """Sum over the disk around one bin."""
    total = np.float32(0.0)
    for i in range(len(chords)):
        if chords[i, 1] < len(halves):
            half, column = halves[chords[i, 1]], c + chords[i, 0]
            total += prefix[r + half + 1, column] - prefix[r - half, column]
    return float(total)


@njit(cache=True, nogil=True)
def strip_room(width: int, tables: Tables) -> tuple[Float32, Float32, Float32]:
    """Sums over columns, over disks, and over these with their annuli, of some rows of shifts."""
    # one row more stays zero: chords that only fill up their number refer to it
    columns = np.zeros((len(tables[7]) + 1, (STRIP + 2) * width), np.float32)
    return columns, np.empty(STRIP * width, np.float32), np.empty(STRIP * width, np.float32)


@njit(cache=True, nogil=True)
def strip_sums(
    prefix: Float32, r: int, length: int, tables: Tables, room: tuple[Float32, Float32, Float32]
) -> tuple[Float32, Float32]:
    """Sums over disks, and over these with their annuli, at consecutive shifts from the start of a row of bins on."""
    width, halves = prefix.shape[1], tables[7]
    # a disk reaches less than a row beyond either end
    columns = room[0]
    chord_sums(prefix.reshape(-1), (r - 1) * width, length + 2 * width, width, halves, columns)
    on_disk, with_ring = room[1][:length], room[2][:length]
    disk_sums(columns, width, tables[4], on_disk)
    disk_sums(columns, width, tables[5], with_ring)
    return on_disk, with_ring


@njit(cache=True, nogil=True)
def what_is_visible(hidden: NDArray[np.bool_], layout: Layout, tables: Tables) -> Visible:
    """Hidden pixels with what follows from them."""
    rows, columns = hidden.shape
    seen, above = np.empty(hidden.shape, np.float32), np.zeros((rows + 1, columns + 1), np.int64)
    for r in range(rows):
        count = 0
        for c in range(columns):
            seen[r, c] = 0.0 if hidden[r, c] else 1.0
            count += hidden[r, c]
            above[r + 1, c + 1] = above[r, c + 1] + count
    on_disk, on_ring = visible_shifts(seen, layout, tables)
    return hidden, above, on_disk, on_ring


@njit(cache=True, nogil=True)
def visible_shifts(seen: Float32, layout: Layout, tables: Tables) -> tuple[Float32, Float32]:
    """One over the visible bins of disk and annulus at each shift; zero where either has too few."""
    step, first = layout.step, layout.margin // layout.step
    prefix = np.zeros((seen.shape[0] // step + 1, seen.shape[1] // step), np.float32)
    column_sums(seen, step, prefix, np.empty(seen.shape[1], np.float32))
    height, width = prefix.shape[0] - 1 - 2 * first, prefix.shape[1]
    on_disk, on_ring = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    room = strip_room(width, tables)
    for r in range(0, height, STRIP):
        length = min(STRIP, height - r) * width
        at = slice(r * width, r * width + length)
        on_disk.reshape(-1)[at], on_ring.reshape(-1)[at] = strip_sums(prefix, first + r, length, tables, room)
    # a little less than wanted: what is visible is counted exactly when a disk is examined
    one_over(on_disk.reshape(-1), on_ring.reshape(-1), step**2, layout.area * 0.9 * layout.visible, layout.area * 0.2)
    for r in range(height):
        for c in range(first):
            on_disk[r, c] = on_ring[r, c] = on_disk[r, width - 1 - c] = on_ring[r, width - 1 - c] = 0.0
    return on_disk, on_ring


@njit(cache=True, nogil=True, error_model="numpy")
def one_over(on_disk: Float32, with_ring: Float32, pixels: int, least_disk: float, least_ring: float) -> None:
    """Replace pixels on a disk, and on it with its annulus, by one over the bins of disk and annulus, or zero."""
    zero, scale = np.float32(0.0), np.float32(pixels)
    few, fewer = np.float32(least_disk), np.float32(least_ring)
    for k in range(len(on_disk)):
        disk, ring = on_disk[k], with_ring[k] - on_disk[k]
        good = (disk >= few) & (ring >= fewer)
        on_disk[k] = scale / disk if good else zero
        with_ring[k] = scale / ring if good else zero


@njit(cache=True, nogil=True)
def contrast_map(
    prefix: Float32, layout: Layout, tables: Tables, visible: Visible, contrast: Float32, score2: Float32
) -> None:
    """Mean of a disk minus mean of its annulus at each shift, and that squared over its variance; zero where hidden."""
    rows, width = contrast.shape
    first, room = layout.margin // layout.step, strip_room(width, tables)
    for r in range(0, rows, STRIP):
        length = min(STRIP, rows - r) * width
        on_disk, with_ring = strip_sums(prefix, first + r, length, tables, room)
        at = slice(r * width, r * width + length)
        contrasts(
            on_disk,
            with_ring,
            visible[2].reshape(-1)[at],
            visible[3].reshape(-1)[at],
            contrast.reshape(-1)[at],
            score2.reshape(-1)[at],
        )


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def contrasts(
    on_disk: Float32, with_ring: Float32, disk: Float32, ring: Float32, contrast: Float32, score2: Float32
) -> None:
    """Contrast and squared score from sums over disks and one over their pixels."""
    tiny = np.float32(1e-30)
    for k in range(len(contrast)):
        mean, around = on_disk[k] * disk[k], (with_ring[k] - on_disk[k]) * ring[k]
        contrast[k] = mean - around
        # one count more than seen: nothing has no error of zero
        variance = (mean + disk[k]) * disk[k] + max(around, np.float32(0.0)) * ring[k] + tiny
        score2[k] = contrast[k] * contrast[k] / variance
