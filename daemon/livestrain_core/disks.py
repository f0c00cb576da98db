from dataclasses import dataclass
from math import ceil, floor, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core import tracking
from livestrain_core.lattice import Lattice, predict
from livestrain_core.probe import Probe
from livestrain_core.templates import CLASSES, filters
from livestrain_core.types import Float32, Frames, Indices, Usable

# strain and rotation move a disk by at most this part of its distance from the centre
LARGEST_DEFORMATION = 0.06


@dataclass(frozen=True)
class Disks:
    """Disks found in n frames, m of them looked for in each."""

    position: Float32
    """(n, m, 2) centre (row, column) [px]; NaN where the disk was not found."""
    intensity: Float32
    """(n, m) background-subtracted counts; NaN where there was nothing to measure [counts]."""
    score: Float32
    """(n, m) one pixel over the standard error expected of the position, 0 where not found [1/px]."""


def track(
    frames: Frames, usable: Usable | None, lattice: Lattice, hk: Indices, probe: Probe, search_px: float
) -> Disks:
    """
    Disks of each frame near where a lattice predicts them.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns of u1, u2, u4 or f4 [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at; pixels that are not finite count as zero.
    lattice
        Lattice of the plan; frames may differ from it by a shift, a strain and a rotation [px].
    hk : (m, 2)
        Indices of the disks to look for.
    probe
        Radius and edge of a disk [px].
    search_px
        Half the side of the window around each predicted position, for shift and strain together [px].

    Returns
    -------
    Disks
        NaN positions where a disk is hidden, outside the frame or too faint.

    Notes
    -----
    A disk minus its annulus, correlated by column sums, gives the shift of the frame from all disks together, then a
    peak for each. A robust lattice through the peaks predicts where the filters of `templates` measure each disk,
    twice. Each frame is tracked from the plan alone.
    """
    frames = np.ascontiguousarray(frames)
    geometry = _geometry(frames.shape[1:], usable, lattice, hk, probe, search_px)
    bank = filters(probe)
    n, m = len(frames), len(hk)
    out = (np.empty((n, m, 2), np.float32), np.empty((n, m), np.float32), np.empty((n, m), np.float32))
    tracking.track_frames(
        frames, geometry.usable, geometry.arrays, geometry.numbers, (bank.bank, bank.noise, bank.intensity_noise), out
    )
    return Disks(*out)


@dataclass(frozen=True)
class _Geometry:
    """What is the same in all frames of a plan."""

    usable: Usable
    arrays: tuple[Any, ...]
    numbers: tuple[int, int, float]


def _geometry(
    shape: tuple[int, ...], usable: Usable | None, lattice: Lattice, hk: Indices, probe: Probe, search_px: float
) -> _Geometry:
    search, radius = max(ceil(search_px), 1), max(round(probe.radius_px), 1)
    ring = ring_radius(probe, lattice)
    half = max(ring, ceil(probe.radius_px + 4.0 * probe.edge_px + 0.5)) + search + 1
    side = 2 * half + 1
    inner, outer = _chords(radius, side), _chords(ring, side)
    expected = predict(lattice, hk)
    corners = np.floor(expected + 0.5).astype(np.int64) - half
    start, length = (half - search) * (side + 1), 2 * search * (side + 1) + 1
    everywhere = np.ones(shape, np.bool_) if usable is None else np.ascontiguousarray(usable, np.bool_)
    seen = np.empty((len(hk), side, side), np.float32)
    tracking.gather(everywhere.astype(np.float32), np.empty((0, 0), np.bool_), corners, seen)
    pixels = np.empty((2, len(hk), length), np.float32)
    prefix = np.empty((side + 1) * side, np.float32)
    for j in range(len(hk)):
        tracking.column_prefix(seen[j], prefix)
        tracking.disk_sums(prefix, start, inner, length, pixels[0, j])
        tracking.disk_sums(prefix, start, outer, length, pixels[1, j])
    hidden = seen == 0
    flagged = hidden.any(axis=(1, 2))
    distance = np.hypot(*(expected - np.array(lattice.centre)).T)
    spacing = min(np.hypot(*lattice.g1), np.hypot(*lattice.g2))
    # not farther than half-way to the next disk
    reach = np.minimum(np.ceil(1.0 + LARGEST_DEFORMATION * distance), max(floor(spacing / 2 - 1), 1)).astype(np.int64)
    limits = np.sqrt(np.array(CLASSES[:-1]) * np.array(CLASSES[1:]))
    keep = everywhere if usable is not None and not everywhere.all() else np.empty((0, 0), np.bool_)
    arrays = (corners, inner, outer, pixels, hidden, flagged, reach, limits, np.array(hk, np.float64))
    return _Geometry(keep, arrays, (search, half, pi * probe.radius_px**2))


def ring_radius(probe: Probe, lattice: Lattice) -> int:
    """Outer radius of the annulus that measures the background, short of the neighbouring disks [px]."""
    spacing = min(
        np.hypot(*lattice.g1),
        np.hypot(*lattice.g2),
        np.hypot(*np.subtract(lattice.g1, lattice.g2)),
        np.hypot(*np.add(lattice.g1, lattice.g2)),
    )
    wide = max(probe.radius_px * 1.35, probe.radius_px + 2.0)
    return int(max(min(ceil(wide), floor(spacing - probe.radius_px)), ceil(probe.radius_px + 1.0)))


def _chords(radius: int, side: int) -> NDArray[np.int64]:
    """(2 radius + 1, 2) offsets into flattened column sums, first and one past the last row of each column."""
    columns = np.arange(-radius, radius + 1)
    half = np.floor(np.sqrt((radius + 0.3) ** 2 - columns**2)).astype(np.int64)
    return np.stack([-half * side + columns, (half + 1) * side + columns], axis=1)
