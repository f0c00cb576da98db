"""Which scan of a series a frame belongs to, by its number alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from livestrain_daemon.intake_config import ScanGeometry


class Place(Enum):
    """Where a frame of a series belongs."""

    SCAN = "scan"
    """Into a scan, though perhaps between two of its rows."""
    OUTSIDE = "outside"
    """Before the first scan or after the last row of one, as the geometry says."""
    BEYOND = "beyond"
    """After the last scan that the series has."""


class Part(NamedTuple):
    """Consecutive frames that belong to the same place."""

    place: Place
    scan: int
    """Number of the scan that they belong to, or come after, from 0."""
    first: int
    """Number of the first of them within the scan."""
    begin: int
    """The same within the run that was asked for."""
    frames: int


@dataclass(frozen=True, slots=True)
class Division:
    """
    How a series is divided into scans.

    Parameters
    ----------
    frames
        Of a scan, those between its rows included.
    after
        Frames after each scan that belong nowhere.
    skip
        Frames at the start of the series that belong nowhere.
    repeat
        Scan follows scan; else there is one.
    """

    frames: int
    after: int = 0
    skip: int = 0
    repeat: bool = False

    @property
    def period(self) -> int:
        """Frames from the first of a scan to the first of the next."""
        return self.frames + self.after

    @property
    def expected(self) -> int:
        """Frames of a series that has one scan."""
        return self.skip + self.period

    def parts(self, first: int, count: int) -> Iterator[Part]:
        """Where frames of the series belong, ``count`` from number ``first`` on, in their order."""
        begin = 0
        while begin < count:
            part = self._part(first + begin, begin, count - begin)
            yield part
            begin += part.frames

    def _part(self, number: int, begin: int, left: int) -> Part:
        """The longest part from a frame on."""
        if number < self.skip:
            return Part(Place.OUTSIDE, 0, 0, begin, min(left, self.skip - number))
        scan, within = divmod(number - self.skip, self.period)
        if scan and not self.repeat:
            return Part(Place.BEYOND, 0, 0, begin, left)
        if within < self.frames:
            return Part(Place.SCAN, scan, within, begin, min(left, self.frames - within))
        return Part(Place.OUTSIDE, scan, 0, begin, min(left, self.period - within))

    def fits(self, announced: int, spare: int) -> bool:
        """
        Whether a series of so many frames fills its scan, or the last of its scans.

        Parameters
        ----------
        announced
            Frames of the series.
        spare
            Frames at the end of a scan that it can do without.
        """
        found = announced - self.skip
        if self.repeat and found > 0:
            found = (found - 1) % self.period + 1
        return self.frames - spare <= found <= self.period


def division_of(geometry: ScanGeometry, shape: tuple[int, int], listed: int | None) -> Division:
    """
    How a series is divided.

    Parameters
    ----------
    geometry
        As configured.
    shape
        Of a scan (rows, columns).
    listed
        Positions in the list that the geometry names; None: it names none.
    """
    rows, columns = shape
    frames = rows * (columns + geometry.flyback_frames) if listed is None else listed
    return Division(frames, geometry.flyback_frames_per_scan, geometry.skip_frames, geometry.repeat)
