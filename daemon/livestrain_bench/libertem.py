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
    raise NoPeer(f"the peer libertem needs the extra 'peers': pip install 'livestrain[peers]' ({error})") from error

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
