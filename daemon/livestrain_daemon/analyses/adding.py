"""Adds frames up, for `patterns`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.reduce import block_sum_max
from livestrain_daemon.analyses.protocol import Prepared, Results


def adding() -> Prepared:
    """Sum and largest value of each pixel, on top of those so far."""
    return _Adding()


class _Adding:
    def analyse(self, frames: NDArray[Any], positions: NDArray[np.int64], earlier: Results) -> Results:
        del positions
        total, largest = block_sum_max(frames)
        if earlier:
            total += earlier["sum"]
            np.maximum(largest, earlier["largest"], out=largest)
        return {"sum": total, "largest": largest}
