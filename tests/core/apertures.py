"""A patterned aperture, drawn without the code under test."""

import numpy as np

from core.patterns import Float64


def draw_bullseye(shape: tuple[int, int], at: Float64, radius: float, edge: float) -> Float64:
    """Two dark rings and three open spokes in a disk, averaged over 5 x 5 points of each pixel."""
    r, c = np.indices(shape)
    image = np.zeros(shape)
    for dr in np.arange(-2, 3) / 5:
        for dc in np.arange(-2, 3) / 5:
            y, x = r + dr - at[0], c + dc - at[1]
            distance = np.hypot(y, x)
            opening = 1.0 / (1.0 + np.exp(2.0 * (distance - radius) / edge))
            rings = 0.5 + 0.5 * np.tanh(2.5 * np.cos(2 * np.pi * 2.0 * distance / radius))
            spokes = 0.5 + 0.5 * np.tanh(4.0 * (np.cos(3 * np.arctan2(x, y)) - 0.4))
            image += opening * (0.05 + 0.95 * np.maximum(rings, spokes)) / 25
    return image
