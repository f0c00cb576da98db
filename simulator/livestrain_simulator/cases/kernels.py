"""The compiled inner loop that draws one disk."""

from math import cos, exp, hypot, pi, sin, sqrt, tanh

import numpy as np

from livestrain_simulator.cases.case import Float64
from livestrain_simulator.kernels import kernel

OVERSAMPLING = 4
"""Points along each side of a pixel over which a disk is averaged."""
EDGE_WIDTHS = 8.0
"""A tanh edge has come to 1e-7 of its end after so many widths."""
RINGS, SPOKES = 2.5, 5
"""Of a bullseye aperture."""


@kernel
def draw_disk(
    patch: Float64,
    at: Float64,
    optics: Float64,
    waves: Float64,
    lines: Float64,
    rocking: Float64,
) -> float:
    """
    A disk with its contrast, each pixel averaged over its area.

    Parameters
    ----------
    patch : (rows, columns)
        Receives the intensity, 1 inside a flat disk.
    at : (2,)
        Centre of the disk in the patch (row, column) [px].
    optics : (4,)
        Radius [px], edge [px], nonuniformity, and above zero for a bullseye aperture.
    waves, lines, rocking
        The rows of a `Look` that describe this disk.

    Returns
    -------
    float
        Sum of the patch.
    """
    radius, edge, strength, bullseye = optics[0], optics[1], optics[2], optics[3] > 0
    rows, columns = patch.shape
    part = 1.0 / OVERSAMPLING
    # where an edge is over is known per pixel, whose corner is at most 0.71 px from its middle
    flat, nothing = radius - EDGE_WIDTHS * edge - 0.71, radius + EDGE_WIDTHS * edge + 0.71
    total = 0.0
    for r in range(rows):
        for c in range(columns):
            value = 0.0
            distance = hypot(r - at[0], c - at[1])
            if distance < nothing:
                for a in range(OVERSAMPLING):
                    y = r - at[0] + (a + 0.5) * part - 0.5
                    for b in range(OVERSAMPLING):
                        x = c - at[1] + (b + 0.5) * part - 0.5
                        one = 1.0 if distance < flat else 1.0 / (1.0 + exp(2.0 * (hypot(y, x) - radius) / edge))
                        if strength > 0:
                            one *= _contrast(y / radius, x / radius, strength, waves, lines, rocking)
                        if bullseye:
                            one *= _bullseye(y / radius, x / radius, radius)
                        value += one
            patch[r, c] = value * part * part
            total += patch[r, c]
    return total


@kernel
def _contrast(u: float, v: float, strength: float, waves: Float64, lines: Float64, rocking: Float64) -> float:
    value = 0.0
    for i in range(len(waves)):
        if waves[i, 3] != 0.0:
            value += waves[i, 3] * cos(waves[i, 0] * u + waves[i, 1] * v + waves[i, 2])
    for i in range(len(lines)):
        if lines[i, 4] != 0.0:
            across = (lines[i, 0] * u + lines[i, 1] * v - lines[i, 2]) / lines[i, 3]
            value += lines[i, 4] * (tanh(across) if lines[i, 5] > 0 else -exp(-0.5 * across * across))
    if rocking[4] != 0.0:
        # two beams: the diffracted one has sin^2(pi t sqrt(1 + w^2)) / (1 + w^2), the direct one what is left
        square = 1.0 + (rocking[0] * u + rocking[1] * v + rocking[2]) ** 2
        value += rocking[4] * (2.0 * sin(pi * rocking[3] * sqrt(square)) ** 2 / square - 0.6)
    return max(1.0 + strength * value, 0.02)


@kernel
def _bullseye(u: float, v: float, radius: float) -> float:
    """Transmission of rings and spokes, with edges about a pixel wide."""
    distance = hypot(u, v)
    soft = max(pi * RINGS / radius, 0.15)
    ring = 0.5 + 0.5 * tanh(cos(2 * pi * RINGS * distance) / soft)
    angle = np.arctan2(v, u)
    spoke = 0.5 + 0.5 * tanh((cos(SPOKES * angle) - 0.6) * max(distance, 0.05) / soft * 2.0)
    return 0.05 + 0.95 * max(ring, spoke if distance > 0.2 else 0.0)
