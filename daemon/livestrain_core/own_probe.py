"""The probe from the disks of a mean pattern, where no vacuum probe shows it."""

import numpy as np

from livestrain_core.bright_disk import measure_probe
from livestrain_core.errors import NoProbe
from livestrain_core.probe import MeasuredProbe, Probe
from livestrain_core.survey import Peaks, find_peaks
from livestrain_core.types import Float64, Usable

# radii that are tried: from, growing by, up to this part of the frame [px]
SMALLEST_PX = 1.5
STEP = 1.2
LARGEST_PART = 0.13
# so many of the strongest peaks decide, and fewer than this do not
COUNTED = 16
FEWEST = 4
# how soft the edge of a tried disk is, per root of its radius [px]
SOFTNESS = 0.3
# a disk is averaged as far out as this [tried radii]
REACH = 1.5
# the radius that is best is somewhat larger than the disks
TRIED_PART = 0.9
# the measured radius may differ from the tried one by this factor
AGREES = 1.4
EVEN_PART = 0.2


def probe_of_disks(pattern: Float64, error: Float64, seen: Usable) -> MeasuredProbe | None:
    """
    Radius and edge of the disks of a pattern, whatever is inside them, and the centre of the strongest.

    Parameters
    ----------
    pattern : (rows, columns)
        Square root of the mean counts, zero where nothing was measured.
    error : (rows, columns)
        A pattern of the same noise without signal.
    seen : (rows, columns)
        False where nothing was measured.

    Returns
    -------
    MeasuredProbe or None
        None where fewer than four disks stand out; a rough one where blur leaves no shape of a disk [px].

    Notes
    -----
    Disks of the right radius stand out the most from their surroundings, all together. The disks found with it are
    laid upon each other, each as heavy as the others, which evens out the contrast inside them.
    """
    best, radius = None, SMALLEST_PX
    strongest = 0.0
    while radius <= max(LARGEST_PART * min(seen.shape), SMALLEST_PX):
        peaks = _peaks(pattern, error, seen, radius)
        strength = float(peaks.significance[:COUNTED].sum())
        if len(peaks.position) >= FEWEST and strength > strongest:
            best, tried, strongest = peaks, radius, strength
        radius *= STEP
    if best is None:
        return None
    first = (float(best.position[0, 0]), float(best.position[0, 1]))
    image, known = _laid_upon(pattern**2, seen, best, int(np.ceil(REACH * tried + 2.0)))
    rough = Probe(TRIED_PART * tried, SOFTNESS * tried**0.5)
    try:
        probe = measure_probe(image, known).probe
    except NoProbe:
        return MeasuredProbe(first, rough)
    agrees = tried / AGREES < probe.radius_px < tried * AGREES
    return MeasuredProbe(first, probe if agrees else rough)


def _peaks(pattern: Float64, error: Float64, seen: Usable, radius: float) -> Peaks:
    middle = ((seen.shape[0] - 1) / 2, (seen.shape[1] - 1) / 2)
    return find_peaks(pattern, error, seen, Probe(radius, SOFTNESS * radius**0.5), middle)


def _laid_upon(counts: Float64, seen: Usable, peaks: Peaks, reach: int) -> tuple[Float64, Usable]:
    """Mean of the strongest disks, and where most of them could be seen."""
    side = 2 * reach + 1
    total, weight = np.zeros((side, side)), np.zeros((side, side))
    padded, known = np.pad(counts, reach), np.pad(seen, reach)
    for (r, c), height in zip(np.rint(peaks.position[:COUNTED]).astype(int), peaks.significance, strict=False):
        part = (slice(r, r + side), slice(c, c + side))
        # what stands out of the root is about the root of what stands out
        total += np.where(known[part], padded[part], 0.0) / height**2
        weight += known[part] / height**2
    r, c = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    enough = (weight > EVEN_PART * weight.max()) & (np.hypot(r, c) <= reach)
    return total / np.maximum(weight, 1e-30), enough
