"""
Statistics of the contrast inside disks, learned from a few frames of the scan.

A variance component is right when the squared residuals that it explains are as large as it promises. Each round
multiplies every component by the root of that ratio (restricted maximum likelihood by fixed-point iteration,
doi:10.1093/biomet/58.3.545 for the likelihood), displacement, intensity and background of each disk projected out.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from livestrain_core.contrast import SHELLS, USUAL, Contrast
from livestrain_core.dynamical import disk_mean, mode_values, reduction, shell_terms
from livestrain_core.lattice import LatticeFit, lattice_points, shortest
from livestrain_core.probe import Probe
from livestrain_core.probe_disk import disk, disk_slopes
from livestrain_core.products import inner, leverages, normals
from livestrain_core.reason import Reason
from livestrain_core.shot_noise import counts_per_electron
from livestrain_core.templates import SHIFTS, clear_reach, window_half, within
from livestrain_core.types import Float64, Frames, Indices, Usable

# pixels of all windows together that are looked at, and windows that it takes to learn anything
MOST_PIXELS = 40_000
FEWEST_WINDOWS = 24
# disks fainter than this part of the bright ones say nothing about contrast
LEAST_BRIGHTNESS = 0.05
# a window with more pixels hidden than this is not looked at
MOST_HIDDEN = 0.05
# multiples of it are spread most evenly between whole numbers
GOLDEN = 0.6180339887498949
OUTER_ROUNDS = 3
INNER_ROUNDS = 8
# modes that carry less than this part of the contrast are not told from roughness
FAINTEST_LEARNED = 0.03
# bounds of what is believed: relative contrast, and electrons in a pixel of a bright disk
CONTRAST_BOUNDS = (1e-4, 1.0)
ROUGHNESS_BOUNDS = (1e-3, 1.0)
MOST_ELECTRONS = 1e5
# where few windows are seen the brightest pixels tell how bright disks are
BRIGHT_QUANTILE = 0.99


@dataclass(frozen=True)
class _Windows:
    """Disks cut out of the frames, n of p pixels, in units of the counts."""

    values: Float64
    """(n, p) counts, zero where hidden."""
    seen: NDArray[np.bool_]
    """(n, p)"""
    flat: Float64
    """(n, p) the disk expected there, of unit height."""
    free: Float64
    """(n, 6, p) displacement, disk, plane; times the disk's height where it belongs to the disk."""
    modes: Float64
    """(n, k, p) contrast modes times the disk's height."""
    height: Float64
    """(n,) counts per pixel of the disk above its background."""
    background: Float64
    """(n,) counts per pixel."""


def learn_contrast(frames: Frames, usable: Usable | None, lattices: LatticeFit, hk: Indices, probe: Probe) -> Contrast:
    """
    Contrast, roughness and counting statistics of a scan.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at.
    lattices
        Lattices of these frames; one that was not fitted is not looked at [px].
    hk : (m, 2)
        Indices of the disks to learn from.
    probe
        Radius and edge [px].

    Returns
    -------
    Contrast
        `USUAL` where too few disks can be seen, or lattices are too narrow for them.

    Notes
    -----
    The modes of a contrast that is the same at all frequencies serve as a fixed basis; the amplitude of each shell
    of the spectrum is a variance component in it. Nothing depends on the scale of the counts.
    """
    good = lattices.reason == Reason.FITTED
    if not good.any() or len(hk) == 0:
        return USUAL
    frames, centre = frames[good], lattices.centre[good, None]
    g = np.stack([lattices.g1[good], lattices.g2[good]], axis=1)
    seen = np.ones(frames.shape[1:], np.bool_) if usable is None else np.asarray(usable, np.bool_)
    middle = np.median(g, axis=0)
    if not _row_distance(middle) > probe.radius_px / 2:
        return USUAL
    everywhere = lattice_points(middle, float(np.linalg.norm(frames.shape[1:])))
    between = counts_per_electron(frames, seen, centre + everywhere @ g, probe)
    mixing = reduction(probe, USUAL.amplitude, FAINTEST_LEARNED)
    near = within(probe, window_half(probe), clear_reach(probe, shortest(middle)))
    windows = _windows(frames, seen, centre + np.asarray(hk) @ g, probe, near, mixing)
    if windows is None:
        return replace(USUAL, electrons_per_count=1.0 / max(between, _least_counts(frames, seen))) if between else USUAL
    return _components(windows, _shell_covariances(probe, mixing), between)


def _row_distance(basis: Float64) -> float:
    """Least distance between parallel rows of lattice points along either vector (2, 2) [px]."""
    return float(abs(np.linalg.det(basis)) / max(np.hypot(*basis[0]), np.hypot(*basis[1]), 1e-12))


def _least_counts(frames: Frames, seen: Usable) -> float:
    """Counts per electron below which bright pixels would hold more electrons than is believed."""
    values = frames[:, seen]
    bright = values[np.isfinite(values)]
    return float(np.quantile(bright, BRIGHT_QUANTILE)) / MOST_ELECTRONS if len(bright) else 0.0


def _components(windows: _Windows, shells: Float64, between: float | None) -> Contrast:
    """The variance components, with the counts per electron seen between the disks, if anything was."""
    least = float(np.median(windows.height)) / MOST_ELECTRONS
    counts = max(between or 1.0, least)
    amplitude, roughness = np.square(USUAL.amplitude), USUAL.roughness**2
    for number in range(OUTER_ROUNDS):
        power = 1.0 if number == 0 else 0.5
        weights = _weights(windows, counts, roughness)
        amplitude = _learn_amplitudes(windows, weights, shells, amplitude)
        ratio, rough = _noise_ratios(windows, weights, np.einsum("l,lij->ij", amplitude, shells))
        roughness = float(np.clip(roughness * rough**power, *np.square(ROUGHNESS_BOUNDS)))
        if between is None:
            # too little is seen between the disks: inside them fine contrast may pass for noise
            counts = max(counts * ratio**power, least)
    background = float(np.median(windows.background)) / counts
    return Contrast(tuple(float(a) for a in np.sqrt(amplitude)), roughness**0.5, 1.0 / counts, background)


def _windows(
    frames: Frames, usable: Usable, position: Float64, probe: Probe, near: NDArray[np.bool_], mixing: Float64
) -> _Windows | None:
    half = window_half(probe)
    middle = np.rint(np.where(np.isfinite(position), position, -1e6)).astype(np.int64)
    inside = ((middle >= half) & (middle + half < frames.shape[1:])).all(axis=2)
    frame, number = np.nonzero(inside)
    if len(frame) < FEWEST_WINDOWS:
        return None
    offset = np.stack(np.meshgrid(*(np.arange(-half, half + 1),) * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    offset = offset[near]
    pixels = len(offset)
    few = _spread(len(frame), 2 * MOST_PIXELS // pixels)
    frame, number = frame[few], number[few]
    at = middle[frame, number][:, None] + offset
    values = np.asarray(frames[frame[:, None], at[..., 0], at[..., 1]], np.float64)
    seen = usable[at[..., 0], at[..., 1]] & np.isfinite(values)
    values = np.where(seen, values, 0.0)
    distance = at - position[frame, number][:, None]
    height, background = _brightness(values, seen, distance, probe, half)
    good = (height > LEAST_BRIGHTNESS * np.quantile(height, 0.8)) & ((~seen).mean(axis=1) <= MOST_HIDDEN)
    chosen = np.flatnonzero(good)
    if len(chosen) < FEWEST_WINDOWS:
        return None
    chosen = chosen[_spread(len(chosen), MOST_PIXELS // pixels)]
    return _modelled(values[chosen], seen[chosen], distance[chosen], height[chosen], background[chosen], probe, mixing)


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """At most so many numbers below `count`, evenly spread and in step with no period: disks come in a fixed order."""
    order = np.argsort((np.arange(count) * GOLDEN) % 1.0, kind="stable")
    return np.sort(order[: max(most, FEWEST_WINDOWS)])


def _brightness(
    values: Float64, seen: NDArray[np.bool_], distance: Float64, probe: Probe, half: int
) -> tuple[Float64, Float64]:
    """Height of each disk over its background, and the background, by least squares [counts/px]."""
    dr, dc = distance[..., 0], distance[..., 1]
    terms = np.stack([disk(probe, dr, dc), np.ones_like(dr), dr / half, dc / half], axis=1)
    weighted = terms * seen[:, None]
    normal = weighted @ terms.transpose(0, 2, 1) + 1e-9 * np.eye(4)
    solved = np.linalg.solve(normal, weighted @ values[..., None])[..., 0]
    return np.asarray(solved[:, 0], np.float64), np.maximum(solved[:, 1], 0.0)


def _modelled(
    values: Float64,
    seen: NDArray[np.bool_],
    distance: Float64,
    height: Float64,
    background: Float64,
    probe: Probe,
    mixing: Float64,
) -> _Windows:
    dr, dc = distance[..., 0], distance[..., 1]
    scale = height[:, None]
    flat = disk(probe, dr, dc)
    slope_r, slope_c = disk_slopes(probe, dr, dc)
    plane = np.ones_like(flat), dr / probe.radius_px, dc / probe.radius_px
    free = np.stack([scale * slope_r, scale * slope_c, scale * flat, *plane], axis=1)
    modes = _near_modes(distance, probe, mixing) * scale[:, None]
    # the background under a disk is never nothing, or its empty pixels would weigh without limit
    least = 0.02 * float(np.median(background)) + 1e-4 * float(np.median(height))
    return _Windows(values, seen, flat, free, modes, height, np.maximum(background, least))


def _near_modes(distance: Float64, probe: Probe, mixing: Float64) -> Float64:
    """Modes (n, k, p) of each window for the nearest of a few sub-pixel shifts: they are smooth, and many."""
    # the pixels of all windows are the same but for the part of a pixel by which a disk is off
    pixels = np.rint(distance[0])
    shift = (np.floor((pixels[0] - distance[:, 0] + 0.5) * SHIFTS) + 0.5) / SHIFTS - 0.5
    different, which = np.unique(shift, axis=0, return_inverse=True)
    table = np.stack([mode_values(probe, mixing, *(pixels - one).T) for one in different])
    return np.asarray(table[which.ravel()], np.float64)


def _shell_covariances(probe: Probe, mixing: Float64) -> Float64:
    """Covariance (shells, k, k) of the modes' coefficients for each shell of unit amplitude."""
    pitch = min(0.08 * probe.radius_px, 0.5)
    axis = np.arange(-1.6 * probe.radius_px, 1.6 * probe.radius_px + pitch, pitch)
    dr, dc = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    flat = disk(probe, dr, dc)
    terms, shell = shell_terms(dr / probe.radius_px, dc / probe.radius_px)
    modes, everywhere = mode_values(probe, mixing, dr, dc), np.ones_like(flat)
    fields = (terms - disk_mean(terms, flat)[:, None]) * flat
    normal = inner(modes, everywhere, modes)
    normal += 1e-9 * np.trace(normal) * np.eye(len(normal))
    coefficients = np.asarray(np.linalg.solve(normal, inner(modes, everywhere, fields)), np.float64)
    unit = np.ones(len(shell))
    return np.stack([inner(coefficients, unit * (shell == k), coefficients) for k in range(len(SHELLS))])


def _weights(windows: _Windows, counts: float, roughness: float) -> Float64:
    disk_counts = windows.height[:, None] * windows.flat
    noise = counts * (disk_counts + windows.background[:, None])
    return np.asarray(windows.seen / (noise + roughness * disk_counts * windows.height[:, None]), np.float64)


def _learn_amplitudes(windows: _Windows, weights: Float64, shells: Float64, amplitude: Float64) -> Float64:
    """Squared amplitudes of the shells after some rounds with these weights."""
    gram, seen = _projected(windows, weights)
    unit = np.eye(gram.shape[1])
    for _ in range(INNER_ROUNDS):
        covariance = np.einsum("l,lij->ij", amplitude, shells)
        inverse = np.linalg.inv(unit + gram @ covariance)
        shown = (inverse @ seen[..., None])[..., 0]
        promised = (inverse @ gram).sum(axis=0)
        explained = np.einsum("ni,lij,nj->l", shown, shells, shown, optimize=True)
        expected = np.einsum("ij,lji->l", promised, shells)
        amplitude = amplitude * np.sqrt(explained / np.maximum(expected, 1e-300))
        amplitude = np.clip(amplitude, *np.square(CONTRAST_BOUNDS))
    return np.asarray(amplitude, np.float64)


def _projected(windows: _Windows, weights: Float64) -> tuple[Float64, Float64]:
    """Normal matrix (n, k, k) and right side (n, k) of the modes, the free terms projected out."""
    terms = np.concatenate([windows.modes, windows.free], axis=1)
    k = windows.modes.shape[1]
    normal = normals(terms, weights)
    right = np.einsum("nkp,np->nk", terms, weights * windows.values)
    mixed = normal[:, :k, k:] @ _scaled_inverse(normal[:, k:, k:])
    gram = normal[:, :k, :k] - mixed @ normal[:, k:, :k]
    return gram, right[:, :k] - np.einsum("nij,nj->ni", mixed, right[:, k:])


def _scaled_inverse(matrix: Float64) -> Float64:
    """Inverse of symmetric matrices (n, k, k) whose rows differ widely in size."""
    diagonal = np.sqrt(np.einsum("nii->ni", matrix))
    scale = 1.0 / np.maximum(diagonal, 1e-150)
    both = scale[:, :, None] * scale[:, None]
    return np.asarray(np.linalg.inv(matrix * both + 1e-12 * np.eye(matrix.shape[1])) * both, np.float64)


def _noise_ratios(windows: _Windows, weights: Float64, covariance: Float64) -> tuple[float, float]:
    """What the residuals show over what was promised, for counting noise and for roughness."""
    terms = np.concatenate([windows.modes, windows.free], axis=1)
    k = windows.modes.shape[1]
    normal = normals(terms, weights)
    normal[:, :k, :k] += np.linalg.inv(covariance + 1e-12 * np.eye(k) * np.trace(covariance))
    inverse = _scaled_inverse(normal)
    solved = np.einsum("nij,nj->ni", inverse, np.einsum("nkp,np->nk", terms, weights * windows.values))
    left = weights * (windows.values - np.einsum("nk,nkp->np", solved, terms))
    promised = weights - weights**2 * leverages(terms, inverse)
    disk_counts = windows.height[:, None] * windows.flat
    noise, rough = disk_counts + windows.background[:, None], disk_counts * windows.height[:, None]
    ratios = [float((left**2 * v).sum() / (promised * v).sum()) for v in (noise, rough)]
    return ratios[0], ratios[1]
