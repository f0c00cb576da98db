"""What every format gets: maps of the whole scan, and all that has to be said about them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.scanfolder.hold import Held
from livestrain_daemon.vectors import Vectors
from livestrain_wire.messages import Axes, ReferenceInfo

CONVENTION = (
    "exact: deformation F = R U (right polar decomposition), strain e = U - I (Biot), e_xy tensor shear (half the "
    "engineering shear), theta from R = [[cos, -sin], [sin, cos]] on (axis x, axis y): positive from x towards y"
)
"""How strain is defined, in every export."""
AXES: dict[Axes, str] = {
    "detector": "x is axis 0 of the detector (rows, down), y is axis 1 of the detector (columns, right)",
    "scan": "x is axis 0 of the scan (rows, down), y is axis 1 of the scan (columns, right)",
    "g1": "x is along g1 of the reference, y is a quarter turn from it, from axis 0 towards axis 1 of the detector",
}
"""Along what the components are."""
PY4DSTEM = (
    "py4DSTEM's own strain maps are infinitesimal (a rotation alone shows as strain), and its theta has the opposite "
    "sign"
)
"""The difference that people trip over."""


@dataclass(frozen=True)
class Choice:
    """What is to be exported."""

    revision: int | None = None
    """Plan revision; None: the last one."""
    maps: tuple[str, ...] | None = None
    """Names of maps; None: all."""
    reference: str = "recorded"
    """recorded, median, plan, or a region r0:r1,c0:c1."""
    axes: Axes | None = None
    """Axes of the strain components; None: as recorded."""


@dataclass(frozen=True)
class MapImage:
    """One value per scan position."""

    name: str
    values: NDArray[np.float32]
    """(scan_rows, scan_columns); NaN where not measured."""
    unit: str = ""
    colours: str = "sequential"
    description: str = ""
    is_strain: bool = False
    """True for strain, rotation and their errors: these depend on reference and axes."""
    is_virtual: bool = False
    """True for a virtual detector."""


@dataclass(frozen=True)
class BraggImage:
    """The Bragg vector map."""

    pixels: NDArray[np.float64]
    """(rows, columns) summed intensity [counts]."""
    about: dict[str, Any]


@dataclass(frozen=True)
class PixelSizes:
    """Sizes of pixels and how the detector lies against the scan, as far as they are known."""

    step_nm: float | None = None
    detector: float | None = None
    """Of a detector pixel, in `detector_unit`."""
    detector_unit: str = ""
    """mrad or 1/nm."""
    to_scan: NDArray[np.float64] | None = None
    """(2, 2) takes a direction on the detector to the scan."""
    ellipse: tuple[float, float] | None = None
    """Ratio of the axes of the elliptic distortion, and angle of the long one from axis 0 towards axis 1 [rad]."""


@dataclass(frozen=True)
class Exported:
    """A scan's results under one plan revision, so far."""

    scan_id: str
    revision: int
    scan_shape: tuple[int, int]
    frame_shape: tuple[int, int]
    sizes: PixelSizes
    reference: ReferenceInfo | None
    """What strain is measured against, and its axes; None where there is no lattice."""
    maps: tuple[MapImage, ...]
    reasons: NDArray[np.str_]
    """(scan_rows, scan_columns) why a position has no lattice, or what became of it."""
    analysed: NDArray[np.bool_]
    """(scan_rows, scan_columns)"""
    centres: NDArray[np.float64] | None
    """(scan_rows, scan_columns, 2) the origin of the lattice [px]; NaN where there is none."""
    origin: tuple[float, float]
    """The plan's centre of the direct beam [px]."""
    read_vectors: Callable[[], Vectors] | None
    """Reads the Bragg vectors of all positions; None where there are none."""
    read_bragg: Callable[[], BraggImage] | None
    """Makes the map of them; None where there are none."""
    hold: Held
    """Keeps the scan from being removed as long as there is this object."""
    precious: tuple[Path, ...]
    """The scan folder, and the file of its frames: nothing is written there."""
    about: dict[str, Any] = field(default_factory=dict)
    """Facts for people and programs, JSON-able: scan, plan, reference, axes, convention, versions."""

    @cached_property
    def vectors(self) -> Vectors | None:
        """Bragg vectors of all positions, read when they are first asked for: they are most of the results."""
        return self.read_vectors() if self.read_vectors else None

    @cached_property
    def bragg(self) -> BraggImage | None:
        """The Bragg vector map, made when it is first asked for."""
        return self.read_bragg() if self.read_bragg else None

    def map(self, name: str) -> MapImage | None:
        """One of the maps."""
        return next((one for one in self.maps if one.name == name), None)
