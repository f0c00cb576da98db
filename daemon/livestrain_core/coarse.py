"""
Kernels of the first look at a frame: where each disk is, to a part of a pixel, by correlation with a disk.

The frame is binned and summed down its columns once. A disk at any place is then the sum of one difference per column,
and a window of places around each disk is searched. `tracking` goes on from there.
"""

from math import sqrt
from typing import NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.peaks import parabola
from livestrain_core.types import Float32, Float64
from livestrain_core.windows import cut

# a disk is seen where it stands this many standard errors above its surroundings
SIGNIFICANCE = 5.0
# a peak of more standard errors than this is limited by contrast in the disk, not by counting
LIMIT = 20.0

Found: TypeAlias = tuple[Float64, Float64, Float64]
"""Position (m, 2) [px], weight (m,) [1/px^2] and (intensity, background) (m, 2) of the disks of one frame."""


class Search(NamedTuple):
    """Where disks are searched for, in bins of the frame with its margin."""

    step: int
    """Pixels along the side of a bin, a power of two."""
    shifts: int
    """Places searched along a row or a column, an odd number."""
    window: tuple[int, int]
    """Rows and columns of the column sums that the shifts of one disk take."""
    box: tuple[int, int, int, int]
    """First and one past the last bin row, first and one past the last bin column that any disk needs."""
    inside: tuple[int, int]
    """First and one past the last bin row that belong to the frame."""
    corners: NDArray[np.int64]
    """(m, 2) first bin (row, column) of each window."""
    origins: Float64
    """(m, 2) place of the first shift of each window (row, column) [px]."""
    reach: NDArray[np.int64]
    """(m,) farthest that each disk is looked for from the shift of the whole frame [bins]."""
    start: int
    """Where the first shift is in a flattened window."""
    inner: NDArray[np.int64]
    """(even, 2) offsets of the disk's column differences in a flattened window."""
    outer: NDArray[np.int64]
    """(even, 2) the same for the disk with its annulus."""
    area: float
    """Pixels under a disk."""


class Seen(NamedTuple):
    """What can be seen of each disk and its annulus at each shift, (m, shifts) each."""

    disk: Float32
    """Pixels of the disk."""
    ring: Float32
    """Pixels of the annulus."""
    per_disk: Float32
    """One over the pixels of the disk, zero where too few are seen."""
    per_ring: Float32
    """One over the pixels of the annulus, zero where too few are seen."""


class Room(NamedTuple):
    """Room for the work on one frame."""

    prefix: Float32
    """Column sums of the binned frame, (bin rows + 1, bin columns)."""
    line: Float32
    """One row of the frame."""
    window: Float32
    """The column sums around one disk, and as many rows more as the last loop over shifts reaches."""
    disk: Float32
    """Sums over each disk (m, shifts)."""
    wide: Float32
    """Sums over each disk and its annulus (m, shifts)."""
    contrast: Float32
    """Mean of each disk minus mean of its annulus (m, shifts)."""
    joint: Float32
    """Sum over the disks (shifts,)."""


@njit(cache=True, nogil=True)
def bin_row(image: Float32, row: int, step: int, left: int, right: int, line: Float32) -> None:
    """One row of bins, into the first elements of `line`."""
    values = line[: step * (right - left)]
    source = image[step * row, step * left : step * right]
    for c in range(len(values)):
        values[c] = source[c]
    for i in range(1, step):
        further = image[step * row + i, step * left : step * right]
        for c in range(len(values)):
            values[c] += further[c]
    while step > 1:
        step //= 2
        for c in range(step * (right - left)):
            values[c] = values[2 * c] + values[2 * c + 1]


@njit(cache=True, nogil=True)
def add_row(prefix: Float32, row: int, left: int, right: int, line: Float32) -> None:
    """Column sums of the next row."""
    above, below, values = prefix[row, left:right], prefix[row + 1, left:right], line[: right - left]
    for c in range(len(values)):
        below[c] = above[c] + values[c]


@njit(cache=True, nogil=True)
def column_prefix(image: Float32, search: Search, prefix: Float32, line: Float32) -> None:
    """Sums of each column of the binned image from the top of the box: row r holds the bins above r."""
    top, bottom, left, right = search.box
    prefix[top, left:right] = 0.0
    for r in range(top, bottom):
        if search.inside[0] <= r < search.inside[1]:
            bin_row(image, r, search.step, left, right, line)
            add_row(prefix, r, left, right, line)
        else:
            prefix[r + 1, left:right] = prefix[r, left:right]


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def disk_sums(prefix: Float32, start: int, chords: NDArray[np.int64], sums: Float32, j: int) -> None:
    """
    Sums over a disk at each shift, in the order of a flattened window, into row j of `sums`.

    `prefix` holds column sums, flattened; a chord (first, last) is the pair of offsets whose difference is the sum
    over one column of the disk. `start` is where the first shift is.
    """
    target = sums[j]
    length = len(target)
    for k in range(length):
        target[k] = 0.0
    # two chords at a time halve the traffic; an odd number of them is filled up with an empty one
    for i in range(0, len(chords), 2):
        top0 = prefix[start + chords[i, 0] : start + chords[i, 0] + length]
        low0 = prefix[start + chords[i, 1] : start + chords[i, 1] + length]
        top1 = prefix[start + chords[i + 1, 0] : start + chords[i + 1, 0] + length]
        low1 = prefix[start + chords[i + 1, 1] : start + chords[i + 1, 1] + length]
        for k in range(length):
            target[k] += (low0[k] - top0[k]) + (low1[k] - top1[k])


@njit(cache=True, nogil=True)
def all_sums(image: Float32, search: Search, room: Room) -> None:
    """Sums over each disk, and over each disk with its annulus, at each shift."""
    column_prefix(image, search, room.prefix, room.line)
    # arrays are taken out of their tuples once, and are not sliced for a call: each costs as much as a sum over a disk
    corners, start, inner, outer = search.corners, search.start, search.inner, search.outer
    prefix, window, disk, wide = room.prefix, room.window, room.disk, room.wide
    flat, rows = window.reshape(-1), window[: search.window[0]]
    for j in range(len(corners)):
        cut(prefix, corners[j, 0], corners[j, 1], rows)
        disk_sums(flat, start, inner, disk, j)
        disk_sums(flat, start, outer, wide, j)


@njit(cache=True, nogil=True)
def look(shown: Float32, search: Search, room: Room, seen: Seen) -> None:
    """Fill `seen` in, from an image that is one where a pixel is seen and zero elsewhere."""
    all_sums(shown, search, room)
    least = np.float32(0.5 * search.area)
    for j in range(len(seen.disk)):
        for k in range(seen.disk.shape[1]):
            disk, ring = room.disk[j, k], room.wide[j, k] - room.disk[j, k]
            enough = disk >= least and ring >= 0.5 * least
            seen.disk[j, k], seen.ring[j, k] = disk, ring
            seen.per_disk[j, k] = 1.0 / disk if enough else 0.0
            seen.per_ring[j, k] = 1.0 / ring if enough else 0.0


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def contrasts(room: Room, seen: Seen) -> None:
    """Mean of each disk minus mean of its annulus at each shift, and the sum of their square roots."""
    joint, disks, wides, contrast_maps = room.joint, room.disk, room.wide, room.contrast
    per_disks, per_rings = seen.per_disk, seen.per_ring
    for k in range(len(joint)):
        joint[k] = 0.0
    for j in range(len(disks)):
        disk, wide, contrast = disks[j], wides[j], contrast_maps[j]
        per_disk, per_ring = per_disks[j], per_rings[j]
        for k in range(len(joint)):
            value = disk[k] * per_disk[k] - (wide[k] - disk[k]) * per_ring[k]
            contrast[k] = value
            joint[k] += np.sqrt(max(value, np.float32(0.0)))


@njit(cache=True, nogil=True)
def joint_peak(joint: Float32, shifts: int, width: int) -> tuple[int, int]:
    """Shift of the whole frame: where the square roots of all disks' contrasts add up to the most."""
    best, at_r, at_c = np.float32(-1.0), shifts // 2, shifts // 2
    for r in range(shifts):
        for c in range(shifts):
            if joint[r * width + c] > best:
                best, at_r, at_c = joint[r * width + c], r, c
    return at_r, at_c


@njit(cache=True, nogil=True)
def local_peak(
    contrasts: Float32, j: int, last: int, width: int, shift: tuple[int, int], reach: int
) -> tuple[float, float]:
    """Sub-pixel shift of disk j's largest contrast within `reach` of the frame's shift, from zero to `last`."""
    contrast = contrasts[j]
    r_low, r_high = max(shift[0] - reach, 0), min(shift[0] + reach, last)
    c_low, c_high = max(shift[1] - reach, 0), min(shift[1] + reach, last)
    best, at_r, at_c = np.float32(-np.inf), r_low, c_low
    for r in range(r_low, r_high + 1):
        for c in range(c_low, c_high + 1):
            if contrast[r * width + c] > best:
                best, at_r, at_c = contrast[r * width + c], r, c
    k = at_r * width + at_c
    dr = dc = 0.0
    if 0 < at_r < last:
        dr = parabola(float(contrast[k - width]), float(best), float(contrast[k + width]))
    if 0 < at_c < last:
        dc = parabola(float(contrast[k - 1]), float(best), float(contrast[k + 1]))
    return at_r + dr, at_c + dc


@njit(cache=True, nogil=True)
def coarse(image: Float32, search: Search, seen: Seen, room: Room, found: Found) -> None:
    """Position (m, 2) [px], weight (m,) and intensity and background (m, 2) of each disk by correlation."""
    place, weight, state = found
    all_sums(image, search, room)
    contrasts(room, seen)
    width, last = search.window[1], search.shifts - 1
    disks, wides, contrast, per_disk = room.disk, room.wide, room.contrast, seen.per_disk
    disk_pixels, all_ring_pixels, origins, reach = seen.disk, seen.ring, search.origins, search.reach
    shift = joint_peak(room.joint, search.shifts, width)
    for j in range(len(place)):
        r, c = local_peak(contrast, j, last, width, shift, reach[j])
        k = int(r + 0.5) * width + int(c + 0.5)
        place[j, 0] = origins[j, 0] + search.step * r
        place[j, 1] = origins[j, 1] + search.step * c
        weight[j] = 0.0
        state[j, 0] = state[j, 1] = np.nan
        if not per_disk[j, k] > 0.0:
            continue
        on_disk, on_ring = float(disks[j, k]), float(wides[j, k] - disks[j, k])
        pixels, ring_pixels = float(disk_pixels[j, k]), float(all_ring_pixels[j, k])
        state[j, 1] = on_ring / ring_pixels
        state[j, 0] = (on_disk / pixels - state[j, 1]) * search.area
        noise = max(on_disk + on_ring * (pixels / ring_pixels) ** 2, 0.0) + 1.0
        error = sqrt(noise) * search.area / pixels
        # counts below zero have no noise that they could stand out from
        if on_disk > 0.0 and state[j, 0] > SIGNIFICANCE * error:
            weight[j] = min(state[j, 0] / error, LIMIT) ** 2
