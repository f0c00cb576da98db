from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.types import Float64, Frames, Image, Point, Usable

# the bright-field disk and its edge, with room for descan, but nothing of the disks around it
CENTRE_RADII = 1.2
CENTRE_STEPS = 6
CENTRE_TOLERANCE_PX = 0.01


@dataclass(frozen=True)
class Detector:
    """A virtual detector: a disk, or an annulus where `inner_px` is above zero."""

    inner_px: float
    """Smallest distance from the centre that belongs to it [px]."""
    outer_px: float
    """Largest distance from the centre that belongs to it [px]."""
    centre: Point | None = None
    """Fixed centre (row, column) [px]; None follows the measured centre of each frame."""
    predicted: bool = False
    """True: without a fixed centre, take the predicted one of each frame instead of the measured one."""


@dataclass(frozen=True)
class Virtual:
    """What virtual detectors measured in n frames, without unusable pixels; NaN in a frame that lost every pixel."""

    total: Float64
    """(n,) all counts of the frame [counts]."""
    centre_of_mass: Float64
    """(n, 2) of the whole frame (row, column); NaN in an empty frame [px]."""
    centre: Float64
    """(n, 2) bright-field disk (row, column); NaN where nothing is near the guess [px]."""
    sums: Float64
    """(n, k) counts on each detector; NaN where it follows a centre that was not found [counts]."""
    left_out: NDArray[np.uint32]
    """(n,) usable pixels that the frame lost, not finite or saturated; they count in nothing else."""


def measure(
    frames: Frames,
    usable: Usable | None,
    guess_centre: Point,
    radius_px: float,
    detectors: tuple[Detector, ...],
    predicted: Float64 | None = None,
    saturation: float | None = None,
) -> Virtual:
    """
    Total, centre of mass, bright-field centre and virtual detectors of each frame.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns of u1, u2, u4 or f4 [counts].
    usable : (rows, columns), optional
        False where a pixel counts as zero; one that is not finite does so in its frame.
    guess_centre : (2,)
        Where the bright-field disk is expected (row, column) [px].
    radius_px
        Its radius [px].
    detectors : (k,)
        Virtual detectors.
    predicted : (n, 2), optional
        Centre of each frame for the detectors that want the predicted one; `guess_centre` if not given [px].

    saturation
        Counts from which on a pixel says nothing and is left out of its frame; None where no pixel saturates [counts].

    Returns
    -------
    Virtual
        Sums of integer frames are exact.

    Notes
    -----
    A pixel belongs to a detector if inner^2 <= dr^2 + dc^2 <= outer^2 in float64, with (dr, dc) from the centre to
    the middle of the pixel; with the returned centre the same sums come out of a numpy mask. The bright-field centre
    is the centre of mass within 1.2 radii, repeated from the guess until it moves by less than 0.01 px (six times
    at most).
    """
    frames = np.ascontiguousarray(frames)
    n, _, columns = frames.shape
    masked = usable is not None and not bool(np.all(usable))
    keep = np.ascontiguousarray(usable, np.bool_) if masked else np.ones(frames.shape[1:], np.bool_)
    checked = saturation is not None or frames.dtype.kind == "f"
    limit = np.inf if saturation is None else saturation
    geometry = np.array([_row(d) for d in detectors], np.float64).reshape(-1, 5)
    if predicted is None:
        predicted = np.tile(np.array(guess_centre, np.float64), (n, 1))
    guess = np.array([*guess_centre, CENTRE_RADII * radius_px], np.float64)
    left_out = np.zeros(n, np.uint32)
    out = Virtual(np.empty(n), np.empty((n, 2)), np.empty((n, 2)), np.empty((n, len(detectors))), left_out)
    if n == 0:
        return out
    accumulator = np.uint32 if frames.dtype.kind == "u" and frames.dtype.itemsize <= 2 else None
    wide = np.float64 if frames.dtype.kind == "f" else np.uint64
    column_sums = np.empty(columns, accumulator or wide)
    arrays = (out.total, out.centre_of_mass, out.centre, out.sums, left_out)
    places = np.ascontiguousarray(predicted, np.float64)
    _measure(frames, (keep, masked, checked, float(limit)), guess, (geometry, places), column_sums, wide(0), arrays)
    return out


def _row(detector: Detector) -> tuple[float, float, float, float, float]:
    centre = detector.centre or (np.nan, np.nan)
    return detector.inner_px, detector.outer_px, centre[0], centre[1], float(detector.predicted)


@njit(cache=True, nogil=True)
def _measure(
    frames: Frames,
    pixels: tuple[Usable, bool, bool, float],
    guess: Float64,
    where: tuple[Float64, Float64],
    column_sums: NDArray[Any],
    zero: Any,
    out: tuple[Float64, Float64, Float64, Float64, NDArray[np.uint32]],
) -> None:
    total, centre_of_mass, centre, sums, left_out = out
    keep, masked, checked, limit = pixels
    geometry, predicted = where
    kept = keep.sum()
    frame = frames[0].copy()
    for i in range(frames.shape[0]):
        if checked:
            good = _clean(frames, i, keep, limit, frame)
            left_out[i] = kept - good
            if good == 0 and kept > 0:
                total[i], centre_of_mass[i], centre[i], sums[i] = np.nan, np.nan, np.nan, np.nan
                continue
        elif masked:
            _mask(frames, i, keep, frame)
        else:
            frame = frames[i]
        total[i] = _moments(frame, column_sums, zero, centre_of_mass[i])
        _bright_field_centre(frame, guess, zero, centre[i])
        for k in range(geometry.shape[0]):
            inner, outer, r0, c0, wants_predicted = geometry[k]
            if np.isnan(r0):
                source = predicted if wants_predicted else centre
                r0, c0 = source[i, 0], source[i, 1]
            sums[i, k] = _annulus_sum(frame, r0, c0, inner * inner, outer * outer, zero)


@njit(cache=True, nogil=True)
def _mask(frames: Frames, i: int, keep: Usable, frame: Image) -> None:
    """Copy of frame i, zero where it is not usable."""
    nothing = frames.dtype.type(0)
    for r in range(frame.shape[0]):
        source, target, usable = frames[i, r], frame[r], keep[r]
        for c in range(len(target)):
            target[c] = source[c] if usable[c] else nothing


@njit(cache=True, nogil=True)
def _clean(frames: Frames, i: int, keep: Usable, limit: float, frame: Image) -> int:
    """Copy of frame i, zero where it is not usable, not finite or saturated; returns how many pixels are left."""
    nothing, most, left = frames.dtype.type(0), np.float32(limit), 0
    for r in range(frame.shape[0]):
        source, target, usable = frames[i, r], frame[r], keep[r]
        # of the same width as the values, so that a loop takes many at a time
        in_row = np.int32(0)
        for c in range(len(target)):
            # a comparison with what is not a number is false, and infinity is not below any limit
            good = (abs(np.float32(source[c])) < most) & usable[c]
            target[c] = source[c] if good else nothing
            in_row = np.int32(in_row + np.int32(good))
        left += int(in_row)
    return left


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _moments(frame: Image, column_sums: NDArray[Any], zero: Any, centre_of_mass: Float64) -> float:
    column_sums[:] = 0
    total = moment_r = moment_c = 0.0
    for r in range(frame.shape[0]):
        row_sum = zero
        for c in range(frame.shape[1]):
            row_sum += frame[r, c]
            column_sums[c] += frame[r, c]
        total += row_sum
        moment_r += r * np.float64(row_sum)
    for c in range(frame.shape[1]):
        moment_c += c * np.float64(column_sums[c])
    found = total > 0.0
    centre_of_mass[0] = moment_r / total if found else np.nan
    centre_of_mass[1] = moment_c / total if found else np.nan
    return total


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _bright_field_centre(frame: Image, guess: Float64, zero: Any, centre: Float64) -> None:
    r0, c0, radius = guess[0], guess[1], guess[2]
    rows, columns = frame.shape
    if not (np.isfinite(r0) and np.isfinite(c0)):
        centre[:] = np.nan
        return
    for _ in range(CENTRE_STEPS):
        total = moment_r = moment_c = 0.0
        for r in range(max(ceil(r0 - radius), 0), min(floor(r0 + radius) + 1, rows)):
            low, high = _chord(radius * radius, False, c0, r - r0, columns)
            row_sum = moment = zero
            # a view: numba would test every index for being negative, and not vectorise
            chord = frame[r, low:high]
            for c in range(len(chord)):
                row_sum += chord[c]
                moment += chord[c] * type(zero)(c)
            total += row_sum
            moment_r += (r - r0) * np.float64(row_sum)
            moment_c += np.float64(moment) + (low - c0) * np.float64(row_sum)
        if not total > 0.0:
            centre[:] = np.nan
            return
        step_r, step_c = moment_r / total, moment_c / total
        r0 += step_r
        c0 += step_c
        if step_r * step_r + step_c * step_c < CENTRE_TOLERANCE_PX**2:
            break
    centre[0], centre[1] = r0, c0


@njit(cache=True, nogil=True)
def _annulus_sum(frame: Image, r0: float, c0: float, inner2: float, outer2: float, zero: Any) -> float:
    if not (np.isfinite(r0) and np.isfinite(c0)):
        return np.nan
    rows, columns = frame.shape
    total = zero
    reach = sqrt(outer2) + 1.0
    for r in range(min(max(int(r0 - reach), 0), rows), min(max(int(r0 + reach) + 2, 0), rows)):
        low, high = _chord(outer2, False, c0, r - r0, columns)
        hole_low, hole_high = _chord(inner2, True, c0, r - r0, columns)
        if hole_low == hole_high:
            hole_low = hole_high = high
        # a hole wider than the disk leaves nothing
        hole_low, hole_high = min(max(hole_low, low), high), min(max(hole_high, low), high)
        total += _row_sum(frame[r, low:hole_low], zero) + _row_sum(frame[r, hole_high:high], zero)
    return np.float64(total)


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _row_sum(row: NDArray[Any], zero: Any) -> Any:
    total = zero
    for c in range(len(row)):
        total += row[c]
    return total


@njit(cache=True, nogil=True)
def _chord(radius2: float, strict: bool, centre: float, dr: float, columns: int) -> tuple[int, int]:
    """
    First and one past the last column with d^2 <= radius2, or below it if strict.

    The square root only guesses the ends; the comparison is that of a mask, to the last bit.
    """
    rest = radius2 - dr * dr
    half = sqrt(rest) if rest > 0.0 else 0.0
    low, high = ceil(centre - half) - 1, floor(centre + half) + 1
    while low <= high and _outside(dr, low - centre, radius2, strict):
        low += 1
    while high >= low and _outside(dr, high - centre, radius2, strict):
        high -= 1
    low, high = max(low, 0), min(high, columns - 1)
    return (low, high + 1) if high >= low else (0, 0)


@njit(cache=True, nogil=True)
def _outside(dr: float, dc: float, radius2: float, strict: bool) -> bool:
    d2 = dr * dr + dc * dc
    return d2 >= radius2 if strict else d2 > radius2
