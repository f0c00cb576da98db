"""
Linear filters that measure where a disk is and how bright.

A disk is modelled as a flat top with a soft edge on a linear background. Dynamical contrast inside the disk is a
random field of given statistics (`dynamical`), so that a filter neither trusts the inside of a bright disk nor throws
it away. For each sub-pixel shift and each class of brightness the best linear unbiased estimator of displacement and
intensity is then a fixed filter, and measuring a disk is four scalar products.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from livestrain_core.contrast import USUAL, Contrast
from livestrain_core.dynamical import contrast_modes
from livestrain_core.probe import Probe
from livestrain_core.probe_disk import disk, disk_slopes
from livestrain_core.products import inner
from livestrain_core.types import Float32, Float64

# filters are made for shifts on a grid of quarter pixels; the rest is linear
SHIFTS = 4
# electrons in a disk for which filters are made, a factor of five apart
CLASSES = (30.0, 150.0, 800.0, 4000.0, 20000.0, 100000.0, 500000.0)
# the windows reach this far beyond the edge [edge widths]
EDGES_AROUND = 4.0


@dataclass(frozen=True)
class Filters:
    """Filters of one probe."""

    half: int
    """The window has 2 half + 1 pixels a side."""
    bank: Float32
    """(classes, shifts, shifts, 4, pixels): displacement row, column, intensity; and the disk of one count."""
    noise: Float64
    """(classes, 3): variance of a displacement is [0] / I + [1] b / I^2 + [2], b the background [counts/px]."""
    intensity_noise: Float64
    """(classes, 2): variance of the intensity is [0] I + [1] b."""


@lru_cache(maxsize=8)
def filters(probe: Probe, contrast: Contrast = USUAL, reach_px: float = inf) -> Filters:
    """
    Filters of a probe.

    Parameters
    ----------
    probe
        Radius and edge [px].
    contrast
        Statistics of the intensity inside disks.
    reach_px
        Distance from a disk's centre at which its neighbours begin; nothing beyond is looked at [px].

    Returns
    -------
    Filters
        Kept for the next call with the same arguments.
    """
    half = window_half(probe)
    near = within(probe, half, reach_px)
    bank = np.zeros((len(CLASSES), SHIFTS, SHIFTS, 4, (2 * half + 1) ** 2), np.float32)
    noise = np.zeros((len(CLASSES), 3))
    intensity_noise = np.zeros((len(CLASSES), 2))
    # a flat disk looks the same in a mirror
    few = SHIFTS if probe.pattern else SHIFTS // 2
    shifts = [(a + 0.5) / SHIFTS - 0.5 for a in range(few)]
    for a, row in enumerate(shifts):
        for b, column in enumerate(shifts):
            free, modes = disk_model(probe, contrast, half, (row, column))
            for k, electrons in enumerate(CLASSES):
                variance = np.where(near, pixel_variance(free[2], electrons, contrast), inf)
                weights = estimator(free, modes, variance)
                bank[k, a, b, :3] = weights[:3]
                bank[k, a, b, 3] = free[2]
                noise[k] += _displacement_noise(weights, free[2], modes, contrast) / few**2
                intensity_noise[k] += np.array([(weights[2] ** 2 * free[2]).sum(), (weights[2] ** 2).sum()]) / few**2
    if few < SHIFTS:
        _mirror(bank, 2 * half + 1)
    return Filters(half, bank, noise, intensity_noise)


def _mirror(bank: Float32, side: int) -> None:
    """Filters for all shifts from those for shifts up and to the left, in place."""
    windows = bank.reshape(*bank.shape[:4], side, side)
    for a in range(SHIFTS // 2):
        windows[:, -1 - a] = windows[:, a, :, :, ::-1]
        windows[:, -1 - a, :, 0] *= -1.0
    for b in range(SHIFTS // 2):
        windows[:, :, -1 - b] = windows[:, :, b, :, :, ::-1]
        windows[:, :, -1 - b, 1] *= -1.0


def window_half(probe: Probe) -> int:
    """Pixels on each side of the middle one in the window of a disk."""
    return ceil(probe.radius_px + EDGES_AROUND * probe.edge_px + 0.5)


def clear_reach(probe: Probe, spacing_px: float) -> float:
    """Distance from a disk's centre at which its nearest neighbour, this far away, begins [px]."""
    return spacing_px - probe.radius_px - 2.5 * probe.edge_px - 0.5


def within(probe: Probe, half: int, reach_px: float) -> NDArray[np.bool_]:
    """Pixels (pixels,) of a window that no neighbouring disk reaches."""
    reach = max(reach_px, probe.radius_px + probe.edge_px + 1.0)
    axis = np.arange(-half, half + 1)
    return np.asarray(axis[:, None] ** 2 + axis**2 <= reach**2, np.bool_).ravel()


def disk_model(probe: Probe, contrast: Contrast, half: int, shift: tuple[float, float]) -> tuple[Float64, Float64]:
    """
    Terms that add up to the window of a disk of one count.

    Parameters
    ----------
    probe
        Radius and edge [px].
    contrast
        Statistics of the intensity inside disks.
    half
        The window has 2 half + 1 pixels a side.
    shift
        Centre of the disk from the middle of the window (row, column) [px].

    Returns
    -------
    free : (6, pixels)
        Displacement by a row and by a column, disk, and a plane: constant, rows, columns.
    modes : (k, pixels)
        Contrast, with coefficients of unit variance.
    """
    axis = np.arange(-half, half + 1, dtype=np.float64)
    dr, dc = (a.ravel() for a in np.meshgrid(axis - shift[0], axis - shift[1], indexing="ij"))
    flat = disk(probe, dr, dc)
    area = flat.sum()
    slope_r, slope_c = disk_slopes(probe, dr, dc)
    free = np.stack([slope_r / area, slope_c / area, flat / area, np.ones_like(flat), dr / half, dc / half])
    return free, contrast_modes(probe, contrast, dr, dc) / area


def pixel_variance(flat: Float64, electrons: float, contrast: Contrast) -> Float64:
    """Variance (pixels,) of each pixel of a disk (pixels,) of one count, in units of the disk's counts squared."""
    background = contrast.background / electrons
    return np.asarray((flat + background) / electrons + contrast.roughness**2 * flat * flat.max(), np.float64)


def estimator(free: Float64, modes: Float64, variance: Float64) -> Float64:
    """Best linear unbiased estimator (6, pixels) of the free terms, per count."""
    # Woodbury: the covariance is a diagonal plus a few contrast terms
    weight = 1.0 / variance
    gram = np.eye(len(modes)) + inner(modes, weight, modes)
    mixed = np.linalg.solve(gram, inner(modes, weight, free)).T
    precision = (free - np.einsum("ij,jp->ip", mixed, modes)) * weight
    normal = inner(precision, np.ones_like(weight), free)
    return np.asarray(np.einsum("ij,jp->ip", np.linalg.inv(normal), precision), np.float64)


def _displacement_noise(weights: Float64, flat: Float64, modes: Float64, contrast: Contrast) -> Float64:
    squared = 0.5 * (weights[0] ** 2 + weights[1] ** 2)
    rough = (squared * contrast.roughness**2 * flat * flat.max()).sum()
    shown = 0.5 * (inner(weights[:2], np.ones_like(flat), modes) ** 2).sum()
    return np.array([(squared * flat).sum(), squared.sum(), rough + shown + contrast.misfit_px**2])
