"""Summed and largest pattern, kept per block of positions so that a range run twice never counts twice."""

from collections.abc import Sequence

from livestrain_core.sums import sum_dtype
from livestrain_daemon.analyses.protocol import FrameKind, Prepared
from livestrain_daemon.plan import Plan
from livestrain_daemon.scanfolder import Output


class SummedPatterns:
    """The sum and the pixel-wise largest value over the frames of each block."""

    def outputs(self, plan: Plan, kind: FrameKind) -> Sequence[Output]:
        """Two patterns per block."""
        del plan
        return (
            Output("sum", kind.shape, sum_dtype(kind.dtype).name, "counts", per_block=True),
            Output("largest", kind.shape, kind.dtype.name, "counts", per_block=True),
        )

    def prepare(self, plan: Plan, kind: FrameKind) -> Prepared:
        """Nothing to precompute."""
        del plan, kind
        from livestrain_daemon.analyses.adding import adding  # noqa: PLC0415 - only workers wait for numba

        return adding()
