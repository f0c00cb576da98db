"""The shape of a scan from what is configured and what a detector announces."""

from math import isqrt

from livestrain_daemon.intake.detectors.division import Division
from livestrain_daemon.intake.detectors.events import SeriesStart
from livestrain_daemon.intake_config import ScanGeometry


def scan_shape(geometry: ScanGeometry, start: SeriesStart) -> tuple[int, int] | None:
    """
    Positions of a scan (rows, columns).

    Parameters
    ----------
    geometry
        As configured.
    start
        What the detector announces.

    Returns
    -------
    (rows, columns) or None
        None if nobody knows.
    """
    if geometry.shape or start.scan_shape:
        return geometry.shape or start.scan_shape
    flyback = geometry.flyback_frames
    frames = (start.frames or 0) - geometry.skip_frames - geometry.flyback_frames_per_scan
    # how many scans there are, nobody knows
    if frames < 1 or geometry.repeat:
        return None
    # side (side + flyback) = frames; what does not come out even gets rows enough for all, and is said
    side = max((isqrt(flyback * flyback + 4 * frames) - flyback) // 2, 1)
    return -(-frames // (side + flyback)), side


def wrong_count(geometry: ScanGeometry, start: SeriesStart, shape: tuple[int, int], division: Division) -> str:
    """
    What is wrong with the number of frames that is announced; empty if nothing is.

    Parameters
    ----------
    geometry
        As configured.
    start
        What the detector announces.
    shape
        Of a scan (rows, columns).
    division
        Of the series.
    """
    announced, (rows, columns) = start.frames, shape
    if announced is None:
        return ""
    guessed = not (geometry.shape or start.scan_shape)
    if guessed and rows != columns:
        return (
            f"expected frames for a square scan, found {announced}: taken for {rows} x {columns} positions; "
            "intake.scan.shape says it better"
        )
    if division.fits(announced, spare=geometry.flyback_frames):
        return ""
    before = f"{division.skip} at the start" if division.skip else ""
    flyback = f"{geometry.flyback_frames} flyback frames a row" if geometry.flyback_frames else ""
    after = f"{division.after} flyback frames a scan" if division.after else ""
    extra = " and ".join(part for part in (flyback, after, before) if part)
    skipped = f"{division.skip} and " if division.skip else ""
    many = f"{skipped}whole scans of {division.period}" if division.repeat else str(division.expected)
    return (
        f"expected {many} frames for {rows} x {columns} positions{' with ' if extra else ''}{extra}, "
        f"found {announced} announced"
    )
