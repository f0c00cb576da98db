"""What disks are compared with, as a plan holds it."""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator, model_validator

from livestrain_core.pattern import LARGEST_HALF, Pattern
from livestrain_core.probe import Probe
from livestrain_daemon.geometry import PlanPart

Part = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
LARGEST_VALUE = 1e4
"""Of a pattern that is one in the mean."""


class ProbeValues(PlanPart):
    """A probe that is known."""

    radius_px: Annotated[float, Field(gt=1, le=4096, allow_inf_nan=False)]
    """Distance from the centre at which the disk has fallen to one half [px]."""
    edge_px: Annotated[float, Field(ge=0, le=1024, allow_inf_nan=False)] = 0.8
    """Width of the edge: 1/2 - 1/2 tanh((distance - radius) / edge) [px]."""

    def probe(self) -> Probe:
        """The same, as the core takes it."""
        return Probe(self.radius_px, self.edge_px)


class PatternPlan(PlanPart):
    """Image of the probe that disks are compared with, 1 in the mean within the radius and 0 around."""

    half: Annotated[int, Field(ge=1, le=LARGEST_HALF)]
    """The image has 2 half + 1 rows and columns."""
    offset: tuple[Part, Part]
    """Centre of the probe from the middle pixel (row, column) [px]."""
    pixels: str
    """The rows of the image one after the other, float32, little-endian, in base64."""

    @field_validator("pixels")
    @classmethod
    def _base64(cls, pixels: str) -> str:
        try:
            base64.b64decode(pixels, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"expected base64: {error}") from error
        return pixels

    @model_validator(mode="after")
    def _an_image(self) -> "PatternPlan":
        raw, side = base64.b64decode(self.pixels), 2 * self.half + 1
        if len(raw) != 4 * side * side:
            raise ValueError(f"expected {side} x {side} pixels of 4 bytes, found {len(raw)} bytes")
        values = np.frombuffer(raw, "<f4")
        if not (np.isfinite(values).all() and values.min() >= 0.0 and 0.0 < values.max() <= LARGEST_VALUE):
            raise ValueError(f"expected pixels from 0 to {LARGEST_VALUE:g}, some above 0")
        return self

    def pattern(self) -> Pattern:
        """The same, as the core takes it."""
        return Pattern(base64.b64decode(self.pixels), self.half, self.offset)


def probe_of(fields: Mapping[str, Any]) -> Probe:
    """What the fields of a calibration say disks are compared with."""
    pattern = fields.get("pattern")
    return Probe(
        fields["radius_px"], fields["edge_px"], PatternPlan.model_validate(pattern).pattern() if pattern else None
    )


def pattern_fields(pattern: Pattern | None) -> dict[str, object] | None:
    """Fields of a `PatternPlan`."""
    if pattern is None:
        return None
    pixels = base64.b64encode(pattern.pixels).decode("ascii")
    return {"half": pattern.half, "offset": list(pattern.offset), "pixels": pixels}
