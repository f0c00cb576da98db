"""What is known of the intensity inside disks and of the counts; `dynamical` says what is made of it."""

from dataclasses import dataclass

# spatial frequencies of the shells [cycles per radius]
SHELLS = (0.08, 0.16, 0.25, 0.35, 0.5, 0.7, 0.95, 1.25)


@dataclass(frozen=True)
class Contrast:
    """Statistics of the intensity inside disks, and of the counts."""

    amplitude: tuple[float, ...]
    """Root mean square relative contrast of each of the `SHELLS`."""
    roughness: float
    """Root mean square relative contrast from pixel to pixel that no shell describes."""
    electrons_per_count: float = 1.0
    """Variance of a count is its mean divided by this."""
    background: float = 0.3
    """Typical background under the disks [electrons/px]."""
    misfit_px: float = 0.0
    """Root mean square displacement per axis that neither counts nor contrast explain [px]."""


USUAL = Contrast((0.05,) * len(SHELLS), 0.1)
"""Taken where nothing could be learned: moderate contrast, counts that are electrons."""
