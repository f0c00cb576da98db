"""
Array aliases named by meaning, and disks as they pass from the tracking to the fit.

Positions and vectors are (row, column) in detector pixels throughout, pixel centres on integers.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Frames: TypeAlias = NDArray[Any]
"""(n, rows, columns) diffraction patterns of u1, u2, u4 or f4 [counts]."""

Image: TypeAlias = NDArray[Any]
"""(rows, columns) one pattern, a mean of patterns or a vacuum probe [counts]."""

Usable: TypeAlias = NDArray[np.bool_]
"""(rows, columns), False where a pixel is hot, dead, hidden or between modules."""

Indices: TypeAlias = NDArray[np.integer[Any]]
"""(m, 2) Miller indices (h, k) of disks."""

Vectors: TypeAlias = NDArray[np.float64]
"""(n, 2, 2) lattice vectors, [:, 0] = g1 and [:, 1] = g2, each (row, column) [px]."""

Float64: TypeAlias = NDArray[np.float64]
Float32: TypeAlias = NDArray[np.float32]

Estimator: TypeAlias = Literal["fast", "precise"]
"""How disks are measured: once, or again from the lattice through them."""

Template: TypeAlias = Literal["disk", "image"]
"""What disks are compared with: a flat disk, or the image of the probe in vacuum."""

Point: TypeAlias = tuple[float, float]
"""(row, column) [px]."""


@dataclass(frozen=True)
class Disks:
    """Disks found in n frames, m of them looked for in each."""

    position: Float32
    """(n, m, 2) centre (row, column) [px]; NaN where the disk was not found."""
    intensity: Float32
    """(n, m) background-subtracted counts; NaN where there was nothing to measure [counts]."""
    score: Float32
    """(n, m) one pixel over the standard error expected of the position, 0 where not found [1/px]."""
    noise_part: Float32
    """(n, m) part of that error's variance that counting causes; contrast and misfit cause the rest."""
