"""Bragg disks and the lattice that fits them."""

from collections.abc import Sequence
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
from livestrain_daemon.plan import CalibrationPlan, Plan, pixels_outside
from livestrain_daemon.scanfolder import Output


class TrackedDisks:
    """The plan's disks looked for near their places, and a weighted robust lattice fit."""

    def outputs(self, plan: Plan, kind: FrameKind) -> Sequence[Output]:
        """Disks, lattice vectors with their covariance, and how good the fit is."""
        del kind
        disks = len(plan.calibration.hk)
        return (
            Output("disk_position", (disks, 2), "float32", "px", description="place of every disk (row, column)"),
            Output("disk_intensity", (disks,), "float32", "counts", description="above the background"),
            Output(
                "disk_score", (disks,), "float32", "1/px", description="1 over the expected standard error of the place"
            ),
            Output("centre", (2,), "float64", "px", description="origin of the lattice (row, column)"),
            Output("g1", (2,), "float64", "px", description="first lattice vector (row, column)"),
            Output("g2", (2,), "float64", "px", description="second lattice vector (row, column)"),
            Output("covariance", (21,), "float32", "px^2", description="upper triangle over centre, g1, g2"),
            Output("noise_covariance", (21,), "float32", "px^2", description="the part of it that counting causes"),
            Output(
                "residual",
                (),
                "float32",
                "px",
                description="weighted rms distance per axis of the disks from the lattice",
            ),
            Output("disks_used", (), "uint16", "", description="disks in the fit"),
            Output("reason", (), "uint8", "", "categorical", description="why there is no fit; 0 where there is one"),
            Output("tracking", (), "uint8", "", "categorical", description="0 tracked, 1 found again, 2 not found"),
        )

    def prepare(self, plan: Plan, kind: FrameKind) -> Prepared:
        """The plan's lattice as the tracking wants it."""
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
        return _Prepared(_trackable(plan, kind), target)


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
class _Prepared:
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
