"""Where the lattice goes over a scan: strain, rotation and descan."""

from math import radians

import numpy as np

from livestrain_simulator.cases.case import Case, Float64

STRAIN, DESCAN = 11, 12
"""Streams of random numbers."""
WANDER_PX = 0.05
"""Scatter of the centre from frame to frame [px]."""


def strain_field(case: Case) -> Float64:
    """
    The strain of each scan position.

    Parameters
    ----------
    case
        Gives the kind of field and its largest value.

    Returns
    -------
    (scan_rows, scan_columns, 4)
        e00, e11, e01 [1] and theta [rad].
    """
    random = case.generator(STRAIN)
    smooth = np.stack([_smooth(case, random) for _ in range(4)], axis=-1)
    column = np.linspace(-1, 1, case.scan_shape[1])[None, :, None] * np.ones((case.scan_shape[0], 1, 1))
    if case.strain == "none":
        return np.zeros_like(smooth)
    if case.strain == "step":
        jump = random.choice([-0.5, 0.5], size=4) * np.array([1.0, 1.0, 0.5, 0.5])
        return np.asarray(case.largest * (jump * np.sign(column + 0.05) + 0.1 * smooth))
    if case.strain == "rotation":
        small = np.array([0.005, 0.005, 0.005, 0.0])
        return np.asarray(small * smooth + case.largest * column * np.array([0.0, 0.0, 0.0, 1.0]))
    return case.largest * smooth


def deformation(field: Float64) -> Float64:
    """F = R(theta) (I + E) at each position, (..., 2, 2)."""
    e00, e11, e01, theta = np.moveaxis(field, -1, 0)
    cosine, sine = np.cos(theta), np.sin(theta)
    turn = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    stretch = np.stack([np.stack([1 + e00, e01], -1), np.stack([e01, 1 + e11], -1)], -2)
    return np.asarray(turn @ stretch)


def strain_of(columns: Float64, reference: Float64) -> Float64:
    """
    Strain and rotation of lattices by exact polar decomposition.

    Parameters
    ----------
    columns : (..., 2, 2)
        G, with g1 and g2 as columns [px].
    reference : (2, 2)
        The same, unstrained [px].

    Returns
    -------
    (..., 4)
        e00, e11, e01 [1] and theta [rad].
    """
    f = np.swapaxes(np.linalg.inv(columns @ np.linalg.inv(reference)), -1, -2)
    u, s, v = np.linalg.svd(f)
    stretch = np.swapaxes(v, -1, -2) @ (s[..., None] * v)
    turn = u @ v
    theta = np.arctan2(turn[..., 1, 0], turn[..., 0, 0])
    return np.stack([stretch[..., 0, 0] - 1, stretch[..., 1, 1] - 1, stretch[..., 0, 1], theta], axis=-1)


def centres(case: Case) -> Float64:
    """Centre of the pattern at each position: a plane and a little scatter, (scan_rows, scan_columns, 2) [px]."""
    random = case.generator(DESCAN)
    rows, columns = (np.linspace(-0.5, 0.5, side) if side > 1 else np.zeros(1) for side in case.scan_shape)
    down, along = case.descan_px * random.uniform(-1, 1, (2, 2))
    plane = rows[:, None, None] * down + columns[None, :, None] * along
    offset = random.uniform(-0.5, 0.5, 2)
    scatter = WANDER_PX * random.standard_normal((*case.scan_shape, 2)) * (case.descan_px > 0)
    return np.asarray(case.middle + offset + plane + scatter)


def _smooth(case: Case, random: np.random.Generator) -> Float64:
    """A smooth field over the scan with a largest absolute value of 1."""
    row, column = np.meshgrid(*(np.linspace(-1, 1, side) for side in case.scan_shape), indexing="ij")
    total = np.zeros(case.scan_shape)
    for _ in range(3):
        angle, phase = radians(random.uniform(0, 360)), random.uniform(0, 2 * np.pi)
        wave = random.uniform(0.8, 2.6) * (row * np.cos(angle) + column * np.sin(angle))
        total += random.uniform(0.3, 1.0) * np.sin(wave + phase)
    return np.asarray(total / max(float(np.abs(total).max()), 1e-12))
