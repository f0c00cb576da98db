"""The axes that strain is given along: the detector's, the scan's, or those of the reference lattice."""

from math import atan2, cos, sin
from typing import Literal

import numpy as np

from livestrain_core.basis import spans_area
from livestrain_core.errors import SingularLattice
from livestrain_core.types import Float64

Flip = Literal["none", "rows", "columns", "transpose"]
"""What is done to (row, column) on the detector before it is turned onto the scan."""

FLIPS: dict[Flip, Float64] = {
    "none": np.array([[1.0, 0.0], [0.0, 1.0]]),
    "rows": np.array([[-1.0, 0.0], [0.0, 1.0]]),
    "columns": np.array([[1.0, 0.0], [0.0, -1.0]]),
    "transpose": np.array([[0.0, 1.0], [1.0, 0.0]]),
}
"""P of each flip."""
DETECTOR_AXES = FLIPS["none"]


def turn(angle_rad: float) -> Float64:
    """The rotation (2, 2) by an angle from axis 0 towards axis 1."""
    c, s = cos(angle_rad), sin(angle_rad)
    return np.array([[c, -s], [s, c]])


def scan_axes(rotation_rad: float, flip: Flip = "none") -> Float64:
    """
    The matrix that takes a direction on the detector to the scan: v_scan = Q P v_detector.

    Parameters
    ----------
    rotation_rad
        Angle of Q, from axis 0 towards axis 1 [rad].
    flip
        P, done first.

    Returns
    -------
    (2, 2)
        Orthogonal.
    """
    return np.asarray(turn(rotation_rad) @ FLIPS[flip], np.float64)


def g1_axes(reference: Float64, distortion: Float64 | None = None) -> Float64:
    """
    The matrix that takes a direction on the detector to axes whose first one is along g1 of the reference.

    Parameters
    ----------
    reference : (2, 2)
        g1 and g2 as rows, each (row, column) [px].
    distortion : (2, 2), optional
        D of a detector whose vectors are D times the true ones; g1 is corrected.

    Returns
    -------
    (2, 2)
        A rotation.

    Raises
    ------
    SingularLattice
        The reference, or the distortion, spans no area.
    """
    g, bend = np.asarray(reference, np.float64), np.eye(2) if distortion is None else np.asarray(distortion)
    if not (spans_area(g) and spans_area(bend)):
        raise SingularLattice(f"the reference {g.tolist()} or the distortion {bend.tolist()} spans no area")
    g1 = np.linalg.solve(bend, g[0])
    return turn(-atan2(g1[1], g1[0]))


def component_matrix(axes: Float64) -> Float64:
    """How (e_xx, e_yy, e_xy, theta) change with the axes, (4, 4)."""
    (a, b), (c, d) = np.asarray(axes, np.float64)
    return np.array(
        [
            [a * a, b * b, 2 * a * b, 0.0],
            [c * c, d * d, 2 * c * d, 0.0],
            [a * c, b * d, a * d + b * c, 0.0],
            [0.0, 0.0, 0.0, round(a * d - b * c)],
        ]
    )
