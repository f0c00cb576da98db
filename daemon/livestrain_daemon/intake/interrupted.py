"""The scan that the end of an earlier intake interrupted, as far as the frames that go on with it do not tell."""

import time
from dataclasses import dataclass

import numpy as np

from livestrain_daemon.errors import StorageError
from livestrain_daemon.intake.detectors.division import division_of
from livestrain_daemon.intake_config import ScanGeometry
from livestrain_daemon.scanfolder.layout import FRAMES_FILE, FrameState, open_frames
from livestrain_daemon.scanfolder.listed import read_positions
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
        table = read_positions(folder) if layout.start.order == "explicit" else None
    except (StorageError, OSError):
        return None
    if table is not None:
        if not len(table) or table.max() >= layout.positions:
            return None
        states = states[table]
    if (states != FrameState.EXPECTED).all():
        return None
    come = np.flatnonzero(states != FrameState.EXPECTED)
    listed = None if table is None else len(table)
    reached = _frames(layout.start, geometry, listed, int(come[-1]) if len(come) else 0)
    return Interrupted(layout.start, reached, written_ns + int(silence_seconds * 1e9))


def _frames(start: ScanStart, geometry: ScanGeometry, listed: int | None, last: int) -> int:
    """Frames of the series before the last one of a list, or before the row of the last position."""
    division = division_of(geometry, start.scan_shape, listed)
    columns = start.scan_shape[1]
    number = start.scan_id.partition(".")[2].partition("-")[0]
    earlier = max(int(number) - 1, 0) if geometry.repeat and number.isdecimal() else 0
    within = last // columns * (columns + start.flyback_frames) if listed is None else last
    return division.skip + earlier * division.period + within
