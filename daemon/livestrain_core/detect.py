from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, pi

import numpy as np
from numpy.typing import NDArray

from livestrain_core.detect_options import DetectOptions
from livestrain_core.detection import Wanted, detect_images
from livestrain_core.judging import SECTORS
from livestrain_core.probe import Probe
from livestrain_core.sliding import Layout, Tables, Visible, load, what_is_visible
from livestrain_core.templates import CLASSES, filters
from livestrain_core.types import Float32, Frames, Usable
from livestrain_core.windows import HALF_VECTOR, filled_up, up

# frames are searched in bins of powers of two while the radius stays above this
BINNED_RADIUS = 2.5
# disks closer to each other than this overlap too much to be told apart [radii]
CLOSEST_DISKS = 1.6
# the annulus that measures the background ends here, without a smaller spacing [radii]
RING_RADII = 1.35
# less of a disk than this visible, and it is not reported
LEAST_VISIBLE = 0.6
# frames whose copies stay in the cache until they are searched
TOGETHER = 8
# the contrast of a disk has fallen at these distances [radii] in every one of so many directions
CREST_RADII = (-1.6, -1.2, 1.2, 1.6)
DIRECTIONS = 16
# filters made for brighter disks trust their edges too much where the contrast inside is unknown [electrons]
MOST_TRUSTED = 800.0


@dataclass(frozen=True)
class Found:
    """Disks found in n frames, brightest first, at most k in each."""

    position: Float32
    """(n, k, 2) centre (row, column), NaN beyond `count` [px]."""
    intensity: Float32
    """(n, k) background-subtracted counts, NaN beyond `count` [counts]."""
    score: Float32
    """(n, k) contrast over its standard error, NaN beyond `count` [1]."""
    count: NDArray[np.uint16]
    """(n,) disks found."""


def detect(frames: Frames, usable: Usable | None, probe: Probe, options: DetectOptions | None = None) -> Found:
    """
    Disks of each frame, wherever they are.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns of u1, u2, u4 or f4 [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at; pixels that are not finite are not looked at either.
    probe
        Radius and edge of a disk [px].
    options
        Which disks are reported.

    Returns
    -------
    Found
        What is not the flank, the fringe or the half of a disk, nor a ridge, a single pixel or the edge of a hidden
        area.

    Notes
    -----
    The mean of a disk minus the mean of its annulus at every shift, from column sums of the binned frame, each over
    the pixels that are visible. Every maximum that counting noise does not explain is centred by the filters of
    `templates` and examined by sectors: a disk stands above its surroundings in every direction.
    """
    chosen = options or DetectOptions()
    frames = np.ascontiguousarray(frames)
    everywhere = usable is None or bool(np.all(usable))
    keep = np.empty((0, 0), np.bool_) if usable is None or everywhere else np.ascontiguousarray(usable, np.bool_)
    spacing = CLOSEST_DISKS * probe.radius_px if chosen.spacing_px is None else chosen.spacing_px
    prepared = prepare(frames.shape[1:], probe, chosen.spacing_px, keep.tobytes())
    layout = prepared.layout._replace(normalised=frames.dtype.kind == "f")
    wanted = Wanted(chosen.score, chosen.relative_intensity, spacing, chosen.edge_px)
    n, k = len(frames), chosen.count
    out = (
        np.empty((n, k, 2), np.float32),
        np.empty((n, k), np.float32),
        np.empty((n, k), np.float32),
        np.empty(n, np.uint16),
    )
    images = np.zeros((min(n, TOGETHER), *prepared.visible[0].shape), np.float32)
    finite = np.empty(len(images), np.bool_)
    for first in range(0, n, TOGETHER):
        some = slice(first, min(first + TOGETHER, n))
        count = some.stop - first
        load(frames[some], keep, images[:count], finite, layout.margin)
        part = out[0][some], out[1][some], out[2][some], out[3][some]
        detect_images(images[:count], finite, prepared.visible, prepared.tables, layout, wanted, part)
    return Found(*out)


@dataclass(frozen=True)
class Prepared:
    """What is the same for all frames."""

    layout: Layout
    visible: Visible
    tables: Tables


@lru_cache(maxsize=8)
def prepare(shape: tuple[int, int], probe: Probe, spacing_px: float | None = None, usable: bytes = b"") -> Prepared:
    """
    What detection needs to know.

    Parameters
    ----------
    shape : (2,)
        Of a frame.
    probe
        Radius and edge of a disk [px].
    spacing_px
        Distance between disks, at least; None where it is not given [px].
    usable
        Bytes of (rows, columns) booleans; none where every pixel can be used.

    Returns
    -------
    Prepared
        Kept for the next call with the same arguments.
    """
    bank = filters(probe)
    radius = probe.radius_px
    step = 2 ** max(int(np.log2(radius / BINNED_RADIUS)), 0)
    ring = ring_radius(probe, spacing_px)
    reach = ceil(ring + 0.5)
    size = 2 * bank.half + 1
    stride = up(size, HALF_VECTOR)
    margin = step * (ceil(max(stride - bank.half, bank.half + 2, reach + 2) / step) + 1)
    layout = Layout(
        *shape,
        margin,
        step,
        bank.half,
        stride,
        reach,
        radius,
        radius + 1.5 * probe.edge_px,
        pi * radius**2,
        LEAST_VISIBLE,
        False,
    )
    # whole bins, the last ones filled up with the margin
    rows, columns = (-(-(side + 2 * margin) // step) * step for side in shape)
    hidden = np.ones((rows, columns), np.bool_)
    seen = np.frombuffer(usable, np.bool_).reshape(shape) if usable else np.ones(shape, np.bool_)
    hidden[margin : margin + shape[0], margin : margin + shape[1]] = ~seen
    inner, outer, halves = _chords((radius + 0.3) / step, (ring + 0.3) / step)
    limits = np.sqrt(np.array(CLASSES[:-1]) * np.array(CLASSES[1:]))
    limits = limits[limits < MOST_TRUSTED]
    tables = (
        filled_up(bank.bank[: len(limits) + 1], size),
        limits,
        *_sectors(reach, columns, probe, ring),
        inner,
        outer,
        _around(radius / step),
        halves,
    )
    return Prepared(layout, what_is_visible(hidden, layout, tables), tables)


def ring_radius(probe: Probe, spacing_px: float | None) -> float:
    """Outer radius of the annulus that measures the background, short of disks at the spacing [px]."""
    wide = max(RING_RADII * probe.radius_px, probe.radius_px + 1.5)
    nearest = np.inf if spacing_px is None else spacing_px - probe.radius_px
    return float(max(min(wide, nearest), probe.radius_px + 1.0))


def _sectors(reach: int, width: int, probe: Probe, ring: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offsets of the pixels of each sector in a flattened image, and where each sector ends among them."""
    r, c = (a.ravel() for a in np.meshgrid(*(np.arange(-reach, reach + 1),) * 2, indexing="ij"))
    distance = np.hypot(r, c)
    turn = np.floor(np.arctan2(c, r) / (2 * pi) * SECTORS + 0.5).astype(np.int64) % SECTORS
    on_disk = distance <= probe.radius_px + 0.3
    around = (distance > probe.radius_px + min(max(probe.edge_px, 0.5), 1.0)) & (distance <= ring + 0.5)
    sector = np.where(on_disk, turn, np.where(around, turn + SECTORS, -1))
    offsets = [(r * width + c)[sector == s] for s in range(2 * SECTORS)]
    return np.concatenate(offsets), np.cumsum([len(part) for part in offsets])


def _around(radius: float) -> NDArray[np.int64]:
    """Offsets (directions, distances, 2) at which the contrast of a disk is compared with that in its middle."""
    turn = pi * np.arange(DIRECTIONS)[:, None] / DIRECTIONS
    distance = radius * np.array(CREST_RADII)
    return np.floor(np.stack([distance * np.cos(turn), distance * np.sin(turn)], axis=-1) + 0.5).astype(np.int64)


def _chords(inner: float, outer: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Chords of two disks, each as (column, which of the halves), and half their lengths, all in bins."""
    columns = [np.arange(-floor(radius), floor(radius) + 1) for radius in (inner, outer)]
    lengths = [np.floor(np.sqrt(r**2 - c**2)).astype(np.int64) for r, c in zip((inner, outer), columns, strict=True)]
    halves = np.unique(np.concatenate(lengths))
    chords = []
    for column, half in zip(columns, lengths, strict=True):
        # a multiple of four; those that fill it up refer to an empty one after the last
        filling = [[0, len(halves)]] * (-len(column) % 4)
        chords.append(np.array([*np.stack([column, np.searchsorted(halves, half)], axis=1).tolist(), *filling]))
    return chords[0].astype(np.int64), chords[1].astype(np.int64), halves
