"""Parts of a plan's calibration: how the detector lies to the scan, what a pixel is, each with its source."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from livestrain_core.descan import CentrePlane
from livestrain_wire.messages import Axes, Flip

__all__ = ["Axes", "DescanPlan", "EllipsePlan", "Flip", "PixelSizePlan", "PlanPart", "ScanAxesPlan", "Source"]

Finite = Annotated[float, Field(ge=-65536, le=65536, allow_inf_nan=False)]
Degrees = Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=1, le=1.5, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Source = Literal["automatic", "command", "given"]
"""Found without being asked; found or set by a request; set in the configuration."""


class PlanPart(BaseModel):
    """A part of a plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DescanPlan(PlanPart):
    """Where the centre is at each scan position: origin + row * per_row + column * per_column."""

    source: Source = "automatic"
    how: str = ""
    """What it comes from, in words."""
    origin: tuple[Finite, Finite]
    """Centre at the scan position (0, 0) (row, column) [px]."""
    per_row: tuple[Finite, Finite]
    """Its change from one scan row to the next [px]."""
    per_column: tuple[Finite, Finite]
    """Its change from one scan column to the next [px]."""
    residual_px: float | None = None
    """Distance of the measured centres from the plane, rms per axis [px]."""

    def plane(self) -> CentrePlane:
        """The plane, for `livestrain_core.descan.predicted_centre`."""
        return CentrePlane(self.origin, self.per_row, self.per_column)


class EllipsePlan(PlanPart):
    """Elliptic distortion: a circle comes out as an ellipse of the same area. It is taken out of strain."""

    source: Source = "automatic"
    how: str = ""
    """What it comes from, in words."""
    ratio: Ratio
    """Long over short axis."""
    angle_deg: Degrees
    """Of the long axis, from axis 0 towards axis 1 [degrees]."""
    residual_px: float | None = None
    """Distance of the points from the rings that it was fitted to, rms [px]."""


class ScanAxesPlan(PlanPart):
    """How the scan lies to the detector: v_scan = Q P v_detector, with P the flip and Q the rotation."""

    source: Source = "automatic"
    how: str = ""
    """What it comes from, in words."""
    rotation_deg: Degrees = 0.0
    """Angle of Q, from axis 0 towards axis 1 [degrees]."""
    flip: Flip = "none"
    """P: the direction of axis 0 or axis 1 reversed, or the two exchanged."""


class PixelSizePlan(PlanPart):
    """What one detector pixel is."""

    source: Source = "automatic"
    how: str = ""
    """What it comes from, in words."""
    size: Positive
    """In the unit, per pixel."""
    unit: Literal["mrad", "1/nm"]
