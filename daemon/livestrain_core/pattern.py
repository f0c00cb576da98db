"""A probe that is no flat disk, as an image."""

from dataclasses import dataclass

import numpy as np

from livestrain_core.types import Float64, Point

# a pattern reaches at most so far from its middle pixel [px]
LARGEST_HALF = 128


@dataclass(frozen=True)
class Pattern:
    """Image of the probe, of mean 1 inside its radius and nothing outside; hashable, so that filters can be kept."""

    pixels: bytes
    """(2 half + 1, 2 half + 1) float32, little-endian, row by row."""
    half: int
    """Pixels on each side of the middle one."""
    offset: Point
    """Centre of the probe from the middle pixel (row, column) [px]."""

    def image(self) -> Float64:
        """The pixels (2 half + 1, 2 half + 1)."""
        side = 2 * self.half + 1
        return np.frombuffer(self.pixels, "<f4").reshape(side, side).astype(np.float64)
