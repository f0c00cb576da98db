"""Mean patterns of the frames that a calibration looks at, and which frames go into them."""

import numpy as np
from numpy.typing import NDArray

from livestrain_core.bright_disk import fill
from livestrain_core.first_lattice import LEAST_VISIBLE, visible_part
from livestrain_core.probe import MeasuredProbe
from livestrain_core.survey import closed, find_peaks
from livestrain_core.types import Float64, Frames, Usable
from livestrain_core.virtual import measure

# where the direct beam is hidden so many other disks tell how the frames are off
DISKS_FOR_SHIFTS = 8
# where the lattices differ much, this part of the frames, those most like one another, tells the first one
ALIKE_PART = 0.2
FEWEST_ALIKE = 8


def visible(seen: Usable, beam: MeasuredProbe) -> float:
    """Part of the direct beam that can be seen."""
    return visible_part(seen, beam.centre, beam.probe.radius_px)


def mean_pattern(frames: Frames, seen: Usable, shifts: NDArray[np.int64]) -> Float64:
    """Mean [counts] of frames shifted by (n, 2) over what was seen of each pixel, zero where nothing was."""
    total, count = np.zeros(seen.shape), np.zeros(seen.shape)
    rows, columns = seen.shape
    for frame, (r, c) in zip(frames, shifts, strict=True):
        into = (slice(max(-r, 0), rows - max(r, 0)), slice(max(-c, 0), columns - max(c, 0)))
        out_of = (slice(max(r, 0), rows + min(r, 0)), slice(max(c, 0), columns + min(c, 0)))
        good = seen[out_of] & np.isfinite(frame[out_of])
        total[into] += np.where(good, frame[out_of], 0)
        count[into] += good
    return np.asarray(total / np.maximum(count, 1), np.float64)


def average(frames: Frames, seen: Usable, shifts: NDArray[np.int64]) -> tuple[Float64, Float64]:
    """Root of the mean pattern, narrow gaps filled, and a pattern of the same noise without signal."""
    # the root evens out counting noise and keeps the direct beam from drowning the faint disks
    even = np.sqrt(np.maximum(mean_pattern(frames[::2], seen, shifts[::2]), 0))
    odd = np.sqrt(np.maximum(mean_pattern(frames[1::2], seen, shifts[1::2]), 0))
    # the edges of a narrow gap would look like disks
    return fill((even + odd) / 2, seen), fill((even - odd) / 2, seen)


def aligned(frames: Frames, seen: Usable, shifts: NDArray[np.int64], measured: MeasuredProbe) -> NDArray[np.int64]:
    """The shifts; where the direct beam is hidden, those that the median of the brightest disks tells."""
    if visible(seen, measured) >= LEAST_VISIBLE:
        return shifts
    radius = measured.probe.radius_px
    peaks = find_peaks(*average(frames, seen, shifts), closed(seen), measured.probe, measured.centre)
    whole = [visible_part(seen, (r, c), 1.5 * radius) == 1.0 for r, c in peaks.position]
    off = []
    for r, c in peaks.position[whole][:DISKS_FOR_SHIFTS]:
        centre = measure(frames, seen, (float(r), float(c)), radius, ()).centre
        good = centre[np.isfinite(centre).all(axis=1)]
        if len(good) > 0:
            off.append(np.where(np.isfinite(centre), centre - np.median(good, axis=0), 0.0))
    if not off:
        return shifts
    moved = np.rint(np.median(np.stack(off), axis=0)).astype(np.int64)
    moved[np.abs(moved).max(axis=1) > radius + 2] = 0
    return np.asarray(moved, np.int64)


def alike(frames: Frames, seen: Usable, shifts: NDArray[np.int64], measured: MeasuredProbe) -> NDArray[np.int64]:
    """Numbers of some frames that look like one another, more than others do."""
    side = max(round(0.5 * measured.probe.radius_px), 1)
    rows, columns = (size // side for size in seen.shape)
    seen_again, coarse = np.ones_like(seen), []
    for frame, shift in zip(frames, shifts, strict=True):
        root = np.sqrt(np.maximum(mean_pattern(np.where(seen, frame, 0)[None], seen_again, shift[None]), 0.0))
        coarse.append(root[: rows * side, : columns * side].reshape(rows, side, columns, side).mean(axis=(1, 3)))
    differs = np.stack(coarse).reshape(len(frames), -1)
    differs = differs - differs.mean(axis=0)
    differs /= np.maximum(np.sqrt((differs**2).sum(axis=1, keepdims=True)), 1e-12)
    likeness = np.einsum("ip,jp->ij", differs, differs)
    few = min(max(round(ALIKE_PART * len(frames)), FEWEST_ALIKE), len(frames))
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :few]
    together = np.take_along_axis(likeness, nearest, axis=1).sum(axis=1)
    return np.sort(nearest[np.argmax(together)])
