"""Which of the disks of a frame are reported."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DetectOptions:
    """Which disks are reported; the usual ones if nothing is given."""

    score: float = 5.0
    """Contrast over its standard error, at least [1]."""
    relative_intensity: float = 0.0
    """Intensity over that of the brightest disk of the frame, at least [1]."""
    spacing_px: float | None = None
    """Distance between disks, at least; of two disks closer than that the dimmer is dropped. None: 1.6 radii [px]."""
    edge_px: float = 0.0
    """Distance of a disk's centre from the outermost pixels, at least [px]."""
    count: int = 64
    """Disks per frame, at most; the brightest are kept."""
