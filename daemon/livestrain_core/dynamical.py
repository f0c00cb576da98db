"""
What is known beforehand of the intensity inside disks: dynamical contrast as a random field.

The relative intensity inside a disk is 1 + c(x), c a stationary, isotropic random field. Its spectrum is a few shells
of spatial frequency, each with its own amplitude, and a rest without structure (roughness). The field is written
as a sum of few modes with independent coefficients of unit variance, which is all that linear filters need.
"""

from functools import lru_cache
from math import pi

import numpy as np

from livestrain_core.contrast import SHELLS, Contrast
from livestrain_core.probe import Probe
from livestrain_core.probe_disk import disk
from livestrain_core.types import Float64

# modes that carry less than this part of the root mean square contrast are left to the roughness
FAINTEST_MODE = 0.012
# modes are found on points this far apart, at most [radii]
PITCH = 0.08


def shell_terms(y: Float64, x: Float64) -> tuple[Float64, Float64]:
    """
    Plane waves whose sum with random coefficients is the contrast.

    Parameters
    ----------
    y, x : (points,)
        Places (row, column) in a disk, from its centre [radii].

    Returns
    -------
    terms : (t, points)
        Cosines and sines in evenly spread directions; the squares of a shell's terms sum to one.
    shell : (t,)
        Number of the shell of each term.
    """
    terms, shell = [], []
    for number, frequency in enumerate(SHELLS):
        # enough directions that the sum is isotropic as far out as the edge of a disk reaches
        directions = int(np.ceil(7.5 * frequency)) + 3
        for k in range(directions):
            angle = pi * (k + 0.5 * (number % 2)) / directions
            phase = 2 * pi * frequency * (y * np.cos(angle) + x * np.sin(angle))
            terms += [np.cos(phase) / np.sqrt(directions), np.sin(phase) / np.sqrt(directions)]
            shell += [number, number]
    return np.array(terms), np.array(shell)


def contrast_modes(probe: Probe, contrast: Contrast, dr: Float64, dc: Float64) -> Float64:
    """
    Contrast times disk as a sum of modes with independent coefficients of unit variance.

    Parameters
    ----------
    probe
        The disk [px].
    contrast
        Its statistics.
    dr, dc : (points,)
        Distance of each pixel from the centre of the disk [px].

    Returns
    -------
    (k, points)
        Modes relative to a disk of unit height, the strongest first.
    """
    return mode_values(probe, reduction(probe, contrast.amplitude), dr, dc)


def mode_values(probe: Probe, mixing: Float64, dr: Float64, dc: Float64) -> Float64:
    """Modes (k, points) of a `reduction` at these distances from the centre of a disk [px]."""
    terms, _ = shell_terms(dr / probe.radius_px, dc / probe.radius_px)
    field = np.einsum("kt,tp->kp", mixing[:, :-1], terms) + mixing[:, -1:]
    return np.asarray(field * disk(probe, dr, dc), np.float64)


@lru_cache(maxsize=16)
def reduction(probe: Probe, amplitude: tuple[float, ...], faintest: float = FAINTEST_MODE) -> Float64:
    """
    The few mixtures of plane waves that carry the contrast of a disk.

    Parameters
    ----------
    probe
        The disk [px].
    amplitude
        Root mean square contrast of each shell.
    faintest
        Least part of the root mean square contrast that a mode carries.

    Returns
    -------
    (k, t + 1)
        Weights of the `shell_terms` in each mode, and a constant that keeps the disk's mean as it is: principal
        components over the disk and its edge.
    """
    reach = probe.radius_px + 4.0 * probe.edge_px + 0.5
    pitch = min(PITCH * probe.radius_px, 0.5)
    axis = np.arange(-reach, reach + pitch, pitch)
    dr, dc = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    flat = disk(probe, dr, dc)
    near = flat > 1e-4
    terms, shell = shell_terms(dr[near] / probe.radius_px, dc[near] / probe.radius_px)
    mean = disk_mean(terms, flat[near])
    scaled = np.array(amplitude)[shell][:, None] * (terms - mean[:, None]) * flat[near]
    variance, vectors = np.linalg.eigh(np.einsum("sp,tp->st", scaled, scaled, optimize=True) / flat.sum())
    kept = variance > faintest**2 * variance.sum()
    mixing = (vectors[:, kept][:, ::-1] * np.array(amplitude)[shell][:, None]).T
    return np.concatenate([mixing, -np.einsum("kt,t->k", mixing, mean)[:, None]], axis=1)


def disk_mean(terms: Float64, flat: Float64) -> Float64:
    """Mean (t,) of terms (t, points) over a disk of these heights (points,)."""
    return np.asarray(np.einsum("tp,p->t", terms, flat) / flat.sum(), np.float64)
