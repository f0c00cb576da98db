"""Disks wherever they are in a frame, without a lattice."""

from collections.abc import Sequence

from livestrain_daemon.analyses.protocol import FrameKind, Prepared
from livestrain_daemon.plan import Plan
from livestrain_daemon.scanfolder import Output


class DetectedDisks:
    """Every disk of a frame, the brightest first."""

    def outputs(self, plan: Plan, kind: FrameKind) -> Sequence[Output]:
        """A list of disks, filled up with NaN, and two maps of what is in it."""
        del kind
        count = plan.detect.count
        return (
            Output("peak_position", (count, 2), "float32", "px", description="detected disks (row, column)"),
            Output("peak_intensity", (count,), "float32", "counts", description="above the background"),
            Output("peak_score", (count,), "float32", "", description="contrast over its standard error"),
            Output("peak_count", (), "uint16", "", description="disks detected"),
            Output("peak_total", (), "float32", "counts", description="intensity of all disks but the brightest"),
        )

    def prepare(self, plan: Plan, kind: FrameKind) -> Prepared:
        """The plan's probe, and the pixels that may be looked at."""
        from livestrain_daemon.analyses.detecting import detecting  # noqa: PLC0415 - only workers wait for numba

        return detecting(plan, kind)
