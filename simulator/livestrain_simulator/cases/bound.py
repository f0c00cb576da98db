"""How well a lattice can be measured at all: the Cramer-Rao bound of a case."""

import numpy as np

from livestrain_simulator.cases.case import Float64
from livestrain_simulator.cases.fields import strain_of
from livestrain_simulator.cases.render import Pattern, Rendering, on_frame

STEP_PX = 0.02
"""Of the numerical derivatives."""
NAMES = ("c0", "c1", "e00", "e11", "e01", "theta")


def bound(rendering: Rendering, modes: int, positions: int = 8) -> dict[str, float]:
    """
    Standard deviations below which no unbiased estimate of the lattice can be.

    Parameters
    ----------
    rendering
        The case, noise or not; its dose counts.
    modes
        Unknown intensity terms of each disk: 0 none, 1 its mean, 3 also a slope, 6 also quadratic, 10 also cubic.
    positions
        Scan positions to average over.

    Returns
    -------
    dict
        c0, c1 [px], e00, e11, e01 [1] and theta [rad]: root mean square over positions.

    Notes
    -----
    The Fisher information of Poisson counts is the sum over usable pixels of d mu/d a d mu/d b / mu. Each disk's
    position has its own, from which what its unknown intensity terms could explain is projected out (Schur
    complement); centre, g1 and g2 collect it from all disks. Disks that overlap are taken as independent; counts
    outside a disk, and its radius and edge, as known. Strain follows by linear propagation.
    """
    chosen = np.unique(np.linspace(0, len(rendering.positions) - 1, positions).round().astype(int))
    variances = np.array([np.diag(_covariance(rendering, int(i), modes)) for i in chosen])
    deviations = np.sqrt(variances.mean(axis=0))
    return {name: float(value) for name, value in zip(NAMES, deviations, strict=True)}


def lattice_information(rendering: Rendering, position: int, modes: int) -> Float64:
    """Fisher information of (centre, g1, g2) at a flat position, (6, 6) [1/px^2]."""
    total = np.zeros((6, 6))
    expected = rendering.expected(position)
    pattern = rendering.pattern(position)
    for j, (h, k) in enumerate(rendering.hk):
        share = _disk_information(rendering, pattern, expected, j, modes)
        leverage = np.array([1.0, h, k])
        total += np.kron(np.outer(leverage, leverage), share)
    return total


def _covariance(rendering: Rendering, position: int, modes: int) -> Float64:
    """Of centre, e00, e11, e01, theta."""
    covariance = np.linalg.inv(lattice_information(rendering, position, modes))
    columns = rendering.columns.reshape(-1, 2, 2)[position]
    jacobian = np.zeros((6, 6))
    jacobian[0, 0] = jacobian[1, 1] = 1.0
    for vector in range(2):
        for axis in range(2):
            step = np.zeros((2, 2))
            step[axis, vector] = 1e-4
            ends = [strain_of(columns + sign * step, rendering.reference) for sign in (1, -1)]
            jacobian[2:, 2 + 2 * vector + axis] = (ends[0] - ends[1]) / 2e-4
    return np.asarray(jacobian @ covariance @ jacobian.T)


def _disk_information(rendering: Rendering, pattern: Pattern, expected: Float64, j: int, modes: int) -> Float64:
    """Of the position of one disk, its unknown intensity terms projected out, (2, 2)."""
    electrons = pattern.electrons[j]
    patch, corner, total = rendering.disk(pattern, j)
    scale = electrons / total
    slopes = []
    for axis in range(2):
        ends = [rendering.disk(pattern, j, (s, 0.0) if axis == 0 else (0.0, s))[0] for s in (STEP_PX, -STEP_PX)]
        slopes.append(scale * (ends[0] - ends[1]) / (2 * STEP_PX))
    terms = [scale * _flat_disk(rendering, pattern, j) * mode for mode in _monomials(rendering, pattern, j, modes)]
    seen = on_frame(rendering.usable, corner, patch.shape)
    inside = on_frame(np.ones(expected.shape, np.bool_), corner, patch.shape)
    mean = np.ones(patch.shape)
    first = np.maximum(corner.astype(int), 0)
    last = corner.astype(int) + np.array(patch.shape)
    mean[inside] = expected[first[0] : last[0], first[1] : last[1]].ravel()
    columns = np.stack([slope[seen] for slope in (*slopes, *terms)], axis=1)
    information = columns.T @ (columns / mean[seen][:, None])
    if not modes:
        return np.asarray(information)
    cross = information[:2, 2:]
    return np.asarray(information[:2, :2] - cross @ np.linalg.pinv(information[2:, 2:], rcond=1e-12) @ cross.T)


def _flat_disk(rendering: Rendering, pattern: Pattern, j: int) -> Float64:
    """The disk without contrast: what a term of intensity is multiplied with."""
    look = type(pattern.look)(
        np.zeros_like(pattern.look.waves), np.zeros_like(pattern.look.lines), np.zeros_like(pattern.look.rocking)
    )
    return rendering.disk(Pattern(pattern.positions, pattern.electrons, look), j)[0]


def _monomials(rendering: Rendering, pattern: Pattern, j: int, modes: int) -> list[Float64]:
    """The first terms of a polynomial in the disk's coordinates, lowest degrees first."""
    patch, corner, _ = rendering.disk(pattern, j)
    at = (pattern.positions[j] - corner) / rendering.case.radius_px
    u, v = np.meshgrid(*(np.arange(side) / rendering.case.radius_px for side in patch.shape), indexing="ij")
    u, v = u - at[0], v - at[1]
    powers = [(degree - b, b) for degree in range(4) for b in range(degree + 1)]
    return [u**a * v**b for a, b in powers[:modes]]
