"""Tracks disks and fits lattices, for `disks`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.lattice import Lattice
from livestrain_core.seek import find_lattices
from livestrain_core.target import Target, miller
from livestrain_core.types import Usable
from livestrain_daemon.analyses.protocol import FrameKind, Prepared, Results
from livestrain_daemon.errors import PlanError
from livestrain_daemon.plan import CalibrationPlan, Plan
from livestrain_daemon.unusable import pixels_outside


def tracking(plan: Plan, kind: FrameKind) -> Prepared:
    """The plan's lattice, looked for in frames of a kind."""
    calibration = plan.calibration
    target = Target(
        lattice_of(calibration),
        miller(np.asarray(calibration.hk)),
        calibration.probe,
        calibration.search_px,
        estimator=plan.estimator,
        contrast=calibration.contrast.contrast() if calibration.contrast else None,
        saturation=plan.corrections.saturation_seen,
    )
    return _Tracking(_trackable(plan, kind), target)


def _trackable(plan: Plan, kind: FrameKind) -> Usable | None:
    """Pixels that are usable and neither hot nor dead; None where that is all of them."""
    without = (*plan.unusable, *plan.calibration.broken)
    return pixels_outside(without, kind.shape) if without else None


def lattice_of(calibration: CalibrationPlan) -> Lattice:
    """
    The lattice of a calibration.

    Raises
    ------
    PlanError
        If it has none.
    """
    if calibration.g1 is None or calibration.g2 is None:
        raise PlanError(f"stages: disks need a lattice, and the calibration has none ({calibration.reason})")
    return Lattice(calibration.centre, calibration.g1, calibration.g2)


@dataclass(frozen=True)
class _Tracking:
    usable: Usable | None
    target: Target

    def analyse(self, frames: NDArray[Any], positions: NDArray[np.int64], earlier: Results) -> Results:
        del positions, earlier
        sought = find_lattices(frames, self.usable, self.target)
        disks, fit = sought.disks, sought.fit
        return {
            "disk_position": disks.position,
            "disk_intensity": disks.intensity,
            "disk_score": disks.score,
            "centre": fit.centre,
            "g1": fit.g1,
            "g2": fit.g2,
            "covariance": fit.covariance,
            "noise_covariance": fit.noise_covariance,
            "residual": fit.residual_px,
            "disks_used": fit.disks_used,
            "reason": fit.reason,
            "tracking": sought.tracking,
        }
