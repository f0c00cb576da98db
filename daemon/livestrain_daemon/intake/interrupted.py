"""The scan that the end of an earlier intake interrupted, as far as the frames that go on with it do not tell."""

import time
from dataclasses import dataclass

import numpy as np

from livestrain_daemon.errors import StorageError
from livestrain_daemon.intake.detectors.division import division_of
from livestrain_daemon.intake_config import ScanGeometry
from livestrain_daemon.scanfolder.layout import FRAMES_FILE, FrameState, open_frames
from livestrain_daemon.scanfolder.reader import FrameReader
from livestrain_daemon.scanfolder.spool import Spool
from livestrain_wire.messages import ScanStart


@dataclass(frozen=True, slots=True)
class Interrupted:
    """What is known of it."""

    start: ScanStart
    reached: int
    """So many frames of its series had come, at least, those between its rows and before it included."""
    until_ns: int
    """From then on silence has ended it (UTC)."""

    @property
    def lasts(self) -> bool:
        """It may still go on."""
        return time.time_ns() < self.until_ns


def interrupted_scan(spool: Spool, geometry: ScanGeometry, silence_seconds: float) -> Interrupted | None:
    """
    The unfinished scan of a spool, if there is one that can be read and expects frames.

    Parameters
    ----------
    spool
        Where scans are.
    geometry
        How frames run over them.
    silence_seconds
        A scan that is not heard of for so long has ended [s].
    """
    folder = spool.unfinished()
    if folder is None:
        return None
    try:
        # the ledger lies there, and is written with every frame
        written_ns = (folder / FRAMES_FILE).stat().st_mtime_ns
        layout = open_frames(folder)
        with FrameReader(layout) as reader:
            states = reader.ledger()
    except (StorageError, OSError):
        return None
    if (states != FrameState.EXPECTED).all():
        return None
    come = np.flatnonzero(states != FrameState.EXPECTED)
    reached = _frames(layout.start, geometry, int(come[-1]) if len(come) else 0)
    return Interrupted(layout.start, reached, written_ns + int(silence_seconds * 1e9))


def _frames(start: ScanStart, geometry: ScanGeometry, position: int) -> int:
    """Frames of the series before the row of a position."""
    division = division_of(geometry, start.scan_shape, None)
    columns = start.scan_shape[1]
    number = start.scan_id.partition(".")[2].partition("-")[0]
    earlier = max(int(number) - 1, 0) if geometry.repeat and number.isdecimal() else 0
    # behind a list of positions nobody looks: it may be in any order
    rows = 0 if start.order == "explicit" else position // columns
    return division.skip + earlier * division.period + rows * (columns + start.flyback_frames)
