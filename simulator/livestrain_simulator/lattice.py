"""Two-dimensional lattices of diffraction disks: their vectors and the disks within reach."""

from dataclasses import dataclass
from math import cos, pi, radians, sin, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LatticeKind = Literal["square", "hexagonal", "oblique"]
ANGLES = {"square": pi / 2, "hexagonal": pi / 3, "oblique": radians(76.0)}
OBLIQUE_RATIO = 1.13


@dataclass(frozen=True)
class Lattice:
    """The unstrained lattice of a specimen, on the detector."""

    kind: LatticeKind = "square"
    spacing_px: float = 22.0
    """Length of g1 [px]."""
    angle_deg: float = 7.0
    """Turns g1 from axis 0 towards axis 1, so that disks do not all sit alike on the pixels [degree]."""
    reach: float = sqrt(5.0) + 0.01
    """Disks farther from the centre than this many spacings carry no intensity; sqrt(5) gives 21 on a square."""

    def vectors(self) -> NDArray[np.float64]:
        """The (2, 2) vectors [g1, g2], each (row, column), right-handed [px]."""
        first = radians(self.angle_deg)
        second = first + ANGLES[self.kind]
        length = self.spacing_px * (OBLIQUE_RATIO if self.kind == "oblique" else 1.0)
        return np.array(
            [
                [self.spacing_px * cos(first), self.spacing_px * sin(first)],
                [length * cos(second), length * sin(second)],
            ]
        )

    def indices(self) -> NDArray[np.int64]:
        """The (n, 2) indices (h, k) of the disks within reach, (0, 0) first, then by distance."""
        span = int(self.reach * 2) + 1
        h, k = np.meshgrid(np.arange(-span, span + 1), np.arange(-span, span + 1), indexing="ij")
        hk = np.stack([h.ravel(), k.ravel()], axis=1)
        distance = np.linalg.norm(hk @ self.vectors(), axis=1)
        near = distance <= self.reach * self.spacing_px
        order = np.lexsort((hk[near, 1], hk[near, 0], np.round(distance[near], 6)))
        return np.asarray(hk[near][order], np.int64)
