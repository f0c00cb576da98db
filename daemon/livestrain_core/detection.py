"""
Kernels that find disks anywhere in one frame after the other; `detect.detect` is their front.

Maxima of the contrast are examined one by one, the highest first, and what a disk covers is hidden from those that
come after it. Where disks are crowded the contrast is taken once more without the disks found.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.centring import Windows, settle
from livestrain_core.judging import SECTORS, examine, off_ridge
from livestrain_core.peaks import maxima, summit
from livestrain_core.sliding import (
    Cover,
    Layout,
    Tables,
    Visible,
    column_sums,
    contrast_map,
    disk_sum,
    hide_bad,
    quench,
    scale_to_counts,
    visible_shifts,
    what_is_visible,
)
from livestrain_core.types import Float32, Float64

# maxima of the contrast are examined from this part of the wanted score on; binning costs a little
LOOSE = 0.75
# a disk's contrast is less than a quarter as high on one side of it at least
OFF_RIDGE = 0.75
# within this distance of a disk [radii], what is fainter than this part of it may be a flaw of its flank
FLANK_RADII = 2.4
FLANK = 0.03
# a place moves by so much while it is measured [px]
SLACK_PX = 2.0


class Wanted(NamedTuple):
    """Which disks are reported."""

    score: float
    """Contrast over its standard error, at least."""
    relative: float
    """Intensity over that of the brightest disk of the frame, at least."""
    spacing: float
    """Distance between disks, at least; the dimmer one is dropped [px]."""
    edge: float
    """Distance of the centre from the outermost pixels, at least [px]."""


class Room(NamedTuple):
    """Memory that all frames share."""

    cover: Cover
    """Whose each pixel of the image is."""
    prefix: Float32
    """Column sums of the binned image."""
    line: Float32
    """A row of the image."""
    contrast: Float32
    """Of a disk at every shift."""
    score2: Float32
    """The same over its standard error, squared."""
    found: NDArray[np.int64]
    """Maxima (row, column)."""
    windows: Windows
    """The pixels around a disk."""
    sums: Float64
    """Counts and pixels by sector."""
    kept: Float64
    """Disks so far (row, column, intensity, score)."""


@njit(cache=True, nogil=True)
def make_room(hidden: NDArray[np.bool_], bins: tuple[int, int], layout: Layout, length: int, most: int) -> Room:
    """Memory for frames in which `hidden` pixels are covered."""
    rows, columns = hidden.shape
    cover = np.zeros(hidden.shape, np.int16)
    for r in range(rows):
        for c in range(columns):
            cover[r, c] = -1 if hidden[r, c] else 0
    return Room(
        cover,
        np.zeros((rows // layout.step + 1, bins[1]), np.float32),
        np.empty(columns, np.float32),
        np.empty(bins, np.float32),
        np.empty(bins, np.float32),
        np.empty((bins[0] * bins[1], 2), np.int64),
        (np.zeros((5, length), np.float32), np.zeros(length, np.int16)),
        np.empty((3, 2 * SECTORS)),
        # sorted by contrast, while those that are reported are sorted by intensity
        np.empty((2 * most + 16, 4)),
    )


@njit(cache=True, nogil=True)
def neighbours(
    place: Float64, intensity: float, kept: Float64, count: int, wanted: Wanted, layout: Layout
) -> tuple[bool, bool]:
    """Whether a disk is too near to one found before, and whether one may reach into its window."""
    flank, window = FLANK_RADII * layout.radius, max(layout.half, layout.reach) + SLACK_PX
    near = False
    for j in range(count):
        dr, dc = abs(kept[j, 0] - place[0]), abs(kept[j, 1] - place[1])
        d2 = dr * dr + dc * dc
        if d2 < wanted.spacing * wanted.spacing or (d2 < flank * flank and intensity < FLANK * kept[j, 2]):
            return True, True
        near |= max(dr - window, 0.0) ** 2 + max(dc - window, 0.0) ** 2 < layout.cover_radius**2
    return False, near


@njit(cache=True, nogil=True)
def paint(cover: Cover, kept: Float64, j: int, radius: float, old: int, new: int) -> None:
    """Make the pixels of a disk that belong to `old` belong to `new`."""
    r0, c0 = kept[j, 0], kept[j, 1]
    before, after = np.int16(old), np.int16(new)
    for r in range(max(int(r0 - radius), 0), min(int(r0 + radius) + 2, cover.shape[0])):
        half = sqrt(max(radius * radius - (r - r0) ** 2, 0.0))
        row = cover[r, max(int(np.ceil(c0 - half)), 0) : max(int(np.floor(c0 + half)) + 1, 0)]
        for k in range(len(row)):
            row[k] = after if row[k] == before else row[k]


@njit(cache=True, nogil=True)
def inside(place: Float64, layout: Layout, edge: float) -> bool:
    """Whether a place of the image lies in the frame, so far from its outermost pixels."""
    r, c, least = place[0] - layout.margin, place[1] - layout.margin, max(edge, -0.5)
    return bool(least <= r <= layout.rows - 1 - least and least <= c <= layout.columns - 1 - least)


@njit(cache=True, nogil=True)
def add_disks(
    image: Float32, visible: Visible, tables: Tables, layout: Layout, wanted: Wanted, room: Room, count: int
) -> int:
    """Examine the maxima of the contrast, the highest first, and keep the disks; returns how many there are now."""
    contrast, found, kept, cover = room.contrast, room.found, room.kept, room.cover
    first, step = layout.margin // layout.step, layout.step
    maxima_count = maxima(contrast, room.score2, LOOSE * wanted.score, found)
    depth = np.empty(maxima_count)
    for j in range(maxima_count):
        depth[j] = -contrast[found[j, 0], found[j, 1]]
    place, start, state = np.empty(2), np.empty(2), np.empty(2)
    farthest = max(0.6 * layout.radius, 2.0)
    for j in np.argsort(depth, kind="mergesort"):
        r, c = found[j]
        part_off = off_ridge(contrast, r, c, tables[6])
        if count == len(kept) or part_off < OFF_RIDGE:
            continue
        summit(contrast, r, c, place)
        place[0] = layout.margin + (place[0] + 0.5) * step - 0.5
        place[1] = (place[1] + 0.5) * step - 0.5
        start[:] = place
        level = -depth[j] / step**2
        state[0] = level * layout.area
        on_disk = disk_sum(room.prefix, first + r, c, tables[4], tables[7])
        state[1] = max(on_disk * visible[2][r, c] / step**2 - level, 0.0)
        dropped, crowded = neighbours(place, state[0], kept, count, wanted, layout)
        if dropped:
            continue
        # a number that no pixel has: everything that is covered is hidden from it
        own = count + 1 if crowded or something_hidden(visible[1], place, layout) else -1
        part = settle(image, cover, own, tables, layout, place, state, room.windows)
        moved = max(abs(place[0] - start[0]), abs(place[1] - start[1]))
        if part > 1.0 - layout.visible or moved > farthest or not state[0] > 0.0:
            continue
        if not inside(place, layout, wanted.edge) or neighbours(place, state[0], kept, count, wanted, layout)[0]:
            continue
        score = examine(image, cover, own, tables, layout, place, room.sums)
        if score * part_off >= wanted.score:
            kept[count, :2] = place
            kept[count, 2], kept[count, 3] = state[0], score
            count += 1
            paint(cover, kept, count - 1, layout.cover_radius, 0, count)
    return count


@njit(cache=True, nogil=True)
def something_hidden(above: NDArray[np.int64], place: Float64, layout: Layout) -> bool:
    """Whether pixels are hidden where a disk will be measured, which may be a few pixels off."""
    r, c, half = int(place[0] + 0.5), int(place[1] + 0.5), max(layout.half, layout.reach) + 2
    top, left = max(r - half, 0), max(c - half, 0)
    low, right = min(r + half + 1, above.shape[0] - 1), min(c + half + 1, above.shape[1] - 1)
    return bool(above[low, right] - above[top, right] - above[low, left] + above[top, left] > 0)


@njit(cache=True, nogil=True)
def crowded_disks(kept: Float64, count: int, layout: Layout, touched: NDArray[np.bool_]) -> bool:
    """Whether disks disturb each other, and which ones."""
    touched[:count] = False
    nearest = (layout.reach + layout.cover_radius) ** 2
    for j in range(count):
        for k in range(j):
            if (kept[j, 0] - kept[k, 0]) ** 2 + (kept[j, 1] - kept[k, 1]) ** 2 < nearest:
                touched[j] = touched[k] = True
    return bool(touched[:count].any())


@njit(cache=True, nogil=True)
def search_between(
    image: Float32, visible: Visible, tables: Tables, layout: Layout, wanted: Wanted, room: Room, count: int
) -> int:
    """Disks beside those found, from the contrast without these; returns how many there are now."""
    left, seen = np.empty(image.shape, np.float32), np.empty(image.shape, np.float32)
    zero, one = np.float32(0.0), np.float32(1.0)
    for r in range(image.shape[0]):
        row, covered, counts, free = image[r], room.cover[r], left[r], seen[r]
        for c in range(len(row)):
            counts[c] = row[c] if covered[c] == 0 else zero
            free[c] = one if covered[c] == 0 else zero
    on_disk, on_ring = visible_shifts(seen, layout, tables)
    beside = visible[0], visible[1], on_disk, on_ring
    column_sums(left, layout.step, room.prefix, room.line)
    contrast_map(room.prefix, layout, tables, beside, room.contrast, room.score2)
    return add_disks(image, beside, tables, layout, wanted, room, count)


@njit(cache=True, nogil=True)
def measure_again(
    image: Float32, tables: Tables, layout: Layout, room: Room, count: int, touched: NDArray[np.bool_]
) -> None:
    """Measure disks once more that were found before their neighbours."""
    kept, place, state = room.kept, np.empty(2), np.empty(2)
    for j in range(count):
        if touched[j]:
            place[:], state[0], state[1] = kept[j, :2], kept[j, 2], 0.0
            score = examine(image, room.cover, j + 1, tables, layout, place, room.sums)
            state[1] = room.sums[0, SECTORS:].sum() / max(room.sums[1, SECTORS:].sum(), 1.0)
            part = settle(image, room.cover, j + 1, tables, layout, place, state, room.windows)
            near = abs(place[0] - kept[j, 0]) + abs(place[1] - kept[j, 1]) < 0.5 * layout.radius
            if part <= 1.0 - layout.visible and near and state[0] > 0.0:
                kept[j, :2] = place
                kept[j, 2], kept[j, 3] = state[0], max(score, kept[j, 3])


@njit(cache=True, nogil=True)
def disks_of_image(image: Float32, visible: Visible, tables: Tables, layout: Layout, wanted: Wanted, room: Room) -> int:
    """Disks of the image, in `room.kept`; returns how many."""
    column_sums(image, layout.step, room.prefix, room.line)
    contrast_map(room.prefix, layout, tables, visible, room.contrast, room.score2)
    count = add_disks(image, visible, tables, layout, wanted, room, 0)
    touched = np.zeros(len(room.kept), np.bool_)
    if crowded_disks(room.kept, count, layout, touched):
        count = search_between(image, visible, tables, layout, wanted, room, count)
        crowded_disks(room.kept, count, layout, touched)
        measure_again(image, tables, layout, room, count, touched)
    for j in range(count):
        # one that was measured again has moved
        moved = 0.5 * layout.radius + 1.0 if touched[j] else 0.0
        paint(room.cover, room.kept, j, layout.cover_radius + moved, j + 1, 0)
    return count


@njit(cache=True, nogil=True)
def detect_images(
    images: Float32,
    finite: NDArray[np.bool_],
    visible: Visible,
    tables: Tables,
    layout: Layout,
    wanted: Wanted,
    out: tuple[Float32, Float32, Float32, NDArray[np.uint16]],
) -> None:
    """Disks of every image, brightest first."""
    position, intensity, score, counts = out
    margin, most, length = layout.margin, position.shape[1], tables[0].shape[4]
    usual = make_room(visible[0], visible[2].shape, layout, length, most)
    for i in range(len(images)):
        seen, room = visible, usual
        if not finite[i]:
            seen = what_is_visible(hide_bad(images[i], visible[0]), layout, tables)
            room = make_room(seen[0], visible[2].shape, layout, length, most)
        gain = scale_to_counts(images[i]) if layout.normalised else 1.0
        quench(images[i], margin)
        count, kept = disks_of_image(images[i], seen, tables, layout, wanted, room), room.kept
        n = 0
        for j in np.argsort(-kept[:count, 2], kind="mergesort"):
            if n < most and kept[j, 2] >= wanted.relative * kept[:count, 2].max():
                position[i, n, 0], position[i, n, 1] = kept[j, 0] - margin, kept[j, 1] - margin
                intensity[i, n], score[i, n] = kept[j, 2] / gain, kept[j, 3]
                n += 1
        position[i, n:], intensity[i, n:], score[i, n:] = np.nan, np.nan, np.nan
        counts[i] = n
