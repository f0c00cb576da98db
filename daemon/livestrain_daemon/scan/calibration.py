"""When to calibrate a running scan, and on which of its positions."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.errors import PlanError
from livestrain_daemon.plan import CalibrationPlan, parse_calibration
from livestrain_daemon.scanfolder import FrameState
from livestrain_wire.messages import GivenValues, ScanStart

PROPOSALS = 32
"""Proposals of a scan that are remembered."""
GROWTH = 4
"""Each further attempt spreads its positions over so many times more of the scan."""
MOST_FRAMES = 1024
"""Frames that a worker calibrates on at most: it holds them all in memory."""
MOST_BYTES = 1 << 30
"""The same, as they are stored [bytes]."""
NOTHING = GivenValues()
"""Nothing is known beside what the frames tell."""


@dataclass(frozen=True)
class Wish:
    """A calibration that is wanted."""

    positions: tuple[int, ...]
    """Flat positions whose frames are looked at."""
    source: Literal["automatic", "command"] = "automatic"
    vacuum_probe: NDArray[np.float32] | None = None
    """(rows, columns) [counts]"""
    keep: bool = False
    """Leave what frames can tell as it is in the plan."""
    given: GivenValues = NOTHING
    """What is known beside."""
    ring_image: NDArray[np.float32] | None = None
    """(rows, columns) the pattern with the ring that ``given`` names; None: the mean of the frames [counts]."""

    def payload(self) -> bytes:
        """The images, one after the other."""
        images = (image for image in (self.vacuum_probe, self.ring_image) if image is not None)
        return b"".join(np.ascontiguousarray(image, "<f4").tobytes() for image in images)


class Proposals:
    """Calibrations that were proposed and may be applied, each once."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[CalibrationPlan, int]] = OrderedDict()
        self._applied: dict[str, int] = {}

    def add(self, calibration: CalibrationPlan, based_on: int) -> str:
        """
        The name of a proposal; the same one for the same calibration.

        Parameters
        ----------
        calibration
            What is proposed.
        based_on
            The plan revision that it would change.
        """
        name = blake2b(f"{based_on} {calibration.model_dump_json()}".encode(), digest_size=8).hexdigest()
        self._known[name] = (calibration, based_on)
        self._known.move_to_end(name)
        while len(self._known) > PROPOSALS:
            self._applied.pop(self._known.popitem(last=False)[0], None)
        return name

    def get(self, name: str) -> tuple[CalibrationPlan, int] | None:
        """A proposal and the revision that it would change; None if there is none of this name."""
        return self._known.get(name)

    def made(self, name: str) -> int | None:
        """The revision that has been made of a proposal."""
        return self._applied.get(name)

    def note_applied(self, name: str, revision: int) -> None:
        """A revision has been made of it."""
        self._applied[name] = revision


def most_frames(start: ScanStart) -> int:
    """So many frames of a scan may be calibrated on at once."""
    rows, columns = start.frame_shape
    return max(1, min(MOST_FRAMES, MOST_BYTES // (rows * columns * np.dtype(start.dtype).itemsize)))


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
        self._count = min(count, self._positions, most_frames(start))
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
        nominal=True,
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
