"""What was learned of the intensity inside disks, as a plan holds it."""

from dataclasses import asdict
from typing import Annotated

from pydantic import Field, field_validator

from livestrain_core.contrast import SHELLS, Contrast
from livestrain_daemon.geometry import PlanPart, Source

Relative = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]


class ContrastPlan(PlanPart):
    """Dynamical contrast inside disks and counting statistics; the filters that measure disks follow from it."""

    source: Source = "automatic"
    amplitude: tuple[Relative, ...]
    """Root mean square relative contrast by spatial frequency, from coarse to fine (`SHELLS` in the core)."""
    roughness: Relative
    """Root mean square relative contrast from pixel to pixel."""
    electrons_per_count: Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False)] = 1.0
    """Mean of a count over its variance."""
    background: Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
    """Typical background under the disks [electrons/px]."""
    misfit_px: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.0
    """How far disks lie from their lattice, per axis, beyond what counts and contrast explain [px]."""

    @field_validator("amplitude")
    @classmethod
    def _every_frequency(cls, amplitude: tuple[float, ...]) -> tuple[float, ...]:
        if len(amplitude) != len(SHELLS):
            raise ValueError(f"expected {len(SHELLS)} amplitudes, found {len(amplitude)}")
        return amplitude

    def contrast(self) -> Contrast:
        """The same, as the core takes it."""
        return Contrast(**self.model_dump(exclude={"source"}))


def contrast_fields(found: Contrast) -> dict[str, object]:
    """Fields of a `ContrastPlan`."""
    fields = asdict(found)
    return {**fields, "amplitude": list(found.amplitude)}
