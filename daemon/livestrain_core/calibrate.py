from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livestrain_core.lattice import Lattice
from livestrain_core.probe import Probe
from livestrain_core.types import Frames, Image, Point, Usable


@dataclass(frozen=True)
class Calibration:
    """What tracking needs to know, found from a few frames of the scan."""

    probe: Probe
    centre: Point
    """Centre of the bright-field disk of the mean pattern (row, column) [px]."""
    lattice: Lattice | None
    """None where the frames show no lattice; `reason` says why."""
    hk: NDArray[np.int64]
    """(m, 2) indices of the disks worth tracking, the direct beam first; empty without a lattice."""
    search_px: float
    """Half the side of the window in which tracking must look for a disk [px]."""
    residual_px: float
    """Root mean square distance of the disks from the fitted lattices; NaN without a lattice [px]."""
    reason: str
    """Empty, or one sentence on why there is no lattice."""


def calibrate(frames: Frames, usable: Usable | None = None, vacuum_probe: Image | None = None) -> Calibration:
    """
    Probe, centre and lattice of a scan from some of its frames.

    Parameters
    ----------
    frames : (n, rows, columns)
        16 to 256 patterns [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at.
    vacuum_probe : (rows, columns), optional
        Image of the probe without a specimen [counts].

    Returns
    -------
    Calibration
        With `lattice` None and a reason where there are no Bragg disks.

    Raises
    ------
    NoProbe
        Neither the vacuum probe nor the mean pattern shows a disk.
    """
    raise NotImplementedError
