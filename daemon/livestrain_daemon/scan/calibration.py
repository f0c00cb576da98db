"""When to calibrate a running scan, and on which of its positions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.errors import PlanError
from livestrain_daemon.plan import CalibrationPlan, parse_calibration
from livestrain_daemon.scanfolder import FrameState
from livestrain_wire.messages import ScanStart

GROWTH = 4
"""Each further attempt spreads its positions over so many times more of the scan."""


class CalibrationSchedule:
    """
    Attempts on fixed positions: the first ones, then as many spread over 4, 16, ... times more of the scan.

    Parameters
    ----------
    start
        The scan.
    count
        Positions per attempt.
    """

    def __init__(self, start: ScanStart, count: int) -> None:
        rows, columns = start.scan_shape
        self._positions = rows * columns
        self._count = min(count, self._positions)
        self._explicit = start.order == "explicit"
        self._span = self._count
        self.exhausted = False

    def due(self, states: NDArray[np.uint8], closed: bool) -> tuple[int, ...] | None:
        """
        The positions of the next attempt, once enough of them have come; the attempt then counts as made.

        Parameters
        ----------
        states : (positions,)
            `FrameState` of every position.
        closed
            True when no more frames will come.
        """
        if self.exhausted:
            return None
        stored = states == FrameState.STORED
        wanted = np.arange(self._count) * (self._span // self._count)
        if self._explicit:
            wanted = np.flatnonzero(stored)[: self._count]
            come = len(wanted) == self._count
        else:
            come = bool(stored[wanted].all()) or int(stored.sum()) >= self._span + self._count
        if not come and not closed:
            return None
        chosen = wanted[stored[wanted]]
        before = self._span // self._count
        self._span = min(self._span * GROWTH, self._positions)
        # where the positions would be the same again there is nothing more to try
        self.exhausted = closed or self._explicit or self._span // self._count == before
        return tuple(int(position) for position in chosen)


def nominal_calibration(frame_shape: tuple[int, int], positions: tuple[int, ...], reason: str) -> CalibrationPlan:
    """A calibration for frames that show no disk: the middle of the detector, an eighth of its side."""
    rows, columns = frame_shape
    return CalibrationPlan(
        centre=((rows - 1) / 2, (columns - 1) / 2),
        radius_px=max(1.0, min(rows, columns) / 8),
        edge_px=1.0,
        positions=positions,
        reason=reason,
    )


def calibration_from(
    result: Mapping[str, Any], frame_shape: tuple[int, int], positions: tuple[int, ...]
) -> CalibrationPlan:
    """The plan's form of what a worker's calibration answered; the nominal one where that makes no sense."""
    found = result.get("calibration")
    if found is None:
        return nominal_calibration(frame_shape, positions, str(result.get("reason", "")))
    try:
        return parse_calibration(found)
    except PlanError as error:
        return nominal_calibration(frame_shape, positions, f"it made no sense: {error}")
