"""Options for what is known of a scan beside its frames."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Turned(StrEnum):
    """Flips by the names that the daemon knows."""

    none = "none"
    rows = "rows"
    columns = "columns"
    transpose = "transpose"


class PixelUnit(StrEnum):
    """Units of a pixel."""

    mrad = "mrad"
    per_nm = "1/nm"


class VectorName(StrEnum):
    """Which lattice vector a spacing belongs to."""

    g1 = "g1"
    g2 = "g2"


Pair = tuple[float, float] | None
Six = tuple[float, float, float, float, float, float] | None
Image = Path | None

VacuumProbe = Annotated[
    Image, typer.Option(exists=True, dir_okay=False, help="A .npy file: the probe without a specimen.")
]
Rotation = Annotated[
    float | None, typer.Option(help="From detector to scan, axis 0 towards axis 1, after the flip [degrees].")
]
Flip = Annotated[Turned | None, typer.Option(help="What is done to directions on the detector before.")]
PixelSize = Annotated[float | None, typer.Option(help="A detector pixel, in --unit.")]
Unit = Annotated[PixelUnit, typer.Option(help="Unit of the pixel size.")]
Semiangle = Annotated[float | None, typer.Option(help="Convergence semi-angle: gives the pixel size [mrad].")]
Spacing = Annotated[float | None, typer.Option(help="Spacing of lattice planes: gives the pixel size [nm].")]
SpacingOf = Annotated[VectorName, typer.Option(help="The lattice vector that the spacing belongs to.")]
Ellipse = Annotated[Pair, typer.Option(help="Distortion: long over short axis, and angle of the long [degrees].")]
KnownLattice = Annotated[
    Pair, typer.Option(help="|g1| / |g2| and angle [degrees] of the unstrained crystal: tells the distortion.")
]
Ring = Annotated[Pair, typer.Option(help="Inner and outer radius around a ring [px], which tells the distortion.")]
RingImage = Annotated[
    Image, typer.Option(exists=True, dir_okay=False, help="A .npy file with the ring; else the scan's frames.")
]
Descan = Annotated[
    Six, typer.Option(help="Centre at position (0, 0), change per scan row, per scan column, each row, column [px].")
]
