"""Dark and gain of a detector, applied to stored frames before anything else looks at them."""

import numpy as np
from numba import njit

from livestrain_core.contrast import Contrast
from livestrain_core.types import Float32, Frames, Image

# a factor this near to one changes no decision
ALMOST_COUNTS = 0.2


def corrected(
    frames: Frames, dark: Image | None = None, gain: Image | None = None, saturation: float | None = None
) -> Float32:
    """
    Frames without the detector's dark level and unequal gain.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns as stored, of u1, u2, u4 or f4 [counts].
    dark : (rows, columns), optional
        Counts without a beam, subtracted [counts].
    gain : (rows, columns), optional
        Factor that makes all pixels alike, multiplied after that.
    saturation
        Stored counts from which on a pixel says nothing; None where no pixel saturates [counts].

    Returns
    -------
    (n, rows, columns)
        float32; NaN where a pixel is saturated, or not finite in the frame, the dark or the gain [counts].
    """
    frames = np.ascontiguousarray(frames)
    shape = frames.shape[1:]
    level = np.zeros(shape, np.float32) if dark is None else np.ascontiguousarray(dark, np.float32)
    factor = np.ones(shape, np.float32) if gain is None else np.ascontiguousarray(gain, np.float32)
    if level.shape != shape or factor.shape != shape:
        raise ValueError(f"dark {level.shape} and gain {factor.shape} must have the shape of a frame, {shape}")
    out = np.empty(frames.shape, np.float32)
    rows = frames.shape[0] * frames.shape[1]
    _correct(frames.reshape(rows, -1), level, factor, np.inf if saturation is None else float(saturation), out)
    return out


def in_electrons(frames: Frames, contrast: Contrast | None, saturation: float | None = None) -> Frames:
    """
    Frames in units in which a count's variance is its mean.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns [counts].
    contrast
        Tells the electrons per count; None where they are not known.
    saturation
        Counts from which on a pixel says nothing; None where no pixel saturates [counts].

    Returns
    -------
    (n, rows, columns)
        The frames themselves where counts are electrons, nearly, and none saturates; else float32, NaN where a pixel
        is saturated or not finite [electrons].
    """
    electrons = contrast.electrons_per_count if contrast else 1.0
    if saturation is None and abs(electrons - 1.0) < ALMOST_COUNTS:
        return frames
    return corrected(frames, gain=np.full(frames.shape[1:], electrons, np.float32), saturation=saturation)


@njit(cache=True, nogil=True)
def _correct(rows: Frames, dark: Float32, gain: Float32, limit: float, out: Float32) -> None:
    """Rows of all frames, one after the other."""
    most, nothing, height = np.float32(limit), np.float32(np.nan), len(dark)
    flat = out.reshape(rows.shape)
    for i in range(len(rows)):
        source, target, level, factor = rows[i], flat[i], dark[i % height], gain[i % height]
        for c in range(len(target)):
            value = np.float32(source[c])
            result = (value - level[c]) * factor[c]
            # a comparison with what is not a number is false, and infinity is not below any limit
            target[c] = result if abs(value) < most and abs(result) < np.inf else nothing
