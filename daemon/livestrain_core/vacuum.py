"""The probe as it is without a specimen, measured for a template of any shape."""

from math import ceil

import numpy as np

from livestrain_core.bright_disk import LARGEST_PART, SIGNIFICANCE, SMALLEST_RADIUS_PX, fill, median3
from livestrain_core.errors import NoProbe
from livestrain_core.pattern import LARGEST_HALF, Pattern
from livestrain_core.probe import MeasuredProbe, Probe
from livestrain_core.probe_disk import PIXEL_VARIANCE
from livestrain_core.spline import spline_at, spline_coefficients
from livestrain_core.types import Float64, Image, Point, Usable

# bright pixels farther from the middle than this many median distances are no part of the probe
FARTHEST = 2.5
# this quantile of the bright pixels is the height of an aperture where it is open
OPEN = 0.8
# the rim is looked for along so many rays, in such steps [px]
RAYS = 360
STEP_PX = 0.05
# of the rays, those that see the rim this near to the farthest tell radius and edge: the others end in a dark part
OUTERMOST = 0.9
NEAR_PX = 0.7
# from one half to one quarter of its height a tanh edge takes so many edge widths
TO_QUARTER = 0.5493
LEAST_EDGE_PX = 0.05
# the pattern is kept up to here and has faded to nothing at the end of its image [edge widths beyond the radius]
KEPT, FADED = 3.0, 5.0
# shells of spatial frequency of a spectrum, and from where on it is noise [cycles/px]
SHELLS = 24
NOISY = 0.58


def measure_pattern(image: Image, usable: Usable | None = None) -> MeasuredProbe:
    """
    The probe of a vacuum image with whatever pattern its aperture gives it.

    Parameters
    ----------
    image : (rows, columns)
        Mean vacuum probe [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at; narrow hidden parts are filled from around them.

    Returns
    -------
    MeasuredProbe
        Centre of intensity, outer radius and edge [px], and the pattern.

    Raises
    ------
    NoProbe
        The image is blank, not finite, or its probe is too small, too large or cut off.

    Notes
    -----
    Rays from the centre see the rim where they last rise to half the height; the outermost of them give radius and
    edge. The pattern is the image around, its background subtracted, faded out beyond the rim, and with each spatial
    frequency reduced to the part that exceeds the noise (Wiener), which is what is seen at the highest ones.
    """
    values = np.asarray(image, np.float64)
    seen = np.isfinite(values) if usable is None else np.isfinite(values) & usable
    if not seen.any():
        raise NoProbe("no pixel of the image is usable and finite")
    values = fill(np.where(seen, values, 0.0), seen)
    middle, reach, height = _bright(values, seen)
    centre, background = _centre_of_intensity(values, middle, reach)
    radius, edge = _rim(values - background, centre, reach, height)
    return MeasuredProbe(centre, Probe(radius, edge, _pattern(values - background, centre, radius, edge)))


def average_vacuum(frames: Image) -> Float64:
    """
    Mean of vacuum images, each moved onto the same place.

    Parameters
    ----------
    frames : (n, rows, columns)
        Images of the probe, which may wander [counts].

    Returns
    -------
    (rows, columns)
        With the probe at the median of its places; frames without a probe are left out. Where none is bright enough to
        show its probe it is the plain mean.
    """
    stack = np.asarray(frames)
    places = np.array([_place(frame) for frame in stack]).reshape(-1, 2)
    good = np.isfinite(places).all(axis=1)
    if not good.any():
        return np.asarray(np.nan_to_num(stack.astype(np.float64)).mean(axis=0), np.float64)
    moves = places[good] - np.median(places[good], axis=0)
    total = np.zeros(stack.shape[1:])
    for frame, move in zip(stack[good], moves, strict=True):
        total += _moved(_filled(frame), move)
    return np.asarray(total / int(good.sum()), np.float64)


def _filled(frame: Image) -> Float64:
    values = np.asarray(frame, np.float64)
    seen = np.isfinite(values)
    return fill(np.where(seen, values, 0.0), seen)


def _place(frame: Image) -> Point:
    """Centre of intensity of the probe; NaN where none is seen."""
    values = _filled(frame)
    try:
        middle, reach, _ = _bright(values, np.ones(values.shape, np.bool_))
    except NoProbe:
        return np.nan, np.nan
    return _centre_of_intensity(values, middle, reach)[0]


def _moved(values: Float64, move: Float64) -> Float64:
    """An image whose probe is moved back by so much (row, column) [px]."""
    r, c = np.indices(values.shape, np.float64)
    out = np.empty((3, values.size))
    spline_at(spline_coefficients(values), r.ravel() + move[0], c.ravel() + move[1], out)
    return np.asarray(out[0].reshape(values.shape), np.float64)


def _bright(values: Float64, seen: Usable) -> tuple[Point, float, float]:
    """Middle of the bright pixels, how far they reach, and their height above the dark ones."""
    smooth = median3(values)
    dark = float(np.median(values[seen]))
    scatter = 1.4826 * float(np.median(np.abs(values[seen] - dark)))
    level = float(smooth.max())
    if not level - dark > SIGNIFICANCE * scatter or level <= 0.0:
        raise NoProbe(f"nothing stands out: brightest {level:.4g}, median {dark:.4g}, scatter {scatter:.4g}")
    for _ in range(3):
        bright = smooth > dark + 0.5 * (level - dark)
        level = float(np.median(smooth[bright]))
    r, c = np.nonzero(bright)
    # a second bright thing is farther from the median pixel than the probe is wide
    for _ in range(3):
        away = np.hypot(r - np.median(r), c - np.median(c))
        kept = away <= FARTHEST * np.median(away) + 1.0
        r, c = r[kept], c[kept]
    middle = (float(r.max()) + float(r.min())) / 2, (float(c.max()) + float(c.min())) / 2
    reach = float(np.hypot(r - middle[0], c - middle[1]).max()) + 0.5
    if reach < SMALLEST_RADIUS_PX:
        raise NoProbe(f"the brightest spot has only {len(r)} pixels")
    if np.pi * reach**2 > LARGEST_PART * values.size:
        raise NoProbe(f"the bright area reaches {reach:.0f} px from its middle in an image of {values.shape} pixels")
    return middle, reach, float(np.quantile(values[bright], OPEN)) - dark


def _centre_of_intensity(values: Float64, middle: Point, reach: float) -> tuple[Point, float]:
    """Of the probe, and the background around it [counts]."""
    r, c = np.indices(values.shape)
    distance = np.hypot(r - middle[0], c - middle[1])
    around = distance > 1.2 * reach + 4.0
    background = float(np.median(values[around])) if around.any() else 0.0
    near = np.where(distance <= 1.2 * reach + 3.0, values - background, 0.0)
    total = near.sum()
    return (float((r * near).sum() / total), float((c * near).sum() / total)), background


def _rim(values: Float64, centre: Point, reach: float, height: float) -> tuple[float, float]:
    """Outer radius and edge width where the aperture is open."""
    along = np.arange(1.3 * reach + 4.0, 0.0, -STEP_PX)
    turn = 2 * np.pi * np.arange(RAYS)[:, None] / RAYS
    r, c = centre[0] + along * np.sin(turn), centre[1] + along * np.cos(turn)
    out = np.empty((3, r.size))
    spline_at(spline_coefficients(values), r.ravel(), c.ravel(), out)
    profile = out[0].reshape(r.shape)
    half, quarter = (along[np.argmax(profile > part * height, axis=1)] for part in (0.5, 0.25))
    outermost = half > np.quantile(half, OUTERMOST) - NEAR_PX
    width = float(np.median((quarter - half)[outermost])) / TO_QUARTER
    edge = float(np.sqrt(max(width**2 - PIXEL_VARIANCE, LEAST_EDGE_PX**2)))
    return float(np.median(half[outermost])), edge


def _pattern(values: Float64, centre: Point, radius: float, edge: float) -> Pattern:
    """The image around the centre, without what is not the probe, of mean 1 inside."""
    soft = float(np.sqrt(edge**2 + PIXEL_VARIANCE))
    half = ceil(radius + FADED * soft + 1.0)
    middle = round(centre[0]), round(centre[1])
    if half > LARGEST_HALF:
        raise NoProbe(f"the probe reaches {half} px from its centre, and a template image at most {LARGEST_HALF} px")
    if min(middle) < radius or max(middle[0] - values.shape[0], middle[1] - values.shape[1]) > -1 - radius:
        raise NoProbe(f"the probe at {middle} of radius {radius:.1f} px is cut off by the border of the image")
    window = np.pad(values, half)[middle[0] : middle[0] + 2 * half + 1, middle[1] : middle[1] + 2 * half + 1]
    offset = centre[0] - middle[0], centre[1] - middle[1]
    r, c = np.meshgrid(*(np.arange(-half, half + 1) - shift for shift in offset), indexing="ij")
    fade = np.clip((np.hypot(r, c) - radius) / soft, KEPT, FADED)
    window = _denoised(window) * (0.5 + 0.5 * np.cos(np.pi * (fade - KEPT) / (FADED - KEPT)))
    window = np.maximum(window, 0.0)
    window *= np.pi * radius**2 / window.sum()
    return Pattern(window.astype("<f4").tobytes(), half, offset)


def _denoised(window: Float64) -> Float64:
    """Each spatial frequency reduced to the part of its power that noise does not explain."""
    spectrum = np.fft.fft2(window)
    power = np.abs(spectrum) ** 2
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(side) for side in window.shape), indexing="ij"))
    noise = float(power[frequency > NOISY].mean())
    shell = np.minimum((frequency * 2 * SHELLS).astype(np.int64), SHELLS)
    mean = np.bincount(shell.ravel(), power.ravel()) / np.maximum(np.bincount(shell.ravel()), 1)
    kept = np.clip(1.0 - noise / np.maximum(mean, 1e-300), 0.0, 1.0)
    return np.asarray(np.fft.ifft2(spectrum * kept[shell]).real, np.float64)
