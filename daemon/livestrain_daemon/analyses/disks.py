"""Bragg disks and the lattice that fits them."""

from collections.abc import Sequence

from livestrain_daemon.analyses.protocol import FrameKind, Prepared
from livestrain_daemon.plan import Plan
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
        from livestrain_daemon.analyses.tracking import tracking  # noqa: PLC0415 - only workers wait for numba

        return tracking(plan, kind)
