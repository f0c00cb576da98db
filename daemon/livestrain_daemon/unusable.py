"""Pixels that must not be looked at, as runs over the flat frame: how a plan has them."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from livestrain_daemon.scanfolder.runs import mask_of, runs_of
from livestrain_wire.messages import Run


def pixels_outside(runs: Iterable[Run], frame_shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """(rows, columns), false where a run over the flat frame covers a pixel."""
    covered: npt.NDArray[np.bool_] = mask_of(runs, frame_shape[0] * frame_shape[1])
    return ~covered.reshape(frame_shape)


def unusable_runs(usable: npt.NDArray[np.bool_]) -> tuple[Run, ...]:
    """The pixels that are not usable, as (first, count) over the flat frame."""
    return tuple(runs_of(~usable.ravel()))
