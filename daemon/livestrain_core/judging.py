"""Kernels that judge whether what stands at a place in an image is a disk."""

from math import sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.sliding import Cover, Layout, Tables
from livestrain_core.types import Float32, Float64

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
    counts = pixels = area = around = around_pixels = 0.0
    for s in range(SECTORS):
        counts, pixels, area = counts + total[s], pixels + seen[s], area + full[s]
        around, around_pixels = around + total[s + SECTORS], around_pixels + seen[s + SECTORS]
    if pixels < layout.visible * area or around_pixels < SECTORS:
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
def off_ridge(contrast: Float32, r: int, c: int, offsets: NDArray[np.int64]) -> float:
    """Part of a maximum's contrast that is gone on one side of it at least: little along a ring, all at a disk."""
    crest = np.float32(0.0)
    for k in range(len(offsets)):
        level = contrast[r, c]
        for way in range(offsets.shape[1]):
            i, j = r + offsets[k, way, 0], c + offsets[k, way, 1]
            if not (0 <= i < contrast.shape[0] and 0 <= j < contrast.shape[1]):
                level = np.float32(0.0)
                break
            level = min(level, contrast[i, j])
        crest = max(crest, level)
    return 1.0 - float(crest) / float(contrast[r, c])


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
