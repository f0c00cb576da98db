from dataclasses import dataclass

from livestrain_core.errors import NoProbe
from livestrain_core.types import Image, Point, Usable


@dataclass(frozen=True)
class Probe:
    """The probe in the diffraction plane: a disk with a soft edge 1/2 - 1/2 tanh((d - radius) / edge)."""

    radius_px: float
    """Distance at which the disk has fallen to one half [px]."""
    edge_px: float
    """Width of the edge [px]."""


@dataclass(frozen=True)
class MeasuredProbe:
    """A probe and where it was seen."""

    centre: Point
    probe: Probe


def measure_probe(image: Image, usable: Usable | None = None) -> MeasuredProbe:
    """
    Centre, radius and edge of the brightest disk of an image.

    Parameters
    ----------
    image : (rows, columns)
        Vacuum probe, or a mean pattern with a bright-field disk [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at.

    Returns
    -------
    MeasuredProbe
        Sub-pixel centre, radius and edge [px].

    Raises
    ------
    NoProbe
        The image is blank, not finite or has no disk with a dark surrounding.
    """
    raise NoProbe("not measured")
