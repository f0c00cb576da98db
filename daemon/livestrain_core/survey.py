"""Where disks are on a whole pattern, without knowing a lattice; for calibration, where speed matters little."""

from dataclasses import dataclass

import numpy as np

from livestrain_core.bright_disk import fill
from livestrain_core.probe import Probe
from livestrain_core.probe_disk import disk
from livestrain_core.types import Float64, Point, Usable

# peaks of the correlation count from this many standard errors on, and from this part of the highest one
SIGNIFICANCE = 6.0
FAINTEST = 0.004
MOST_PEAKS = 80
# positions where less of a disk than this is visible are not looked at
LEAST_VISIBLE = 0.6
# along a ring the correlation stays high on both sides of a peak; a disk ends after 1.6 radii
RING_DISTANCE = 1.6
RING_LEVEL = 0.6


@dataclass(frozen=True)
class Peaks:
    """Disk-like peaks of a pattern, the strongest first."""

    position: Float64
    """(k, 2) (row, column) [px]."""
    significance: Float64
    """(k,) height over its standard error [1]."""


def find_peaks(pattern: Float64, error: Float64, usable: Usable, probe: Probe, centre: Point) -> Peaks:
    """
    Disk-like peaks of a mean pattern.

    Parameters
    ----------
    pattern : (rows, columns)
        Square root of the mean counts, zero where unusable.
    error : (rows, columns)
        A pattern of the same noise without signal.
    usable : (rows, columns)
        False where nothing was measured.
    probe
        Radius and edge [px].
    centre
        Direct beam; peaks on a ring around it are no disks (row, column) [px].

    Returns
    -------
    Peaks
        Local maxima of the mean over a disk minus the mean over its annulus.
    """
    contrast, visible = _contrast(pattern, usable, probe)
    noise, _ = _contrast(error, usable, probe)
    good = visible >= LEAST_VISIBLE
    if not good.any():
        return Peaks(np.empty((0, 2)), np.empty(0))
    deviation = float(np.sqrt(np.mean(noise[good] ** 2)))
    contrast = np.where(good, contrast, 0.0)
    threshold = max(SIGNIFICANCE * deviation, FAINTEST * float(contrast.max()), 1e-12)
    r, c = np.nonzero((contrast > threshold) & (contrast >= _largest_around(contrast, max(round(probe.radius_px), 2))))
    order = np.argsort(-contrast[r, c], kind="stable")
    kept = [(i, j) for i, j in zip(r[order], c[order], strict=True) if not _on_ring(contrast, i, j, centre, probe)]
    kept = kept[:MOST_PEAKS]
    position = np.array([_summit(contrast, i, j) for i, j in kept]).reshape(-1, 2)
    height = np.array([contrast[i, j] for i, j in kept])
    return Peaks(position, height / max(deviation, 1e-12))


def closed(usable: Usable) -> Usable:
    """
    The usable pixels, and narrow gaps between them that `fill` fills from both sides.

    Parameters
    ----------
    usable : (rows, columns)
        False where nothing was measured.

    Returns
    -------
    (rows, columns)
        False only in hidden parts that are too wide to be filled.
    """
    wide = ~_widened(usable)
    return np.asarray(usable | ~_widened(wide), np.bool_) if wide.any() else np.ones_like(usable)


def _widened(area: Usable) -> Usable:
    return np.asarray(fill(area.astype(np.float64), area) > 0.0, np.bool_)


def _contrast(pattern: Float64, usable: Usable, probe: Probe) -> tuple[Float64, Float64]:
    """Mean over a disk minus mean over its annulus at each position, and the visible part of the disk."""
    ring = max(1.35 * probe.radius_px, probe.radius_px + 2.0)
    reach = int(np.ceil(ring)) + 1
    dr, dc = np.meshgrid(*(np.arange(-reach, reach + 1.0),) * 2, indexing="ij")
    # a pattern is not symmetric under a point, as the correlation takes it; a flat disk finds it, too
    inner = disk(Probe(probe.radius_px, probe.edge_px), dr, dc)
    outer = (np.hypot(dr, dc) <= ring) & (np.hypot(dr, dc) > probe.radius_px + min(2.0 * probe.edge_px, 1.0))
    seen = usable.astype(np.float64)
    on_disk, on_ring = _correlate(pattern * seen, inner), _correlate(pattern * seen, outer.astype(np.float64))
    pixels, ring_pixels = _correlate(seen, inner), _correlate(seen, outer.astype(np.float64))
    visible = np.minimum(pixels / inner.sum(), ring_pixels / outer.sum())
    contrast = on_disk / np.maximum(pixels, 1e-6) - on_ring / np.maximum(ring_pixels, 1e-6)
    return np.where(visible > 0.1, contrast, 0.0), visible


def _correlate(image: Float64, kernel: Float64) -> Float64:
    """Correlation with a centred, point-symmetric kernel; outside the image there is nothing."""
    rows, columns = image.shape
    reach = kernel.shape[0] // 2
    shape = (rows + 2 * reach, columns + 2 * reach)
    product = np.fft.rfft2(image, shape) * np.fft.rfft2(kernel, shape)
    return np.asarray(np.fft.irfft2(product, shape)[reach : reach + rows, reach : reach + columns], np.float64)


def _largest_around(image: Float64, radius: int) -> Float64:
    """Largest value within a square around each pixel, rows first and then columns."""
    for axis in (0, 1):
        width = [(radius, radius) if a == axis else (0, 0) for a in (0, 1)]
        padded = np.pad(image, width, constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1, axis=axis)
        image = windows.max(axis=-1)
    return image


def _on_ring(contrast: Float64, r: int, c: int, centre: Point, probe: Probe) -> bool:
    away = np.array([r - centre[0], c - centre[1]])
    distance = np.hypot(*away)
    if distance < 2.0 * probe.radius_px:
        return False
    along = np.array([-away[1], away[0]]) / distance * max(RING_DISTANCE * probe.radius_px, 3.0)
    levels = []
    for sign in (1.0, -1.0):
        i, j = np.rint([r + sign * along[0], c + sign * along[1]]).astype(int)
        inside = 0 <= i < contrast.shape[0] and 0 <= j < contrast.shape[1]
        levels.append(contrast[i, j] if inside else 0.0)
    return bool(min(levels) > RING_LEVEL * contrast[r, c])


def _summit(contrast: Float64, r: int, c: int) -> tuple[float, float]:
    rows, columns = contrast.shape
    if not (0 < r < rows - 1 and 0 < c < columns - 1):
        return float(r), float(c)
    place = []
    for at, before, after in (
        (r, contrast[r - 1, c], contrast[r + 1, c]),
        (c, contrast[r, c - 1], contrast[r, c + 1]),
    ):
        curvature = 2.0 * contrast[r, c] - before - after
        place.append(at + (float(np.clip(0.5 * (after - before) / curvature, -0.5, 0.5)) if curvature > 0 else 0.0))
    return place[0], place[1]
