"""What disks are compared with; measured and drawn elsewhere."""

from dataclasses import dataclass

from livestrain_core.pattern import Pattern
from livestrain_core.types import Point


@dataclass(frozen=True)
class Probe:
    """The probe in the diffraction plane: a disk with a soft edge 1/2 - 1/2 tanh((d - radius) / edge), or an image."""

    radius_px: float
    """Distance at which the disk has fallen to one half [px]."""
    edge_px: float
    """Width of the edge [px]."""
    pattern: Pattern | None = None
    """What the aperture makes of the disk; None: it is flat."""


@dataclass(frozen=True)
class MeasuredProbe:
    """A probe and where it was seen."""

    centre: Point
    probe: Probe
