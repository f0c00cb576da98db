from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core import tracking
from livestrain_core.lattice import Lattice, predict
from livestrain_core.probe import Probe
from livestrain_core.templates import CLASSES, filters
from livestrain_core.tracking import VECTOR, Grid
from livestrain_core.types import Disks, Frames, Indices, Usable

# strain and rotation move a disk by at most this part of its distance from the centre
LARGEST_DEFORMATION = 0.06
# disks are searched for in patches binned by powers of two while their radius stays above this
BINNED_RADIUS = 3.0


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
    everywhere = usable is None or bool(np.all(usable))
    hidden = None if usable is None or everywhere else np.asarray(usable, np.bool_).tobytes()
    indices = np.asarray(hk, np.float64).tobytes()
    geometry = _geometry(frames.shape[1:], hidden, lattice, indices, probe, float(search_px))
    bank = filters(probe)
    grid = geometry.grid._replace(normalised=frames.dtype.kind == "f")
    n, m = len(frames), len(hk)
    out = (np.empty((n, m, 2), np.float32), np.empty((n, m), np.float32), np.empty((n, m), np.float32))
    tracking.track_frames(
        frames, geometry.usable, geometry.arrays, grid, (bank.bank, bank.noise, bank.intensity_noise), out
    )
    return Disks(*out)


@dataclass(frozen=True)
class _Geometry:
    """What is the same in all frames of a plan."""

    usable: Usable
    arrays: tuple[Any, ...]
    grid: Grid


@lru_cache(maxsize=8)
def _geometry(
    shape: tuple[int, int], usable: bytes | None, lattice: Lattice, hk: bytes, probe: Probe, search_px: float
) -> _Geometry:
    everywhere = np.ones(shape, np.bool_) if usable is None else np.frombuffer(usable, np.bool_).reshape(shape).copy()
    indices = np.frombuffer(hk, np.float64).reshape(-1, 2).copy()
    grid, middle, ring = _grid(lattice, probe, search_px)
    width = grid.columns // grid.step
    inner = _chords((probe.radius_px + 0.3) / grid.step, width)
    outer = _chords((ring + 0.3) / grid.step, width)
    expected = predict(lattice, indices)
    corners = np.floor(expected - middle + 0.5).astype(np.int64)
    seen = np.empty((len(indices), grid.rows, grid.columns), np.float32)
    tracking.gather(everywhere.astype(np.float32), np.empty((0, 0), np.bool_), corners, seen)
    length = -(-(2 * grid.search * (width + 1) + 1) // VECTOR) * VECTOR
    pixels = np.empty((2, len(indices), length), np.float32)
    prefix = tracking.empty_prefixes(1, grid)[0]
    for j in range(len(indices)):
        tracking.column_prefix(seen[j], grid.step, prefix, np.empty(grid.rows * grid.columns, np.float32))
        tracking.disk_sums(prefix.reshape(-1), grid.start, inner, length, pixels[0, j])
        tracking.disk_sums(prefix.reshape(-1), grid.start, outer, length, pixels[1, j])
    hidden = seen == 0
    distance = np.hypot(*(expected - np.array(lattice.centre)).T)
    # not farther than half-way to the next disk
    farthest = max(_spacing(lattice) / 2 - 1, 1)
    reach = np.ceil(np.minimum(1.0 + LARGEST_DEFORMATION * distance, farthest) / grid.step).astype(np.int64)
    limits = np.sqrt(np.array(CLASSES[:-1]) * np.array(CLASSES[1:]))
    arrays = (corners, inner, outer, pixels, hidden, hidden.any(axis=(1, 2)), reach, limits, indices)
    return _Geometry(np.empty((0, 0), np.bool_) if everywhere.all() else everywhere, arrays, grid)


def _grid(lattice: Lattice, probe: Probe, search_px: float) -> tuple[Grid, float, float]:
    """Layout of the patches, the middle of a patch and the outer radius of the annulus [px]."""
    step = 2 ** max(int(np.log2(probe.radius_px / BINNED_RADIUS)), 0)
    search = max(ceil(search_px / step), 1)
    ring = ring_radius(probe, lattice)
    window = ceil(probe.radius_px + 4.0 * probe.edge_px + 0.5)
    half = max(int((ring + 0.3) / step) + search, ceil((window + search_px + 1.0) / step))
    rows = (2 * half + 1) * step
    columns = -(-rows // VECTOR) * VECTOR
    first = half - search
    start = first * (columns // step + 1)
    origin = (first + 0.5) * step - 0.5
    return (
        Grid(rows, columns, step, search, start, origin, pi * probe.radius_px**2, False),
        (half + 0.5) * step - 0.5,
        ring,
    )


def _spacing(lattice: Lattice) -> float:
    g1, g2 = np.array(lattice.g1), np.array(lattice.g2)
    return float(min(np.hypot(*g) for g in (g1, g2, g1 + g2, g1 - g2)))


def ring_radius(probe: Probe, lattice: Lattice) -> int:
    """Outer radius of the annulus that measures the background, short of the neighbouring disks [px]."""
    wide = max(probe.radius_px * 1.35, probe.radius_px + 2.0)
    return int(max(min(ceil(wide), floor(_spacing(lattice) - probe.radius_px)), ceil(probe.radius_px + 1.0)))


def _chords(radius: float, width: int) -> NDArray[np.int64]:
    """Offsets (first, one past the last row) of each column of a disk into flattened column sums, an even number."""
    last = floor(radius)
    columns = np.arange(-last, last + 1)
    half = np.floor(np.sqrt(radius**2 - columns**2)).astype(np.int64)
    chords = np.stack([-half * width + columns, (half + 1) * width + columns], axis=1)
    # the offsets of an empty chord are the same, so that it adds nothing
    return np.concatenate([chords, np.zeros((len(chords) % 2, 2), np.int64)])
