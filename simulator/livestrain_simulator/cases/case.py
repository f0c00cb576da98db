"""What a synthetic scan with exact truth is made of."""

from dataclasses import dataclass
from math import cos, isinf, radians, sin
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
ContrastName = Literal["fringes", "rocking", "field", "wedge", "lines", "mixed"]
StrainName = Literal["smooth", "step", "rotation", "none"]
FaultName = Literal["hot", "stop", "gap"]
ApertureName = Literal["round", "bullseye"]
LatticeName = Literal["square", "hexagonal", "oblique"]

MARGIN_PX = 2.0
"""Between the edge of the frame and the disks nearest to it [px]."""


@dataclass(frozen=True)
class Case:
    """One synthetic scan; everything in it follows from these values."""

    name: str
    """Names its file; a case with hot pixels has `hot` in it."""
    shape: tuple[int, int] = (128, 128)
    """Pixels of a frame (rows, columns)."""
    lattice: LatticeName = "square"
    spacing_px: float = 22.0
    """Length of g1 [px]."""
    angle_deg: float = 11.0
    """Turns g1 from axis 0 towards axis 1 [degree]."""
    ratio: float = 1.0
    """Length of g2 over that of g1."""
    between_deg: float = 90.0
    """From g1 to g2 [degree]."""
    disks: int = 21
    """Largest number of disks, the nearest to the centre first."""
    radius_px: float = 6.0
    edge_px: float = 0.8
    """The edge of a disk is 1/2 - 1/2 tanh((d - radius) / edge)."""
    aperture: ApertureName = "round"
    dose: float = 1e5
    """Electrons per frame; infinite: no noise, and frames that sum to 1."""
    background: float = 0.2
    """Share of them between and under the disks."""
    nonuniformity: float = 0.5
    """Contrast inside the disks, 0 to 1."""
    contrast: ContrastName = "fringes"
    strain: StrainName = "smooth"
    largest: float = 0.01
    """The largest strain, and the largest rotation [rad]."""
    descan_px: float = 1.2
    """How far the pattern wanders over the scan [px]."""
    faults: tuple[FaultName, ...] = ()
    grains: int = 0
    """Above zero: a polycrystal, of so many lattices in every frame, each turned at random."""
    scan_shape: tuple[int, int] = (16, 16)
    vacuum_noise: bool = False
    """Whether the vacuum probe has counting noise."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.radius_px, self.edge_px, self.spacing_px, self.dose) <= 0 or self.disks < 3:
            raise ValueError("radius, edge, spacing and dose are above zero, and three disks are the least")
        if not (0 <= self.nonuniformity <= 1 and 0 <= self.background < 1):
            raise ValueError("nonuniformity lies in 0 to 1, background in 0 to below 1")
        if "hot" in self.faults and "hot" not in self.name:
            raise ValueError(f"the name of a case with hot pixels contains `hot`, found {self.name!r}")

    @property
    def electrons(self) -> float:
        """Sum of a frame before faults [counts]."""
        return 1.0 if isinf(self.dose) else self.dose

    @property
    def middle(self) -> Float64:
        """The middle of the detector (row, column) [px]."""
        return (np.array(self.shape, np.float64) - 1) / 2

    def vectors(self) -> Float64:
        """The (2, 2) unstrained vectors [g1, g2] as rows, each (row, column), right-handed [px]."""
        first = radians(self.angle_deg)
        second = first + radians(self.between_deg)
        return self.spacing_px * np.array(
            [[cos(first), sin(first)], [self.ratio * cos(second), self.ratio * sin(second)]]
        )

    def generator(self, *stream: int) -> np.random.Generator:
        """Random numbers of one purpose, the same whatever else was drawn."""
        return np.random.default_rng((self.seed, *stream))


def indices(case: Case, vectors: Float64, centres: Float64) -> NDArray[np.int64]:
    """
    The disks that lie inside the frame at every scan position.

    Parameters
    ----------
    case
        Gives the frame, the radius and the largest number of disks.
    vectors : (n, 2, 2)
        g1, g2 as rows at each position [px].
    centres : (n, 2)
        Centre of each pattern [px].

    Returns
    -------
    (m, 2)
        Indices (h, k), (0, 0) first, then by distance.
    """
    span = np.arange(-8, 9)
    hk = np.stack(np.meshgrid(span, span, indexing="ij"), axis=-1).reshape(-1, 2)
    distance = np.linalg.norm(hk @ case.vectors(), axis=1)
    order = np.lexsort((hk[:, 1], hk[:, 0], np.round(distance, 6)))
    # what lies as far away as the last disk within the number is not divided from it
    limit = distance[order][min(case.disks, len(order)) - 1] + 1e-6
    near = hk[order][distance[order] <= limit]
    return np.asarray(near[inside(case, centres[:, None] + near @ vectors).all(axis=0)], np.int64)


def inside(case: Case, positions: Float64) -> NDArray[np.bool_]:
    """Which positions (..., 2) have their whole disk in the frame."""
    reach = case.radius_px + MARGIN_PX
    return np.asarray((positions >= reach).all(axis=-1) & (positions <= np.array(case.shape) - 1 - reach).all(axis=-1))
