"""The disks of a plan: what is looked for in every frame, and how."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from livestrain_core.contrast import USUAL, Contrast
from livestrain_core.lattice import Lattice
from livestrain_core.probe import Probe
from livestrain_core.types import Estimator, Indices

Miller: TypeAlias = tuple[tuple[int, int], ...]
"""Indices (h, k) of disks."""


def miller(hk: Indices) -> Miller:
    """
    Indices as a `Target` keeps them.

    Parameters
    ----------
    hk : (m, 2)
        Indices (h, k) of disks.

    Returns
    -------
    Miller
        The same.
    """
    return tuple((int(h), int(k)) for h, k in hk)


@dataclass(frozen=True)
class Target:
    """What tracking looks for; equal ones share what is prepared for them."""

    lattice: Lattice
    """Lattice of the plan; frames may differ from it by a shift, a strain and a rotation [px]."""
    hk: Miller
    """Disks of the lattice that are looked for."""
    probe: Probe
    """Radius and edge of a disk [px]."""
    search_px: float
    """Half the side of the window around each predicted position, for shift and strain together [px]."""
    estimator: Estimator = "precise"
    """
    `precise` measures the disks twice, the second time from a lattice through the first places; `fast` does so only
    where the disks were far from where the search had put them.
    """
    contrast: Contrast | None = None
    """
    What was learned of the counts and of the intensity inside disks. Without it the contrast is moderate, a count is
    one electron, and a frame of floats with under 1000 counts is taken to hold 1e5 electrons.
    """
    saturation: float | None = None
    """Counts from which on a pixel is not looked at in its frame; None where no pixel saturates [counts]."""
    spacing_px: float | None = None
    """
    Distance between disks up to which the filters look; that of the lattice if None. Lattices that differ little
    share their filters if it is given [px].
    """

    @property
    def indices(self) -> NDArray[np.int64]:
        """(m, 2) indices of the disks."""
        return np.array(self.hk, np.int64).reshape(-1, 2)

    @property
    def usual_contrast(self) -> Contrast:
        """What was learned of the contrast, or what is usual."""
        return self.contrast or USUAL
