"""Where and with what disks are looked for: all that the tracking needs and that is the same in every frame."""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, inf, pi

import numpy as np
from numpy.typing import NDArray

from livestrain_core.coarse import Room, Search, Seen, look
from livestrain_core.contrast import Contrast
from livestrain_core.image import Cover, Pixels
from livestrain_core.lattice import Lattice, predict, shortest
from livestrain_core.probe import Probe
from livestrain_core.target import Target
from livestrain_core.templates import CLASSES, clear_reach, filters
from livestrain_core.tracking import Bank, Task, Work
from livestrain_core.types import Estimator, Float32, Float64
from livestrain_core.visible import NOTHING, Equations, visible_tables
from livestrain_core.windows import HALF_VECTOR, LOOP, VECTOR, filled_up, up

# strain and rotation move a disk by at most this part of its distance from the centre
LARGEST_DEFORMATION = 0.06
# disks are searched for in a frame binned by powers of two while their radius stays above this [bins]
BINNED_RADIUS = 2.5
# a disk and its annulus take pixels in whose middle is this much farther out than their radius [px]
RIM_PX = 0.3
# disks expected this near to where they are need not be measured again [px]
ENOUGH_PX: dict[Estimator, float] = {"fast": 0.35, "precise": 0.0}


@lru_cache(maxsize=8)
def task_for(shape: tuple[int, int], usable: bytes | None, target: Target, counts: bool = True) -> Task:
    """
    What tracking needs to know.

    Parameters
    ----------
    shape : (2,)
        Of a frame.
    usable
        Bytes of (rows, columns) booleans; None where every pixel can be used.
    target
        Which disks, and how they are measured.
    counts
        Whether frames are of whole numbers, all of them finite and, without a contrast that tells, electrons.

    Returns
    -------
    Task
        Kept for the next call with the same arguments.
    """
    everywhere = np.ones(shape, np.bool_) if usable is None else np.frombuffer(usable, np.bool_).reshape(shape).copy()
    checked = not counts or target.saturation is not None
    # disks that are partly hidden are measured from their visible pixels alone, not filled
    exact = target.estimator == "precise" and (checked or usable is not None)
    g = np.array([target.lattice.g1, target.lattice.g2])
    spacing = shortest(g) if target.spacing_px is None else target.spacing_px
    bank = _bank(target.probe, target.usual_contrast, clear_reach(target.probe, spacing), exact)
    bins = _bins(shape, target, bank.columns)
    shown = np.zeros(bins.image, np.float32)
    shown[bins.margin : bins.margin + shape[0], bins.margin : bins.margin + shape[1]] = everywhere
    indices = target.indices.astype(np.float64)
    expected = predict(target.lattice, indices)
    search = _search(shape, target, expected, bins)
    pixels = Pixels(
        margin=bins.margin,
        usable=everywhere,
        cover=Cover(1 - shown, _flagged(shown, expected + bins.margin, bins.reach)),
        plain=bool(everywhere.all()),
        checked=checked,
        usable_count=int(everywhere.sum()),
        limit=inf if target.saturation is None else float(target.saturation),
        electrons_per_count=target.contrast.electrons_per_count if target.contrast else float(counts),
    )
    seen = _unseen(len(indices), up(search.shifts * search.window[1], LOOP))
    task = Task(pixels, search, seen, bank, indices, ENOUGH_PX[target.estimator])
    look(shown, search, work_for(task).room, seen)
    return task


@dataclass(frozen=True)
class _Bins:
    """How frames are binned for the search, and what room they get."""

    step: int
    """Side of a bin [px]."""
    shifts: int
    """Shifts of a disk along either axis [bins]."""
    ring: float
    """Outer radius of the annulus around a disk [bins]."""
    reach: int
    """Distance from a predicted place within which pixels are looked at [px]."""
    margin: int
    """Room around a frame [px]."""
    image: tuple[int, int]
    """Shape of a frame with its margins [px]."""


def _bins(shape: tuple[int, int], target: Target, filter_columns: int) -> _Bins:
    probe = target.probe
    step = 2 ** max(int(np.log2(probe.radius_px / BINNED_RADIUS)), 0)
    # the middle of the windows is the nearest bin, which may be half a bin off
    shifts = 2 * max(ceil((target.search_px + 0.5 * (step - 1)) / step), 1) + 1
    ring = (ring_radius(probe, target.lattice) + RIM_PX) / step
    # room for a window of either kind around a disk in the corner of a frame
    reach = filter_columns + ceil(target.search_px) + 1
    margin = up(max(reach, (int(ring) + shifts) * step), max(VECTOR, step))
    rows, columns = (up(side + 2 * margin, max(VECTOR, step)) for side in shape)
    return _Bins(step, shifts, ring, reach, margin, (rows, columns))


def _search(shape: tuple[int, int], target: Target, expected: Float64, bins: _Bins) -> Search:
    """Windows around the expected places (m, 2) of disks."""
    step, margin, ring = bins.step, bins.margin, int(bins.ring)
    width = up(bins.shifts + 2 * ring, HALF_VECTOR)
    size = bins.shifts + 2 * ring + 1, width
    corners = np.floor((expected + margin + 0.5) / step).astype(np.int64) - bins.shifts // 2 - ring
    # a disk far outside the frame is looked for where nothing is seen
    corners = np.clip(corners, 0, np.array(bins.image) // step - size)
    (top, left), (bottom, right) = corners.min(axis=0), corners.max(axis=0) + size
    distance = np.hypot(*(expected - np.array(target.lattice.centre)).T)
    # not farther than half-way to the next disk
    half_way = shortest(np.array([target.lattice.g1, target.lattice.g2])) / 2 - 1
    farthest = np.minimum(1.0 + LARGEST_DEFORMATION * distance, max(half_way, 1))
    return Search(
        step=step,
        shifts=bins.shifts,
        window=size,
        box=(int(top), int(bottom) - 1, int(left), int(right)),
        inside=(margin // step, (margin + shape[0]) // step),
        corners=corners,
        origins=np.asarray((corners + ring + 0.5) * step - 0.5 - margin, np.float64),
        reach=np.ceil(farthest / step + 0.5 * (step > 1)).astype(np.int64),
        start=ring * (width + 1),
        inner=_chords((target.probe.radius_px + RIM_PX) / step, width),
        outer=_chords(bins.ring, width),
        area=pi * target.probe.radius_px**2,
    )


def work_for(task: Task) -> Work:
    """
    Room for the work on one frame at a time.

    Parameters
    ----------
    task
        What is the same in every frame.

    Returns
    -------
    Work
        Not to be shared between threads.
    """
    search, (m, length), image = task.search, task.seen.disk.shape, task.pixels.cover.hidden.shape
    rows, columns = search.window
    k = task.bank.visible.normal.shape[3]
    room = Room(
        prefix=np.zeros((image[0] // search.step + 1, image[1] // search.step), np.float32),
        line=np.empty(image[1], np.float32),
        window=np.zeros((rows + length // columns + 1, columns), np.float32),
        disk=np.empty((m, length), np.float32),
        wide=np.empty((m, length), np.float32),
        contrast=np.empty((m, length), np.float32),
        joint=np.empty(length, np.float32),
    )
    return Work(
        image=np.zeros(image, np.float32),
        cover=Cover(np.empty(image, np.float32), np.empty(m, np.bool_)),
        shown=np.empty(image, np.float32),
        seen=_unseen(m, length),
        room=room,
        windows=np.zeros((2, task.bank.filters.shape[4]), np.float32),
        found=(np.empty((m, 2)), np.empty(m), np.empty((m, 2))),
        noise_part=np.empty(m),
        equations=Equations(np.empty((k, k)), np.empty((3, k))),
        vectors=np.empty((3, 2)),
        inverse=np.empty((3, 3)),
    )


def _unseen(m: int, length: int) -> Seen:
    return Seen(*(np.empty((m, length), np.float32) for _ in range(4)))


@lru_cache(maxsize=8)
def _bank(probe: Probe, contrast: Contrast, reach_px: float, exact: bool) -> Bank:
    """Filters whose rows, and the whole, are filled up with zeros."""
    table = filters(probe, contrast, reach_px)
    size = 2 * table.half + 1
    columns = up(size, HALF_VECTOR)
    bank = filled_up(table.bank, size)
    visible = NOTHING
    if exact:
        plain = visible_tables(probe, contrast, reach_px)
        terms = filled_up(plain.terms.swapaxes(2, 3), size).swapaxes(2, 3)
        visible = plain._replace(terms=np.ascontiguousarray(terms), weight=filled_up(plain.weight, size))
    limits = np.sqrt(np.array(CLASSES[:-1]) * np.array(CLASSES[1:]))
    return Bank(table.half, columns, bank, table.noise, table.intensity_noise, limits, visible)


def _flagged(shown: Float32, places: Float64, reach: int) -> NDArray[np.bool_]:
    """Whether anything is hidden within `reach` of each place (m, 2) in an image."""
    first = np.maximum(np.rint(places).astype(np.int64) - reach, 0)
    return np.array([(shown[r : r + 2 * reach + 1, c : c + 2 * reach + 1] == 0).any() for r, c in first], np.bool_)


def ring_radius(probe: Probe, lattice: Lattice) -> int:
    """Outer radius of the annulus that measures the background, short of the neighbouring disks [px]."""
    wide = max(probe.radius_px * 1.35, probe.radius_px + 2.0)
    return int(
        max(
            min(ceil(wide), floor(shortest(np.array([lattice.g1, lattice.g2])) - probe.radius_px)),
            ceil(probe.radius_px + 1.0),
        )
    )


def _chords(radius: float, width: int) -> NDArray[np.int64]:
    """Offsets (first, one past the last row) of each column of a disk into flattened column sums, an even number."""
    last = floor(radius)
    columns = np.arange(-last, last + 1)
    half = np.floor(np.sqrt(radius**2 - columns**2)).astype(np.int64)
    chords = np.stack([-half * width + columns, (half + 1) * width + columns], axis=1)
    # the offsets of an empty chord are the same, so that it adds nothing
    return np.concatenate([chords, np.zeros((len(chords) % 2, 2), np.int64)])
