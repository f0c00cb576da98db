"""
Kernels that track disks in one frame after the other; `disks.track` is their front.

A frame is cut into one square patch per disk, centred on the nearest pixel of the planned position. All later work
happens inside these patches, which stay in the cache.
"""

from math import sqrt
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.lattice import robust_fit
from livestrain_core.types import Float32, Float64, Frames

# a disk is seen where it stands this many standard errors above its surroundings
COARSE_SIGNIFICANCE = 5.0
SIGNIFICANCE = 4.0
# measured disks fade out of a fit, and are given up beyond this part hidden
MOST_HIDDEN = 0.4
# filters are linear in the displacement; a disk farther away than this from its prediction is not the one meant
CAPTURE_PX = 1.0
# a coarse peak of more standard errors than this is limited by contrast in the disk, not by counting
COARSE_LIMIT = 20.0
# a frame of floats with less than this many counts is normalised; it is taken to hold a usual number of electrons
FEWEST_COUNTS = 1000.0
USUAL_ELECTRONS = 1e5
# float32 numbers that a loop takes at a time
VECTOR = 16


Found: TypeAlias = tuple[Float64, Float64, Float64]
"""Position (m, 2) [px], weight (m,) [1/px^2] and (intensity, background) (m, 2) of the disks of one frame."""


class Grid(NamedTuple):
    """How patches are laid out and searched."""

    rows: int
    """Rows of a patch [px]."""
    columns: int
    """Columns of a patch, filled up to whole vectors [px]."""
    step: int
    """Binning of the coarse search [px]."""
    search: int
    """Half the side of the coarse search [bins]."""
    start: int
    """Bin of the first shift, in a flattened patch."""
    origin: float
    """Row and column of the first shift in a patch [px]."""
    area: float
    """Pixels under a disk."""
    normalised: bool
    """Whether frames may hold intensities that are not counts."""


@njit(cache=True, nogil=True)
def gather(frame: NDArray[Any], usable: NDArray[np.bool_], corners: NDArray[np.int64], patches: Float32) -> None:
    """Patches (m, height, width) of a frame; zero where a pixel is unusable, not finite or outside the frame."""
    rows, columns = frame.shape
    height, width = patches.shape[1:]
    masked = usable.shape[0] == rows
    for j in range(len(corners)):
        r0, c0 = corners[j]
        low, high = max(-c0, 0), min(columns - c0, width)
        if low > 0 or high < width:
            patches[j] = 0.0
        for r in range(height):
            if not 0 <= r0 + r < rows or high <= low:
                patches[j, r] = 0.0
                continue
            source, target = frame[r0 + r, c0 + low : c0 + high], patches[j, r, low:high]
            for c in range(len(source)):
                # comparison with itself drops NaN, the difference infinity
                target[c] = source[c] if source[c] - source[c] == 0 else 0
            if masked:
                keep = usable[r0 + r, c0 + low : c0 + high]
                for c in range(len(keep)):
                    target[c] = target[c] if keep[c] else 0.0


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def disk_sums(prefix: Float32, start: int, chords: NDArray[np.int64], length: int, sums: Float32) -> None:
    """
    Sums over a disk at each of `length` shifts, in the order of a flattened patch.

    `prefix` holds column sums from the top of a patch, flattened; a chord (first, last) is the pair of offsets whose
    difference is the sum over one column of the disk. `start` is the patch's pixel of the first shift.
    """
    target = sums[:length]
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
def empty_prefixes(count: int, grid: Grid) -> Float32:
    """Room for column sums, with rows to spare: the last vector of shifts reaches beyond the patch."""
    width = grid.columns // grid.step
    return np.zeros((count, grid.rows // grid.step + 2 + VECTOR // width, width), np.float32)


@njit(cache=True, nogil=True)
def column_prefix(patch: Float32, step: int, prefix: Float32, scratch: Float32) -> None:
    """
    Sums of each column from the top, of a patch binned by a power of two: row r holds the binned rows above r.

    `prefix` is (binned rows + 1 or more, binned columns); `scratch` has room for a patch.
    """
    values, rows, width, at = patch.reshape(-1), patch.shape[0], patch.shape[1], 0
    for _ in range(int(np.log2(step))):
        # pairs of rows, then pairs of columns in one loop; each result behind its source
        rows //= 2
        tall = scratch[at : at + rows * width]
        for r in range(rows):
            upper, lower = (
                values[2 * r * width : (2 * r + 1) * width],
                values[(2 * r + 1) * width : (2 * r + 2) * width],
            )
            target = tall[r * width : (r + 1) * width]
            for c in range(width):
                target[c] = upper[c] + lower[c]
        at += rows * width
        width //= 2
        values = scratch[at : at + rows * width]
        for k in range(rows * width):
            values[k] = tall[2 * k] + tall[2 * k + 1]
        at += rows * width
    prefix[0, :] = 0.0
    for r in range(rows):
        above, below, row = prefix[r], prefix[r + 1], values[r * width : (r + 1) * width]
        for c in range(width):
            below[c] = above[c] + row[c]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz", "contract"})
def contrast_map(
    inner: Float32, outer: Float32, inner_pixels: Float32, outer_pixels: Float32, least: float, contrast: Float32
) -> None:
    """Mean of a disk minus mean of its annulus at each shift; zero where less than `least` pixels are seen."""
    for k in range(len(contrast)):
        ring = outer_pixels[k] - inner_pixels[k]
        value = inner[k] / inner_pixels[k] - (outer[k] - inner[k]) / ring
        contrast[k] = value if inner_pixels[k] >= least and ring >= 0.5 * least else np.float32(0.0)


@njit(cache=True, nogil=True)
def joint_shift(contrast: Float32, search: int, side: int, joint: Float32) -> tuple[int, int]:
    """Shift of the whole frame: where the square roots of all disks' contrasts add up to the most."""
    for k in range(len(joint)):
        joint[k] = 0.0
    for j in range(len(contrast)):
        row = contrast[j]
        for k in range(len(joint)):
            joint[k] += np.sqrt(max(row[k], np.float32(0.0)))
    best, at_r, at_c = np.float32(-1.0), search, search
    for r in range(2 * search + 1):
        for c in range(2 * search + 1):
            if joint[r * side + c] > best:
                best, at_r, at_c = joint[r * side + c], r, c
    return at_r, at_c


@njit(cache=True, nogil=True)
def local_peak(contrast: Float32, search: int, side: int, shift: tuple[int, int], reach: int) -> tuple[float, float]:
    """Sub-pixel shift of one disk's largest contrast within `reach` of the frame's shift, from zero to 2 search."""
    last = 2 * search
    r_low, r_high = max(shift[0] - reach, 0), min(shift[0] + reach, last)
    c_low, c_high = max(shift[1] - reach, 0), min(shift[1] + reach, last)
    best, at_r, at_c = np.float32(-np.inf), r_low, c_low
    for r in range(r_low, r_high + 1):
        for c in range(c_low, c_high + 1):
            if contrast[r * side + c] > best:
                best, at_r, at_c = contrast[r * side + c], r, c
    k = at_r * side + at_c
    dr = dc = 0.0
    if 0 < at_r < last:
        dr = parabola(float(contrast[k - side]), float(best), float(contrast[k + side]))
    if 0 < at_c < last:
        dc = parabola(float(contrast[k - 1]), float(best), float(contrast[k + 1]))
    return at_r + dr, at_c + dc


@njit(cache=True, nogil=True)
def parabola(before: float, here: float, after: float) -> float:
    """Offset of the summit of a parabola through three equidistant values, at most half a step."""
    curvature = 2.0 * here - before - after
    if not curvature > 0.0:
        return 0.0
    return min(max(0.5 * (after - before) / curvature, -0.5), 0.5)


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def dot(a: Float32, b: Float32) -> float:
    """Scalar product."""
    total = np.float32(0.0)
    for k in range(len(a)):
        total += a[k] * b[k]
    return float(total)


@njit(cache=True, nogil=True)
def refine(
    patch: Float32, hidden: NDArray[np.bool_], place: Float64, bank: Float32, state: Float64, window: Float32
) -> float:
    """
    Measure one disk with the filters of the nearest quarter pixel.

    `place` (2,) is the expected position in the patch, replaced by the measured one; `state` is (intensity,
    background), the intensity replaced. Hidden pixels are filled with the disk expected there. Returns the part of
    the disk that is hidden, or 1 where the window leaves the patch.
    """
    shifts, half = bank.shape[0], (int(np.sqrt(bank.shape[3])) - 1) // 2
    r, c = int(np.floor(place[0] + 0.5)), int(np.floor(place[1] + 0.5))
    if r < half or c < half or r + half >= patch.shape[0] or c + half >= patch.shape[1]:
        return 1.0
    a = min(int((place[0] - r + 0.5) * shifts), shifts - 1)
    b = min(int((place[1] - c + 0.5) * shifts), shifts - 1)
    filters = bank[a, b]
    width = 2 * half + 1
    for i in range(width):
        source, target = patch[r - half + i, c - half : c + half + 1], window[i * width : (i + 1) * width]
        for k in range(len(source)):
            target[k] = source[k]
    part = 0.0
    if hidden.shape[0] > 0:
        for i in range(width):
            for k in range(width):
                if hidden[r - half + i, c - half + k]:
                    flat = filters[3, i * width + k]
                    window[i * width + k] = state[0] * flat + state[1]
                    part += flat
    state[0] = dot(filters[2], window)
    size = max(state[0], 1e-12)
    step_r, step_c = dot(filters[0], window) / size, dot(filters[1], window) / size
    place[0] = r + (a + 0.5) / shifts - 0.5 + min(max(step_r, -2.0), 2.0)
    place[1] = c + (b + 0.5) / shifts - 0.5 + min(max(step_c, -2.0), 2.0)
    return part


@njit(cache=True, nogil=True)
def brightness_class(intensity: float, limits: Float64) -> int:
    """Index of the filters made for disks of this many electrons."""
    k = 0
    while k < len(limits) and intensity > limits[k]:
        k += 1
    return k


@njit(cache=True, nogil=True)
def coarse(
    patches: Float32, geometry: tuple[Any, ...], grid: Grid, scratch: tuple[Float32, Float32, Float32], found: Found
) -> None:
    """Position (m, 2) [px], weight (m,) and intensity and background (m, 2) of each disk by correlation."""
    corners, inner, outer, pixels, _, _, reach, _, _ = geometry
    prefixes, maps, line = scratch
    place, weight, state = found
    m, width, length = len(corners), prefixes.shape[2], pixels.shape[2]
    sums, start = maps[m : m + 3], grid.start
    least = 0.5 * grid.area
    for j in range(m):
        column_prefix(patches[j], grid.step, prefixes[j], line)
        prefix = prefixes[j].reshape(-1)
        disk_sums(prefix, start, inner, length, sums[0])
        disk_sums(prefix, start, outer, length, sums[1])
        contrast_map(sums[0], sums[1], pixels[0, j], pixels[1, j], least, maps[j])
    shift = joint_shift(maps[:m], grid.search, width, sums[2])
    for j in range(m):
        r, c = local_peak(maps[j], grid.search, width, shift, reach[j])
        k = int(np.floor(r + 0.5)) * width + int(np.floor(c + 0.5))
        prefix = prefixes[j].reshape(-1)
        on_disk = one_sum(prefix, start + k, inner)
        on_ring = one_sum(prefix, start + k, outer) - on_disk
        on_pixels, ring_pixels = pixels[0, j, k], pixels[1, j, k] - pixels[0, j, k]
        place[j, 0] = corners[j, 0] + grid.origin + grid.step * r
        place[j, 1] = corners[j, 1] + grid.origin + grid.step * c
        weight[j] = 0.0
        state[j, :] = np.nan
        if on_pixels < least or ring_pixels < 1.0:
            continue
        state[j, 1] = on_ring / ring_pixels
        state[j, 0] = (on_disk / on_pixels - state[j, 1]) * grid.area
        error = sqrt(on_disk + on_ring * (on_pixels / ring_pixels) ** 2 + 1.0) * grid.area / on_pixels
        if state[j, 0] > COARSE_SIGNIFICANCE * error:
            weight[j] = min(state[j, 0] / error, COARSE_LIMIT) ** 2


@njit(cache=True, nogil=True)
def one_sum(prefix: Float32, at: int, chords: NDArray[np.int64]) -> float:
    """Sum over a disk at one shift."""
    total = np.float32(0.0)
    for i in range(len(chords)):
        total += prefix[at + chords[i, 1]] - prefix[at + chords[i, 0]]
    return np.float64(total)


@njit(cache=True, nogil=True)
def normalise(patches: Float32) -> float:
    """Scale patches of a normalised frame to a usual number of electrons, in place; returns the factor."""
    total = np.float64(patches.sum())
    if not 0.0 < total < FEWEST_COUNTS:
        return 1.0
    gain = USUAL_ELECTRONS / total
    for j in range(len(patches)):
        patches[j] *= np.float32(gain)
    return gain


@njit(cache=True, nogil=True)
def measure_disk(
    patch: Float32,
    hidden: NDArray[np.bool_],
    place: Float64,
    state: Float64,
    tables: tuple[Float32, Float64, Float64],
    limits: Float64,
    window: Float32,
    capture: float,
) -> float:
    """Refine a disk in its patch, in place; returns its weight [1/px^2], zero where it was not found."""
    bank, noise, intensity_noise = tables
    kind = brightness_class(state[0], limits)
    r, c = place[0], place[1]
    if np.isnan(state[0]):
        return 0.0
    part = refine(patch, hidden, place, bank[kind], state, window)
    size, background = max(state[0], 1.0), max(state[1], 0.0)
    error = sqrt(intensity_noise[kind, 0] * size + intensity_noise[kind, 1] * background + 1e-9)
    distance2 = (place[0] - r) ** 2 + (place[1] - c) ** 2
    if part > MOST_HIDDEN or not state[0] > SIGNIFICANCE * error or distance2 > capture * capture:
        return 0.0
    variance = noise[kind, 0] / size + noise[kind, 1] * background / (size * size) + noise[kind, 2]
    return float((1.0 - part) ** 2 / variance)


@njit(cache=True, nogil=True)
def track_frames(
    frames: Frames,
    usable: NDArray[np.bool_],
    geometry: tuple[Any, ...],
    grid: Grid,
    tables: tuple[Float32, Float64, Float64],
    out: tuple[Float32, Float32, Float32],
) -> None:
    """Track every frame: coarse peaks, a lattice through them, and the filters at its disks, twice."""
    corners, _, _, pixels, hidden, flagged, _, limits, hk = geometry
    position, intensity, score = out
    m = len(hk)
    patches = np.empty((m, grid.rows, grid.columns), np.float32)
    place, weight, state = np.empty((m, 2)), np.empty(m), np.empty((m, 2))
    vectors, inverse = np.empty((3, 2)), np.empty((3, 3))
    window = np.empty(tables[0].shape[4], np.float32)
    prefixes = empty_prefixes(m, grid)
    scratch = prefixes, np.empty((m + 3, pixels.shape[2]), np.float32), np.empty(grid.rows * grid.columns, np.float32)
    for i in range(len(frames)):
        gather(frames[i], usable, corners, patches)
        gain = normalise(patches) if grid.normalised else 1.0
        coarse(patches, geometry, grid, scratch, (place, weight, state))
        spans = robust_fit(hk, place, weight, vectors, inverse) == 0
        for capture in (2.0 * CAPTURE_PX, CAPTURE_PX):
            if spans:
                put_on_lattice(hk, vectors, place)
            for j in range(m):
                if spans or weight[j] > 0.0:
                    blocked = hidden[j, : grid.rows * flagged[j]]
                    place[j] -= corners[j]
                    weight[j] = measure_disk(patches[j], blocked, place[j], state[j], tables, limits, window, capture)
                    place[j] += corners[j]
            if capture > CAPTURE_PX and spans:
                spans = robust_fit(hk, place, weight, vectors, inverse) == 0
        for j in range(m):
            found = weight[j] > 0.0
            position[i, j, 0] = place[j, 0] if found else np.nan
            position[i, j, 1] = place[j, 1] if found else np.nan
            intensity[i, j] = state[j, 0] / gain
            score[i, j] = sqrt(weight[j]) if found else 0.0


@njit(cache=True, nogil=True)
def put_on_lattice(hk: Float64, vectors: Float64, place: Float64) -> None:
    """Positions (m, 2) of the disks of a lattice (3, 2), in place."""
    for j in range(len(hk)):
        for a in range(2):
            place[j, a] = vectors[0, a] + hk[j, 0] * vectors[1, a] + hk[j, 1] * vectors[2, a]
