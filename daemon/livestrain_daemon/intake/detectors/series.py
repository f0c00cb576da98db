"""A series of a detector, and which of its scans is in progress."""

from dataclasses import dataclass

from livestrain_daemon.intake.detectors.division import Division
from livestrain_daemon.intake.detectors.events import SeriesStart


@dataclass
class Series:
    """The series in progress."""

    start: SeriesStart
    shape: tuple[int, int]
    division: Division
    scan: int | None = None
    """The scan in progress, from 0; None before the first frame of one."""
    scan_id: str = ""
    """Its id."""
    first: int = 0
    """Number of its first frame."""
    before: int = -1
    """The scan before it; -1 if there was none."""
    doubted: int | None = None
    """The scan of the last message, by its number, where more than one before it would have been lost, or it has gone
    back."""
    over: bool = False
    """The scan of an endless series has been ended."""

    @property
    def outlasts_its_scan(self) -> bool:
        """Nobody knows when it ends, or that is far away."""
        frames = self.start.frames
        return frames is None or frames >= 2 * self.division.expected

    def begins(self, scan: int, doubted: int | None) -> bool:
        """
        Whether a frame of another scan begins it.

        Parameters
        ----------
        scan
            By the number of the frame.
        doubted
            The scan of the message before, if it was doubted.
        """
        expected = 0 if self.scan is None else self.scan + 1
        if scan == expected:
            return True
        is_confirmed = doubted is not None and scan in {doubted, doubted + 1}
        if self.scan is None or scan > expected:
            return is_confirmed
        # frames may come late of a scan that the next has followed; where some were left out, wrong numbers did that
        return is_confirmed and self.before <= scan and self.before + 1 < self.scan
