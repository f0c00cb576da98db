"""Summed and largest pattern, kept per block of positions so that a range run twice never counts twice."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.reduce import block_sum_max
from livestrain_core.sums import sum_dtype
from livestrain_daemon.analyses.protocol import FrameKind, Prepared, Results
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
        return _Prepared()


class _Prepared:
    def analyse(self, frames: NDArray[Any], positions: NDArray[np.int64], earlier: Results) -> Results:
        del positions
        total, largest = block_sum_max(frames)
        if earlier:
            total += earlier["sum"]
            np.maximum(largest, earlier["largest"], out=largest)
        return {"sum": total, "largest": largest}
