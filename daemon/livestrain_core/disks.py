from dataclasses import dataclass

from livestrain_core.lattice import Lattice
from livestrain_core.probe import Probe
from livestrain_core.types import Float32, Frames, Indices, Usable


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
        False where a pixel must not be looked at.
    lattice
        Lattice of the plan; frames may differ from it by a shift, a strain and a rotation [px].
    hk : (m, 2)
        Indices of the disks to look for.
    probe
        Radius and edge of a disk [px].
    search_px
        Half the side of the window around each predicted position [px].

    Returns
    -------
    Disks
        NaN positions where a disk is hidden, outside the frame or too faint.
    """
    raise NotImplementedError
