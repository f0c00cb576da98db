"""What a reference means under a plan: its axes and the detector's distortion as numbers."""

import numpy as np
from numpy.typing import NDArray

from livestrain_core.axes import DETECTOR_AXES, g1_axes, scan_axes
from livestrain_core.ellipse import distortion_matrix
from livestrain_core.errors import SingularLattice
from livestrain_daemon.geometry import EllipsePlan, ScanAxesPlan
from livestrain_daemon.plan import CalibrationPlan
from livestrain_wire.messages import IDENTITY, Matrix, ReferenceInfo


def resolved(info: ReferenceInfo, calibration: CalibrationPlan) -> ReferenceInfo:
    """
    A reference with its axes and the distortion as matrices.

    Parameters
    ----------
    info
        Vectors and the name of the axes.
    calibration
        Of the plan that results are made under.

    Returns
    -------
    ReferenceInfo
        Along the detector, if it is the scan's axes that are wanted and these are not known.
    """
    bend = None if calibration.ellipse is None else distortion(calibration.ellipse)
    matrix: NDArray[np.float64] | None = None
    if info.axes == "scan" and calibration.scan_axes is not None:
        matrix = to_scan(calibration.scan_axes)
    elif info.axes == "g1":
        try:
            matrix = g1_axes(np.array(info.vectors).reshape(2, 2), bend)
        except SingularLattice:
            matrix = None
    return info.model_copy(
        update={
            "axes": "detector" if matrix is None else info.axes,
            "to_axes": _listed(DETECTOR_AXES if matrix is None else matrix),
            "distortion": IDENTITY if bend is None else _listed(bend),
        }
    )


def distortion(ellipse: EllipsePlan) -> NDArray[np.float64]:
    """D (2, 2): measured vectors are D times the true ones."""
    return distortion_matrix(ellipse.ratio, float(np.radians(ellipse.angle_deg)))


def to_scan(axes: ScanAxesPlan) -> NDArray[np.float64]:
    """Q P (2, 2): what takes a direction on the detector to the scan."""
    return scan_axes(float(np.radians(axes.rotation_deg)), axes.flip)


def _listed(matrix: NDArray[np.float64]) -> Matrix:
    a, b, c, d = (float(value) for value in matrix.ravel())
    return a, b, c, d
