"""
Kernels that centre one disk in an image and judge whether it is one.

A cover says of each pixel of the image whose it is: free (0), hidden (-1), or of a disk found before (its number).
"""

from math import sqrt
from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.sliding import Layout, Tables
from livestrain_core.types import Float32, Float64

# steps towards the centre of a disk, how far each may go [px], and when to stop
MOST_STEPS = 8
LARGEST_STEP_PX = 1.5
SMALL_STEP_PX = 0.25
# filling in what is hidden takes several steps where it is more than this part of a disk
LITTLE_HIDDEN = 0.02
SMALL_CHANGE = 0.03
# directions in which surroundings are compared
SECTORS = 8
# a sector counts if this part of its pixels is visible
SECTOR_SEEN = 0.5
# what is hidden lies opposite to a sector if there so much more of disk and annulus, two in all, is hidden
HIDDEN_MORE = 0.2
# a disk stands above one end of every line through it by this part of its contrast; along a ridge nothing does
RIDGE = 0.3
# this part of its sectors are brighter than the surroundings by this part of its contrast
LIT_SECTORS = 0.6
LIT = 0.15
# a disk partly hidden is this much of its contrast bright on the side away from what hides it
FAR_LIT = 0.4
# without its brightest pixel a disk keeps this part of its contrast
LESS_ONE_PIXEL = 0.6

Cover: TypeAlias = NDArray[np.int16]
"""Whose each pixel of an image is."""


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def dot(a: Float32, b: Float32) -> float:
    """Scalar product."""
    total = np.float32(0.0)
    for k in range(len(a)):
        total += a[k] * b[k]
    return float(total)


@njit(cache=True, nogil=True)
def settle(
    image: Float32,
    cover: Cover,
    own: int,
    tables: Tables,
    layout: Layout,
    place: Float64,
    state: Float64,
    window: Float32,
) -> float:
    """
    Move a place in the image to the centre of its disk by the filters, step by step.

    `state` is (intensity, background), the intensity replaced. Pixels that are neither free nor its `own` are filled
    with the disk expected there; if `own` is negative, all are taken to be free. Returns the part of the disk that is
    hidden, or 1 where the window leaves the image.
    """
    bank, limits = tables[0], tables[1]
    shifts, half = bank.shape[1], layout.half
    width, part = 2 * half + 1, 1.0
    for _ in range(MOST_STEPS):
        r, c = int(np.floor(place[0] + 0.5)), int(np.floor(place[1] + 0.5))
        if r < half or c < half or r + half >= image.shape[0] or c + half >= image.shape[1]:
            return 1.0
        a = min(int((place[0] - r + 0.5) * shifts), shifts - 1)
        b = min(int((place[1] - c + 0.5) * shifts), shifts - 1)
        kind = 0
        while kind < len(limits) and state[0] > limits[kind]:
            kind += 1
        weights = bank[kind, a, b]
        for i in range(width):
            source, target = image[r - half + i, c - half : c + half + 1], window[i * width : (i + 1) * width]
            for k in range(width):
                target[k] = source[k]
        part = 0.0
        if own >= 0:
            part = fill_hidden(cover, own, r - half, c - half, weights[3], state, window)
        before, state[0] = state[0], dot(weights[2], window)
        size = max(state[0], 1e-12)
        to_r = r + (a + 0.5) / shifts - 0.5 + dot(weights[0], window) / size
        to_c = c + (b + 0.5) / shifts - 0.5 + dot(weights[1], window) / size
        step_r = min(max(to_r - place[0], -LARGEST_STEP_PX), LARGEST_STEP_PX)
        step_c = min(max(to_c - place[1], -LARGEST_STEP_PX), LARGEST_STEP_PX)
        place[0] += step_r
        place[1] += step_c
        filled = part < LITTLE_HIDDEN or abs(state[0] - before) < SMALL_CHANGE * state[0]
        if abs(step_r) < SMALL_STEP_PX and abs(step_c) < SMALL_STEP_PX and filled:
            break
    return part


@njit(cache=True, nogil=True)
def fill_hidden(cover: Cover, own: int, r0: int, c0: int, flat: Float32, state: Float64, window: Float32) -> float:
    """Fill the hidden pixels of a window with the disk expected there; returns the part of it that is hidden."""
    part, width = 0.0, int(np.sqrt(len(window)) + 0.5)
    for i in range(width):
        covered, any_covered = cover[r0 + i, c0 : c0 + width], 0
        for k in range(width):
            any_covered += covered[k] != 0
        if any_covered == 0:
            continue
        for k in range(width):
            if covered[k] != 0 and covered[k] != own:
                share = flat[i * width + k]
                window[i * width + k] = np.float32(state[0] * share + state[1])
                part += share
    return float(part)


@njit(cache=True, nogil=True)
def examine(
    image: Float32, cover: Cover, own: int, tables: Tables, layout: Layout, place: Float64, sums: Float64
) -> float:
    """
    Score of a disk at a place; zero where it looks like no disk.

    `sums` (3, sectors) is room for the counts of each sector, how many pixels were seen, and how many there are;
    sectors 0 to 7 are on the disk, 8 to 15 around it.
    """
    r, c = int(np.floor(place[0] + 0.5)), int(np.floor(place[1] + 0.5))
    brightest = sector_sums(image, cover, own, tables, r, c, sums)
    total, seen, full = sums[0], sums[1], sums[2]
    counts, pixels = total[:SECTORS].sum(), seen[:SECTORS].sum()
    around, around_pixels = total[SECTORS:].sum(), seen[SECTORS:].sum()
    if pixels < layout.visible * full[:SECTORS].sum() or around_pixels < SECTORS:
        return 0.0
    background = around / around_pixels
    contrast = counts / pixels - background
    score = contrast / sqrt((counts + 1.0) / pixels**2 + around / around_pixels**2)
    least, pairs = pair_contrast(total, seen, full, counts / pixels)
    if not score > 0.0 or pairs < 2 or least < RIDGE * contrast:
        return 0.0
    less = (counts - brightest) / max(pixels - 1.0, 1.0)
    if less - background < LESS_ONE_PIXEL * contrast or not lit(total, seen, full, background, contrast):
        return 0.0
    return float(score)


@njit(cache=True, nogil=True)
def sector_sums(image: Float32, cover: Cover, own: int, tables: Tables, r: int, c: int, sums: Float64) -> float:
    """Counts and visible pixels of each sector around a pixel; returns the brightest pixel of the disk."""
    offsets, ends, at = tables[2], tables[3], r * image.shape[1] + c
    pixels, owners = image.reshape(-1), cover.reshape(-1)
    start, brightest = 0, np.float32(0.0)
    for s in range(2 * SECTORS):
        total, seen = np.float32(0.0), ends[s] - start
        for k in range(start, ends[s]):
            value = pixels[at + offsets[k]]
            if own >= 0:
                owner = owners[at + offsets[k]]
                free = owner in (0, own)
                seen -= not free
                value = value if free else np.float32(0.0)
            total += value
            brightest = value if s < SECTORS and value > brightest else brightest
        sums[0, s], sums[1, s], sums[2, s] = total, seen, ends[s] - start
        start = ends[s]
    return float(brightest)


@njit(cache=True, nogil=True)
def lit(total: Float64, seen: Float64, full: Float64, background: float, contrast: float) -> bool:
    """Whether light is all over a disk, and not only on the side of it that is next to something hidden."""
    bright = known = far = far_bright = 0
    far_total = far_seen = 0.0
    for s in range(SECTORS):
        if seen[s] < SECTOR_SEEN * full[s]:
            continue
        known += 1
        bright += total[s] > seen[s] * (background + LIT * contrast)
        t = (s + SECTORS // 2) % SECTORS
        here = seen[s] / full[s] + seen[s + SECTORS] / full[s + SECTORS]
        if seen[t] / full[t] + seen[t + SECTORS] / full[t + SECTORS] < here - HIDDEN_MORE:
            far += 1
            far_bright += total[s] > seen[s] * (background + FAR_LIT * contrast)
            far_total += total[s]
            far_seen += seen[s]
    if far > 0 and (far_bright < LIT_SECTORS * far or far_total < far_seen * (background + FAR_LIT * contrast)):
        return False
    return bright >= LIT_SECTORS * known


@njit(cache=True, nogil=True)
def pair_contrast(total: Float64, seen: Float64, full: Float64, mean: float) -> tuple[float, int]:
    """Least contrast against the darker one of two opposite sectors around, and of how many pairs one is visible."""
    least, pairs = np.inf, 0
    for s in range(SECTORS, SECTORS + SECTORS // 2):
        darker = np.inf
        for t in (s, s + SECTORS // 2):
            if seen[t] >= SECTOR_SEEN * full[t]:
                darker = min(darker, total[t] / seen[t])
        if darker < np.inf:
            pairs += 1
            least = min(least, mean - darker)
    return least, pairs
