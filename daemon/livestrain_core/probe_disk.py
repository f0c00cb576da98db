"""The disk of a probe as pixels sample it."""

import numpy as np

from livestrain_core.probe import Probe
from livestrain_core.spline import pattern_slopes, pattern_values
from livestrain_core.types import Float64

# pixels sample the edge of a disk, which adds to its width as this much of a squared tanh width
PIXEL_VARIANCE = 0.1


def disk(probe: Probe, dr: Float64, dc: Float64) -> Float64:
    """
    Disk of a probe, sampled by pixels: flat with a soft edge, or its pattern.

    Parameters
    ----------
    probe
        Radius and edge [px], and a pattern if it has one.
    dr, dc
        Distance of each pixel from the centre [px].

    Returns
    -------
    array
        1 inside, of a pattern in the mean; 0 outside.
    """
    if probe.pattern is not None:
        return pattern_values(probe.pattern, dr, dc)
    edge = np.sqrt(probe.edge_px**2 + PIXEL_VARIANCE)
    return np.asarray(0.5 - 0.5 * np.tanh((np.hypot(dr, dc) - probe.radius_px) / edge), np.float64)


def disk_slopes(probe: Probe, dr: Float64, dc: Float64) -> tuple[Float64, Float64]:
    """
    Change of a disk's pixels when its centre moves.

    Parameters
    ----------
    probe
        Radius and edge [px], and a pattern if it has one.
    dr, dc
        Distance of each pixel from the centre [px].

    Returns
    -------
    (array, array)
        Derivative with respect to the centre's row and column [1/px].
    """
    if probe.pattern is not None:
        return pattern_slopes(probe.pattern, dr, dc)
    edge = np.sqrt(probe.edge_px**2 + PIXEL_VARIANCE)
    distance = np.maximum(np.hypot(dr, dc), 1e-9)
    fall = 0.5 / edge / np.cosh(np.minimum((distance - probe.radius_px) / edge, 300.0)) ** 2
    return fall * dr / distance, fall * dc / distance
