"""
The peer LiberTEM-blobfinder, called through its own functions for use without a cluster.

Disks are found with its background-subtraction template within 1.5 radii of where the true unstrained lattice has
them (`fast` correlation), and matched with its `affine` or `fast` matcher, frame by frame. Masks are not given to it:
it takes none here.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from livestrain_bench.case import Case, Float64, LatticeTruth
from livestrain_bench.errors import NoPeer
from livestrain_core.strain import strain
from livestrain_core.types import Frames

try:
    from libertem_blobfinder.base import correlation
    from libertem_blobfinder.common.gridmatching import Matcher
    from libertem_blobfinder.common.patterns import BackgroundSubtraction
except ModuleNotFoundError as error:
    raise NoPeer(
        f"the peer libertem needs the extra 'peers': pip install 'livestrain[peers]', or in a clone "
        f"pip install -e '.[peers]' ({error})"
    ) from error

MatchName = Literal["affine", "fast"]
MATCHES: tuple[MatchName, ...] = ("affine", "fast")
SEARCH_RADII = 1.5
LEAST_WEIGHT = 0.1
"""Its own default; it is in counts, so that frames which sum to about one need zero."""


@dataclass(frozen=True)
class Peer:
    """Its template, and the true lattice of the case."""

    crop: int
    template: Any
    places: Any
    """(m, 2) whole pixels where the disks are expected."""
    zero: Float64
    truth: LatticeTruth
    matcher: Any


def prepare(case: Case, lattice: LatticeTruth) -> Peer:
    """All that is done once for a scan."""
    radius = case.truth.radius_px
    pattern = BackgroundSubtraction(radius=radius, search=SEARCH_RADII * radius)
    crop = int(pattern.get_crop_size())
    zero = lattice.centre.mean(axis=0)
    places = np.rint(zero + lattice.hk @ lattice.reference.T).astype(np.int32)
    counts = float(case.given.frames[0].sum(dtype=np.float64))
    matcher = Matcher(min_weight=LEAST_WEIGHT if counts > 100 else 0.0)
    return Peer(crop, pattern.get_template(sig_shape=(2 * crop, 2 * crop)), places, zero, lattice, matcher)


def run(frames: Frames, peer: Peer, match: MatchName) -> Float64:
    """
    Disks, lattice and strain of all frames.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns [counts].
    peer
        What was prepared.
    match
        Which of its matchers.

    Returns
    -------
    (n, 2, 2)
        [:, 0] = g1, [:, 1] = g2, NaN where it found none [px].
    """
    count = len(peer.places)
    buffers = correlation.allocate_crop_bufs(peer.crop, count, np.float32)
    centres, refined = np.zeros((count, 2), np.int32), np.zeros((count, 2), np.float32)
    heights, elevations = np.zeros(count, np.float32), np.zeros(count, np.float32)
    a, b = np.ascontiguousarray(peer.truth.reference.T)
    g = np.empty((len(frames), 2, 2))
    for i, frame in enumerate(frames):
        correlation.process_frame_fast(
            template=peer.template,
            crop_size=peer.crop,
            frame=frame,
            peaks=peer.places,
            out_centers=centres,
            out_refineds=refined,
            out_heights=heights,
            out_elevations=elevations,
            crop_bufs=buffers,
        )
        found = {"centers": centres, "refineds": refined, "peak_values": heights, "peak_elevations": elevations}
        if match == "affine":
            result = peer.matcher.affinematch(indices=peer.truth.hk, **found)
        else:
            result = peer.matcher.fastmatch(zero=peer.zero, a=a, b=b, **found)
        g[i] = result.a, result.b
    strain(g, np.ascontiguousarray(peer.truth.reference.T))
    return g


@dataclass(frozen=True)
class FullFrame:
    """Its template for whole frames, and where the disks of each frame are."""

    crop: int
    template: Any
    places: list[Any]
    """(m, 2) whole pixels for each frame."""


def prepare_full(case: Case) -> FullFrame:
    """All that is done once for a scan; each frame gets the true places of its disks."""
    radius = case.truth.radius_px
    pattern = BackgroundSubtraction(radius=radius, search=SEARCH_RADII * radius)
    there = np.isfinite(case.truth.positions[..., 0])
    places = [
        np.rint(positions[known]).astype(np.int32) for positions, known in zip(case.truth.positions, there, strict=True)
    ]
    shape = case.given.frames.shape[1:]
    return FullFrame(int(pattern.get_crop_size()), pattern.get_template(sig_shape=shape), places)


def run_full(frames: Frames, peer: FullFrame) -> None:
    """Correlate whole frames and refine the disks at the places given."""
    buffer = correlation.zeros(frames.shape[1:], dtype=np.float32)
    for frame, places in zip(frames, peer.places, strict=True):
        count = len(places)
        correlation.process_frame_full(
            template=peer.template,
            crop_size=peer.crop,
            frame=frame,
            peaks=places,
            out_centers=np.zeros((count, 2), np.int32),
            out_refineds=np.zeros((count, 2), np.float32),
            out_heights=np.zeros(count, np.float32),
            out_elevations=np.zeros(count, np.float32),
            frame_buf=buffer,
            buf_count=correlation.get_buf_count(peer.crop, count, buffer.dtype),
        )
