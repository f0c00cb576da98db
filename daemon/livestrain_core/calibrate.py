from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from livestrain_core.averaging import aligned, alike, average, mean_pattern, visible
from livestrain_core.bright_disk import measure_probe
from livestrain_core.broken import broken_pixels
from livestrain_core.contrast import USUAL, Contrast
from livestrain_core.disks import track
from livestrain_core.errors import NoProbe, NoVacuumProbe
from livestrain_core.first_lattice import LEAST_VISIBLE, Beam, as_lattice, first_lattice
from livestrain_core.lattice import Lattice, LatticeFit, fit_lattice, lattice_points, predict
from livestrain_core.learning import learn_contrast
from livestrain_core.own_probe import probe_of_disks
from livestrain_core.probe import MeasuredProbe, Probe
from livestrain_core.reason import Reason
from livestrain_core.survey import closed, find_peaks
from livestrain_core.target import Target, miller
from livestrain_core.types import Disks, Float64, Frames, Image, Point, Template, Usable
from livestrain_core.vacuum import measure_pattern
from livestrain_core.virtual import measure

# halves of the frames are compared with one another
FEWEST_FRAMES = 2
# a disk is worth tracking if it was found in this part of the frames that have a lattice
OFTEN_SEEN = 0.3
MOST_DISKS = 64
# a lattice that fits fewer frames than this was an accident of the mean pattern
FEWEST_FITTED = 0.1
LEAST_SEARCH_PX = 4.0
# and of the disks of that lattice this part must be seen, in all frames that it fits
SEEN_OF_SOME = 0.6
NOTHING = np.empty((0, 2), np.int64)


@dataclass(frozen=True)
class Calibration:
    """What tracking needs to know, found from a few frames of the scan."""

    probe: Probe
    centre: Point
    """Centre of the direct beam, the median of the frames (row, column) [px]."""
    lattice: Lattice | None
    """None where the frames show no lattice; `reason` says why."""
    hk: NDArray[np.int64]
    """(m, 2) indices of the disks worth tracking, nearest to the direct beam first; empty without a lattice."""
    search_px: float
    """Half the side of the window in which tracking must look for a disk [px]."""
    residual_px: float
    """Median over the frames of the disks' distance from the fitted lattice; NaN without a lattice [px]."""
    reason: str
    """Empty, or one sentence on why there is no lattice."""
    broken: NDArray[np.int64]
    """(k, 2) usable pixels that turned out hot or dead; tracking does better without them (row, column)."""
    centres: Float64
    """(n, 2) centre in each frame, of the lattice if there is one, else of the direct beam; NaN where none [px]."""
    contrast: Contrast
    """Intensity inside disks and counting statistics; the usual ones without a lattice."""

    @property
    def target(self) -> Target | None:
        """What tracking looks for; None without a lattice."""
        if self.lattice is None:
            return None
        return Target(self.lattice, miller(self.hk), self.probe, self.search_px, contrast=self.contrast)


def calibrate(
    frames: Frames,
    usable: Usable | None = None,
    vacuum_probe: Image | None = None,
    *,
    template: Template = "disk",
    probe: Probe | None = None,
) -> Calibration:
    """
    Probe, centre and lattice of a scan from some of its frames.

    Parameters
    ----------
    frames : (n, rows, columns)
        16 to 256 patterns [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at.
    vacuum_probe : (rows, columns), optional
        Image of the probe without a specimen [counts].
    template
        `image` compares disks with the vacuum probe instead of a flat disk; without one it is ignored.
    probe
        Radius and edge that are known; they are not measured then, nor is the vacuum probe looked at [px].

    Returns
    -------
    Calibration
        With `lattice` None and a reason where there are no Bragg disks.

    Raises
    ------
    NoVacuumProbe
        The vacuum probe shows no disk.
    NoProbe
        There is none, and the mean pattern shows no disk either.

    Notes
    -----
    The frames are shifted onto each other by their bright-field disk and averaged. Peaks of the average, correlated
    with the probe, give a basis; tracking all frames with it gives the median lattice, the disks that are seen often
    enough, and how far they wander.
    """
    seen = np.ones(frames.shape[1:], np.bool_) if usable is None else np.asarray(usable, np.bool_)
    bad = broken_pixels(mean_pattern(frames, seen, np.zeros((len(frames), 2), np.int64)), len(frames), seen)
    seen = seen & ~bad
    vacuum = None if vacuum_probe is None or probe else _vacuum(vacuum_probe, seen, template)
    measured, shifts = _beam(frames, seen, vacuum, probe)
    shifts = aligned(frames, seen, shifts, measured)
    beam = Beam(measured, vacuum is not None)
    found = _first_lattice(frames, seen, shifts, beam)
    if not beam.vacuum and probe is None and (isinstance(found, str) or not closed(seen).all()):
        # the brightest disk may be cut or uneven; all of them together tell the probe better
        other = probe_of_disks(*average(frames, seen, shifts), closed(seen))
        again = _first_lattice(frames, seen, shifts, Beam(other, vacuum=False)) if other else found
        if other and isinstance(again, Lattice):
            measured, found = other, again
    result = _without(measured, found) if isinstance(found, str) else _tracked(frames, seen, measured, found)
    if result.lattice is None:
        result = _of_some(frames, seen, shifts, beam) or result
    if result.lattice is None and visible(seen, measured) >= LEAST_VISIBLE:
        centres = measure(frames, seen, measured.centre, measured.probe.radius_px, ()).centre
        result = replace(result, centres=centres)
    return replace(result, broken=np.argwhere(bad))


def _vacuum(image: Image, seen: Usable, template: Template) -> MeasuredProbe:
    try:
        return _measured(image, seen, template)
    except NoProbe as error:
        raise NoVacuumProbe(f"the vacuum probe shows no disk: {error}") from error


def _measured(image: Image, seen: Usable, template: Template) -> MeasuredProbe:
    if template == "disk":
        return measure_probe(image)
    # without the pixels that are broken in the scan, unless something hides the beam there that was away in vacuum
    found = measure_pattern(image)
    return measure_pattern(image, seen) if visible(seen, found) >= LEAST_VISIBLE else found


def _beam(
    frames: Frames, seen: Usable, vacuum: MeasuredProbe | None, known: Probe | None
) -> tuple[MeasuredProbe, NDArray[np.int64]]:
    """Probe and centre, and the whole pixels (n, 2) by which each frame is off."""
    mean = mean_pattern(frames, seen, np.zeros((len(frames), 2), np.int64))
    if vacuum is not None:
        guess = MeasuredProbe(_follow(mean, seen, vacuum), vacuum.probe)
    else:
        guess = _with(_brightest(frames, seen, mean), known)
    shifts = np.zeros((len(frames), 2), np.int64)
    if visible(seen, guess) < LEAST_VISIBLE:
        return guess, shifts
    centres = measure(frames, seen, guess.centre, guess.probe.radius_px, ()).centre
    good = np.isfinite(centres).all(axis=1)
    if not good.any():
        return guess, shifts
    middle = np.median(centres[good], axis=0)
    shifts[good] = np.rint(centres[good] - middle)
    # a frame without a direct beam near the others is no guide
    shifts[np.abs(shifts).max(axis=1) > guess.probe.radius_px + 2] = 0
    if vacuum is not None:
        return MeasuredProbe((float(middle[0]), float(middle[1])), guess.probe), shifts
    try:
        return _with(measure_probe(mean_pattern(frames, seen, shifts), seen), known), shifts
    except NoProbe:
        return guess, shifts


def _brightest(frames: Frames, seen: Usable, mean: Float64) -> MeasuredProbe:
    try:
        return measure_probe(mean, seen)
    except NoProbe:
        # contrast may leave of the brightest disk no disk; all of them together have its shape
        found = probe_of_disks(*average(frames, seen, np.zeros((len(frames), 2), np.int64)), closed(seen))
        if found is None:
            raise
        return found


def _with(measured: MeasuredProbe, known: Probe | None) -> MeasuredProbe:
    return replace(measured, probe=known) if known else measured


def _follow(mean: Float64, seen: Usable, vacuum: MeasuredProbe) -> Point:
    """Where the direct beam is with the specimen in, starting from where it was without."""
    if visible(seen, vacuum) < LEAST_VISIBLE:
        return vacuum.centre
    r, c = measure(mean[None].astype(np.float32), seen, vacuum.centre, vacuum.probe.radius_px, ()).centre[0]
    return (float(r), float(c)) if np.isfinite([r, c]).all() else vacuum.centre


def _of_some(frames: Frames, seen: Usable, shifts: NDArray[np.int64], beam: Beam) -> Calibration | None:
    """The calibration from frames that are alike: in the mean of very different lattices each of them is blurred."""
    few = alike(frames, seen, shifts, beam.measured)
    found = _first_lattice(frames[few], seen, shifts[few], beam)
    if isinstance(found, str):
        return None
    result = _tracked(frames, seen, beam.measured, found, SEEN_OF_SOME)
    return result if result.lattice else None


def _first_lattice(frames: Frames, seen: Usable, shifts: NDArray[np.int64], beam: Beam) -> Lattice | str:
    """A lattice through the disks of the mean pattern, or why there is none."""
    if len(frames) < FEWEST_FRAMES:
        return f"disks are told from noise by comparing frames: it takes {FEWEST_FRAMES} at least, found {len(frames)}"
    pattern, error = average(frames, seen, shifts)
    whole = closed(seen)
    peaks = find_peaks(pattern, error, whole, beam.measured.probe, beam.measured.centre)
    return first_lattice(peaks, pattern, whole, beam)


def _inside(lattice: Lattice, shape: tuple[int, ...], margin: float) -> NDArray[np.int64]:
    every = lattice_points(np.array([lattice.g1, lattice.g2]), float(np.linalg.norm(shape)))
    place = predict(lattice, every)
    good = (place >= margin).all(axis=1) & (place <= np.array(shape) - 1 - margin).all(axis=1)
    return every[good]


def _tracked(
    frames: Frames, seen: Usable, measured: MeasuredProbe, lattice: Lattice, least_seen: float = 0.0
) -> Calibration:
    """Lattice, disks and search window from tracking the frames, first all disks and then the good ones."""
    probe = measured.probe
    spacing = min(np.hypot(*lattice.g1), np.hypot(*lattice.g2))
    farthest = float(0.45 * spacing)
    window = float(np.ceil(probe.radius_px + 4.0 * probe.edge_px + 0.5))
    hk = _inside(lattice, frames.shape[1:], window + 1.0)
    disks, fit = _round(frames, seen, lattice, hk, probe, min(farthest, 10.0))
    fitted = fit.reason == Reason.FITTED
    if fitted.mean() < FEWEST_FITTED:
        return _without(measured, f"a lattice fits only {int(fitted.sum())} of {len(frames)} frames")
    part = float((disks.score[fitted] > 0).mean())
    if part < least_seen:
        return _without(measured, f"of the disks of a lattice {100 * part:.0f} % are seen, which may be chance")
    hk = hk[_worthwhile(disks, fitted)]
    if len(hk) < 3 or np.linalg.matrix_rank(hk - hk[0]) < 2:
        return _without(measured, f"only {len(hk)} disks are seen often enough to be tracked")
    lattice = _median(fit)
    contrast = learn_contrast(frames, seen, fit, hk, probe)
    disks, fit = _round(frames, seen, lattice, hk, probe, min(farthest, 10.0), contrast)
    fitted = fit.reason == Reason.FITTED
    if fitted.mean() < FEWEST_FITTED:
        return _without(measured, f"a lattice fits only {int(fitted.sum())} of {len(frames)} frames")
    lattice, contrast = _median(fit), replace(contrast, misfit_px=_misfit(disks, fit, hk))
    off = np.abs(disks.position[fitted] - predict(lattice, hk))
    wander = float(np.nanpercentile(off, 99.5))
    search = float(np.clip(np.ceil(1.5 * wander + 2.0), LEAST_SEARCH_PX, max(farthest, 1.0)))
    residual = float(np.median(fit.residual_px[fitted]))
    return Calibration(probe, lattice.centre, lattice, hk, search, residual, "", NOTHING, fit.centre, contrast)


def _round(
    frames: Frames,
    seen: Usable,
    lattice: Lattice,
    hk: NDArray[np.int64],
    probe: Probe,
    search_px: float,
    contrast: Contrast | None = None,
) -> tuple[Disks, LatticeFit]:
    disks = track(frames, seen, Target(lattice, miller(hk), probe, search_px, contrast=contrast))
    return disks, fit_lattice(disks, hk)


def _misfit(disks: Disks, fit: LatticeFit, hk: NDArray[np.int64]) -> float:
    """How far disks lie from their lattices, per axis, beyond what their scores promise [px]."""
    place = fit.centre[:, None] + hk @ np.stack([fit.g1, fit.g2], axis=1)
    used = (disks.score > 0) & (fit.reason == Reason.FITTED)[:, None]
    score, squared = disks.score[used], ((disks.position - place) ** 2).sum(axis=2)[used]
    # a fit follows its disks: what is left is smaller by the degrees of freedom that it takes
    left = np.broadcast_to(np.maximum(1.0 - 3.0 / np.maximum(used.sum(axis=1), 4), 0.25)[:, None], used.shape)[used]
    # the median of a squared distance in two dimensions is 1.39 variances
    ratio = float(np.median(score**2 * squared / left)) / 1.39
    return float(np.sqrt(max(ratio - 1.0, 0.0) * np.median(1.0 / score**2)))


def _worthwhile(disks: Disks, fitted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Numbers of the disks seen often enough, at most so many that tracking stays fast."""
    often = (disks.score[fitted] > 0).mean(axis=0)
    good = np.flatnonzero(often >= OFTEN_SEEN)
    brightest = good[np.argsort(-disks.score[fitted].mean(axis=0)[good], kind="stable")]
    return np.sort(brightest[:MOST_DISKS])


def _median(fit: LatticeFit) -> Lattice:
    centre, g1, g2 = (np.nanmedian(a, axis=0) for a in (fit.centre, fit.g1, fit.g2))
    return as_lattice(centre, np.stack([g1, g2]))


def _without(measured: MeasuredProbe, reason: str) -> Calibration:
    nowhere = np.empty((0, 2))
    return Calibration(
        measured.probe, measured.centre, None, NOTHING, LEAST_SEARCH_PX, float("nan"), reason, NOTHING, nowhere, USUAL
    )
