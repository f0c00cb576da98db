from dataclasses import dataclass
from enum import IntEnum
from math import pi

import numpy as np
from numpy.typing import NDArray

from livestrain_core import indexing
from livestrain_core.detect import Found, detect
from livestrain_core.detect_options import DetectOptions
from livestrain_core.indexing import Near
from livestrain_core.lattice import Lattice, shortest
from livestrain_core.probe import Probe
from livestrain_core.types import Float64, Frames, Image, Usable

# how far a lattice may be from that of the plan; a square one is itself again beyond 45 degrees
LARGEST_STRAIN = 0.12
LARGEST_ROTATION = pi / 4 + 0.02
# disks of a frame from which its lattice is taken, the brightest
MOST_DISKS = 40
# the distance of a disk from its lattice point: contrast moves large disks more; never as far as half-way to the next
TOLERANCE_PX = 1.5
TOLERANCE_RADII = 0.22
TOLERANCE_CELLS = 0.12


class Outcome(IntEnum):
    """How looking for a lattice went."""

    FOUND = indexing.FOUND
    NO_DISKS = indexing.NO_DISKS
    """No disk was found."""
    TOO_FEW = indexing.TOO_FEW
    """Three disks or fewer, through which some lattice always goes."""
    NO_LATTICE = indexing.NO_LATTICE
    """The disks do not lie on a lattice that is the plan's, turned and strained."""


@dataclass(frozen=True)
class Recovered:
    """Lattices of n frames, found without tracking."""

    vectors: Float64
    """(n, 3, 2) centre, g1, g2 of each, the basis nearest to that of the plan; NaN where none was found [px]."""
    outcome: NDArray[np.uint8]
    """(n,) value of `Outcome`."""
    disks: Found
    """The disks from which they come."""

    def lattice(self, i: int) -> Lattice | None:
        """The lattice of frame i."""
        if self.outcome[i] != Outcome.FOUND:
            return None
        centre, g1, g2 = ((float(r), float(c)) for r, c in self.vectors[i])
        return Lattice(centre, g1, g2)


def recover(frames: Frames, usable: Usable | None, probe: Probe, near: Lattice) -> Recovered:
    """
    Lattices of frames in which tracking would get lost.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at.
    probe
        Radius and edge of a disk [px].
    near
        Lattice of the plan; that of a frame is turned by up to 45 degrees and strained by up to 12 % from it [px].

    Returns
    -------
    Recovered
        To a part of a pixel: where to start tracking from.

    Notes
    -----
    Disks are detected on the whole frame. Of all pairs of vectors between disks that could be the plan's g1 and g2,
    turned and strained, the one whose lattice carries the most disks is refined by least squares from the inside out.
    Where the direct beam is hidden or outshone, the lattice point nearest to the plan's centre is taken for it.
    """
    options = DetectOptions(count=MOST_DISKS)
    found = detect(frames, usable, probe, options)
    limits = Near(
        np.array([near.centre, near.g1, near.g2], np.float64),
        tolerance_px(probe, near),
        LARGEST_STRAIN,
        LARGEST_ROTATION,
    )
    vectors, outcome = np.empty((len(frames), 3, 2)), np.empty(len(frames), np.uint8)
    peaks = (found.position.astype(np.float64), found.intensity.astype(np.float64), found.score.astype(np.float64))
    indexing.index_frames(*peaks, found.count, limits, vectors, outcome)
    return Recovered(vectors, outcome, found)


def tolerance_px(probe: Probe, lattice: Lattice) -> float:
    """Distance of a detected disk from the lattice point that it is on, at most [px]."""
    cell = shortest(np.array([lattice.g1, lattice.g2]))
    return min(max(TOLERANCE_PX, TOLERANCE_RADII * probe.radius_px), TOLERANCE_CELLS * cell)


def recover_lattice(frame: Image, usable: Usable | None, probe: Probe, near: Lattice) -> tuple[Lattice | None, Outcome]:
    """
    The lattice of one frame, and why there is none.

    Parameters
    ----------
    frame : (rows, columns)
        Pattern [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at.
    probe
        Radius and edge of a disk [px].
    near
        Lattice of the plan [px].

    Returns
    -------
    lattice
        None where there is none.
    outcome
        Why.
    """
    recovered = recover(frame[None], usable, probe, near)
    return recovered.lattice(0), Outcome(recovered.outcome[0])
