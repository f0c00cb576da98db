"""What the plan says about disks that are looked for anywhere in a frame."""

from typing import Annotated, Literal

from pydantic import Field

from livestrain_core.detect_options import DetectOptions
from livestrain_daemon.geometry import PlanPart

DisksChoice = Literal["auto", "tracked", "detected", "both"]
"""Which disks are looked for: `tracked` those of the lattice, `detected` all, without a lattice; `auto` tracks where a
lattice is known and detects where only the probe is."""
Share = Annotated[float, Field(ge=0, le=1)]
Distance = Annotated[float, Field(ge=0, le=65536, allow_inf_nan=False)]


class DetectPlan(PlanPart):
    """Which disks the analysis ``detect`` reports."""

    score: Annotated[float, Field(ge=2, le=1e6, allow_inf_nan=False)] = 5.0
    """Contrast of a disk over its standard error, at least."""
    relative_intensity: Share = 0.0
    """Intensity over that of the brightest disk of the frame, at least."""
    spacing_px: Distance | None = None
    """Distance between disks, at least; of two that are closer the dimmer is dropped. None: 1.6 radii [px]."""
    edge_px: Distance = 0.0
    """Distance of a disk's centre from the outermost pixels, at least [px]."""
    count: Annotated[int, Field(ge=1, le=1024)] = 64
    """Disks per frame, at most; the brightest are kept."""

    def options(self) -> DetectOptions:
        """The same as the detection wants it."""
        return DetectOptions(self.score, self.relative_intensity, self.spacing_px, self.edge_px, self.count)
