"""What a person or a file knows of the detector and the specimen, beside what can be found in frames."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from livestrain_wire.messages.base import Flip, Known

__all__ = ["GivenValues", "Known", "KnownValues"]

Degrees = Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=1, le=1.5, allow_inf_nan=False)]
Coordinate = Annotated[float, Field(ge=-65536, le=65536, allow_inf_nan=False)]


class KnownValues(BaseModel):
    """What the configuration can say as well as a request; None: not known."""

    rotation_deg: Degrees | None = None
    """From the detector to the scan, after the flip, from axis 0 towards axis 1 [degrees]."""
    flip: Flip | None = None
    """What is done to directions on the detector before: axis 0 (rows) or axis 1 (columns) reversed, or exchanged."""
    pixel_size: Known | None = None
    """A detector pixel, in ``pixel_size_unit``."""
    pixel_size_unit: Literal["mrad", "1/nm"] = "mrad"
    semiangle_mrad: Known | None = None
    """Convergence semi-angle: the disks' radius, which gives the pixel size [mrad]."""
    spacing_nm: Known | None = None
    """Distance of the lattice planes of ``spacing_of``, which gives the pixel size [nm]."""
    spacing_of: Literal["g1", "g2"] = "g1"
    ellipse: tuple[Ratio, Degrees] | None = None
    """Elliptic distortion: long over short axis, and the long one's angle from axis 0 towards axis 1 [degrees]."""
    lattice_shape: tuple[Known, Degrees] | None = None
    """abs(g1) / abs(g2) and the angle between them [degrees] of the unstrained crystal, in any basis: the lattice that
    is found counts as unstrained and tells the elliptic distortion."""
    descan: tuple[Coordinate, Coordinate, Coordinate, Coordinate, Coordinate, Coordinate] | None = None
    """Centre at scan position (0, 0), its change per scan row, its change per scan column, each (row, column) [px]."""


class GivenValues(KnownValues):
    """Values for the plan's calibration; None: leave it as it is. One of a group at most."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ring: tuple[Known, Known] | None = None
    """Inner and outer radius around a halo or a polycrystal's ring, which tells the elliptic distortion [px]."""

    @model_validator(mode="after")
    def _one_source_each(self) -> "GivenValues":
        for names in (("pixel_size", "semiangle_mrad", "spacing_nm"), ("ellipse", "lattice_shape", "ring")):
            if sum(getattr(self, name) is not None for name in names) > 1:
                raise ValueError(f"one of {', '.join(names)} at most is needed")
        if self.ring is not None and self.ring[1] < self.ring[0] + 4:
            raise ValueError(f"a ring needs at least 4 px from its inner to its outer radius, found {self.ring}")
        return self
