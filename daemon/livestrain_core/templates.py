"""
Linear filters that measure where a disk is and how bright.

A disk is modelled as a flat top with a soft edge on a linear background. Dynamical contrast inside the disk is a
polynomial whose coefficients are random with a given width, so that a filter neither trusts the inside of a bright
disk nor throws it away. For each sub-pixel shift and each class of brightness the best linear unbiased estimator of
displacement and intensity is then a fixed filter, and measuring a disk is four scalar products.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np

from livestrain_core.probe import Probe, disk
from livestrain_core.types import Float32, Float64

# filters are made for shifts on a grid of quarter pixels; the rest is linear
SHIFTS = 4
# electrons in a disk for which filters are made, a factor of five apart
CLASSES = (30.0, 150.0, 800.0, 4000.0, 20000.0, 100000.0)
# relative root mean square of each polynomial term inside a disk, by degree from one on; chosen by looking at synthetic
# scans of the kind that accuracy is quoted on, so the quoted figures are no blind test of this number and the next
CONTRAST = (0.06, 0.04, 0.025, 0.015)
# what is left of the contrast from pixel to pixel
ROUGHNESS = 0.25
# background, relative to the mean of the disk, when pixels are weighted
BACKGROUND = 0.03


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
def filters(probe: Probe) -> Filters:
    """
    Filters of a probe.

    Parameters
    ----------
    probe
        Radius and edge [px].

    Returns
    -------
    Filters
        Kept for the next call with the same probe.
    """
    half = ceil(probe.radius_px + 4.0 * probe.edge_px + 0.5)
    pixels = (2 * half + 1) ** 2
    bank = np.zeros((len(CLASSES), SHIFTS, SHIFTS, 4, pixels), np.float32)
    noise = np.zeros((len(CLASSES), 3))
    intensity_noise = np.zeros((len(CLASSES), 2))
    for a in range(SHIFTS):
        for b in range(SHIFTS):
            shift = ((a + 0.5) / SHIFTS - 0.5, (b + 0.5) / SHIFTS - 0.5)
            design, contrast = _model(probe, half, shift)
            for k, electrons in enumerate(CLASSES):
                weights = _estimator(design, contrast, electrons)
                bank[k, a, b, :3] = weights[:3]
                bank[k, a, b, 3] = design[2]
                noise[k] += _displacement_noise(weights, design[2], contrast) / SHIFTS**2
                intensity_noise[k] += (
                    np.array([(weights[2] ** 2 * design[2]).sum(), (weights[2] ** 2).sum()]) / SHIFTS**2
                )
    return Filters(half, bank, noise, intensity_noise)


def _model(probe: Probe, half: int, shift: tuple[float, float]) -> tuple[Float64, Float64]:
    """Free terms (6, pixels) - displacement, disk, plane - and contrast terms of unit variance (14, pixels)."""
    axis = np.arange(-half, half + 1, dtype=np.float64)
    dr, dc = (a.ravel() for a in np.meshgrid(axis - shift[0], axis - shift[1], indexing="ij"))
    step = 1e-3
    flat = disk(probe, dr, dc)
    area = flat.sum()
    slope_r = (disk(probe, dr - step, dc) - disk(probe, dr + step, dc)) / (2 * step)
    slope_c = (disk(probe, dr, dc - step) - disk(probe, dr, dc + step)) / (2 * step)
    plane = np.ones_like(flat), dr / half, dc / half
    design = np.stack([slope_r / area, slope_c / area, flat / area, *plane])
    y, x = dr / probe.radius_px, dc / probe.radius_px
    terms, widths = [flat], [0.0]
    for degree, width in enumerate(CONTRAST, start=1):
        terms += [flat * y ** (degree - i) * x**i for i in range(degree + 1)]
        widths += [width] * (degree + 1)
    # orthonormal over the disk, lower degrees first, so that a width means the same for each term
    metric = np.sqrt(np.maximum(flat, 1e-9) * area)
    scaled = np.stack(terms) / metric
    triangle = np.linalg.cholesky(_product(scaled, scaled))
    basis = np.einsum("ij,jp->ip", np.linalg.inv(triangle), scaled) * metric / area
    return design, basis[1:] * np.array(widths)[1:, None]


def _product(a: Float64, b: Float64) -> Float64:
    """Matrix of scalar products; BLAS would start threads for it, which costs more than it saves."""
    return np.asarray(np.einsum("ip,jp->ij", a, b), np.float64)


def _estimator(design: Float64, contrast: Float64, electrons: float) -> Float64:
    """Best linear unbiased estimator (6, pixels) of the free terms, per count."""
    flat = design[2]
    mean = flat.max()
    variance = (flat + BACKGROUND * mean) / electrons + (ROUGHNESS * flat) ** 2
    # Woodbury: the covariance is a diagonal plus a few contrast terms
    weighted = contrast / variance
    inner = np.eye(len(contrast)) + _product(weighted, contrast)
    mixed = _product(design / variance, contrast) @ np.linalg.inv(inner)
    precision = design / variance - np.einsum("ij,jp->ip", mixed, weighted)
    return np.asarray(np.einsum("ij,jp->ip", np.linalg.inv(_product(precision, design)), precision), np.float64)


def _displacement_noise(weights: Float64, flat: Float64, contrast: Float64) -> Float64:
    squared = 0.5 * (weights[0] ** 2 + weights[1] ** 2)
    misfit = (squared * (ROUGHNESS * flat) ** 2).sum() + 0.5 * (_product(weights[:2], contrast) ** 2).sum()
    return np.array([(squared * flat).sum(), squared.sum(), misfit])
