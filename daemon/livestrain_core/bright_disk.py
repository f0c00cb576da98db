"""The brightest disk of an image: a probe in vacuum, or the direct beam of a mean pattern."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from livestrain_core.errors import NoProbe
from livestrain_core.probe import MeasuredProbe, Probe
from livestrain_core.probe_disk import disk
from livestrain_core.types import Float64, Image, Usable

SMALLEST_RADIUS_PX = 1.2
# a disk that fills more of the image than this has no surroundings to stand out from
LARGEST_PART = 0.7
SIGNIFICANCE = 6.0
STEPS = 25
SHARPEST_BLUR_PX = 2.5
# as wide as half the gaps between the modules of a detector
FILL_STEPS = 4


def measure_probe(image: Image, usable: Usable | None = None) -> MeasuredProbe:
    """
    Centre, radius and edge of the brightest disk of an image.

    Parameters
    ----------
    image : (rows, columns)
        Vacuum probe, or a mean pattern with a bright-field disk [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at; pixels that are not finite are never looked at.

    Returns
    -------
    MeasuredProbe
        Sub-pixel centre, radius and edge [px].

    Raises
    ------
    NoProbe
        The image is blank, not finite or has no disk with a dark surrounding.

    Notes
    -----
    The pixels above half the brightness, connected to the brightest one, give a first circle. Centre, radius and
    edge then follow from least squares, with a smooth contrast inside the disk (six terms) and a plane as background
    free, so that neither a tilted bright-field disk nor a halo pulls them.
    """
    values = np.asarray(image, np.float64)
    seen = np.isfinite(values) if usable is None else np.isfinite(values) & usable
    if not seen.any():
        raise NoProbe("no pixel of the image is usable and finite")
    values = np.where(seen, values, 0.0)
    area = _bright_area(fill(values, seen), seen)
    r, c = np.nonzero(area)
    start = np.array([r.mean(), c.mean(), np.sqrt(len(r) / np.pi), 1.0])
    parameters = _least_squares(values, seen, start)
    if parameters[3] > SHARPEST_BLUR_PX:
        # a defocused or smeared edge is no tanh; there the half level decides
        parameters[:3] = start[:3]
    centre, radius, edge = parameters[:2], parameters[2], parameters[3]
    moved = np.hypot(*(centre - start[:2]))
    if not (np.isfinite(parameters).all() and moved < 0.5 * start[2] + 1 and 0.6 < radius / start[2] < 1.6):
        raise NoProbe(f"the bright area near {start[:2].round(1)} of radius {start[2]:.1f} px is not a disk")
    return MeasuredProbe((float(centre[0]), float(centre[1])), Probe(float(radius), float(edge)))


def fill(values: Float64, seen: NDArray[np.bool_]) -> Float64:
    """
    An image whose narrow hidden parts are filled from around them.

    Parameters
    ----------
    values : (rows, columns)
        Image, zero where it is hidden [counts].
    seen : (rows, columns)
        False where it is hidden.

    Returns
    -------
    (rows, columns)
        Hidden pixels within a few pixels of a seen one carry the mean of their neighbours; others stay zero [counts].
    """
    if seen.all():
        return values
    values, known = values.copy(), seen.astype(np.float64)
    for _ in range(FILL_STEPS):
        total, count = _sum3(values * known), _sum3(known)
        new = (known == 0) & (count > 0)
        values[new] = total[new] / count[new]
        known[new] = 1.0
    return values


def _sum3(values: Float64) -> Float64:
    padded = np.pad(values, 1)
    rows, columns = values.shape
    return np.asarray(sum(padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)), np.float64)


def _bright_area(values: Float64, seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels above half the level of the brightest disk and connected with its peak."""
    smooth = median3(values)
    dark = float(np.median(values[seen]))
    scatter = 1.4826 * float(np.median(np.abs(values[seen] - dark)))
    top = float(smooth.max())
    if not top - dark > SIGNIFICANCE * scatter or top <= 0.0:
        raise NoProbe(f"nothing stands out: brightest {top:.4g}, median {dark:.4g}, scatter {scatter:.4g}")
    peak = np.unravel_index(int(smooth.argmax()), smooth.shape)
    level = top
    area = np.zeros(smooth.shape, np.bool_)
    # the brightest pixel overestimates the level of the disk; half the median of the disk found is the better cut
    for _ in range(3):
        area = _flood(smooth > dark + 0.5 * (level - dark), int(peak[0]), int(peak[1]))
        level = float(np.median(smooth[area]))
    size = int(area.sum())
    if size < np.pi * SMALLEST_RADIUS_PX**2:
        raise NoProbe(f"the brightest spot has only {size} pixels")
    if size > LARGEST_PART * area.size:
        raise NoProbe(f"the bright area covers {100 * size / area.size:.0f} % of the image")
    return area


def median3(values: Float64) -> Float64:
    """Median of 3 x 3 pixels, so that a hot pixel is not taken for the beam."""
    padded = np.pad(values, 1, mode="edge")
    rows, columns = values.shape
    shifted = [padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    return np.asarray(np.median(np.stack(shifted), axis=0), np.float64)


@njit(cache=True, nogil=True)
def _flood(bright: NDArray[np.bool_], r: int, c: int) -> NDArray[np.bool_]:
    rows, columns = bright.shape
    area = np.zeros((rows, columns), np.bool_)
    stack = np.empty((rows * columns, 2), np.int64)
    stack[0], count = (r, c), 1
    area[r, c] = True
    while count > 0:
        count -= 1
        r, c = stack[count]
        for dr, dc in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            i, j = r + dr, c + dc
            if 0 <= i < rows and 0 <= j < columns and bright[i, j] and not area[i, j]:
                area[i, j] = True
                stack[count] = (i, j)
                count += 1
    return area


def _least_squares(values: Float64, seen: NDArray[np.bool_], start: Float64) -> Float64:
    """Centre row and column, radius and edge by Gauss-Newton steps, everything linear projected out."""
    parameters = start.copy()
    reach = 1.25 * start[2] + 4.0
    rows, columns = values.shape
    r, c = np.mgrid[0:rows, 0:columns]
    window = seen & (np.hypot(r - start[0], c - start[1]) < reach)
    y, x, target = r[window].astype(np.float64), c[window].astype(np.float64), values[window]
    steps = np.array([1e-3, 1e-3, 1e-3, 1e-3])
    for _ in range(STEPS):
        design = _linear_terms(parameters, y, x)
        base = _solve(design, target)
        fitted = design @ base
        moved = [_linear_terms(parameters + d, y, x) @ base - fitted for d in np.diag(steps)]
        slopes = np.stack(moved, axis=1) / steps
        joint = _solve(np.concatenate([slopes, design], axis=1), target - fitted)
        largest = np.array([1.0, 1.0, 1.0, 0.3])
        step = np.clip(joint[:4], -largest, largest)
        parameters = parameters + step
        parameters[3] = min(max(parameters[3], 0.05), 0.5 * start[2] + 1.0)
        if np.abs(step).max() < 1e-4:
            break
    return parameters


def _solve(design: Float64, target: Float64) -> Float64:
    """Least squares by the normal equations, which are small; a term that is not there gets nothing."""
    scale = np.sqrt((design**2).sum(axis=0)) + 1e-30
    normal = np.einsum("pi,pj->ij", design, design) / np.outer(scale, scale) + 1e-10 * np.eye(len(scale))
    return np.asarray(np.linalg.solve(normal, np.einsum("pi,p->i", design, target) / scale) / scale, np.float64)


def _linear_terms(parameters: Float64, y: Float64, x: Float64) -> Float64:
    dr, dc = y - parameters[0], x - parameters[1]
    flat = disk(Probe(parameters[2], parameters[3]), dr, dc)
    u, v = dr / parameters[2], dc / parameters[2]
    ones = np.ones_like(flat)
    return np.stack([flat, flat * u, flat * v, flat * u * u, flat * u * v, flat * v * v, ones, u, v], axis=1)
