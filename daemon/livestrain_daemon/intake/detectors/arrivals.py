"""Scans from what a detector tells: ids, the shape of the scan, and which frame is which."""

import re
from collections.abc import Iterator
from math import isqrt
from threading import Event

from livestrain_daemon.intake.detectors.events import (
    Detector,
    DetectorEvent,
    SeriesEnd,
    SeriesFrames,
    SeriesStart,
    Trouble,
)
from livestrain_daemon.intake.receiver import OVERHEAD_BYTES, Arrival, ArrivalQueue
from livestrain_daemon.intake_config import ScanGeometry
from livestrain_wire.messages import Frames, ScanEnd, ScanStart

LONGEST_ID = 58
"""Characters of a scan's id, so that a number fits behind one that is used again."""


class Scans:
    """
    Makes messages of the native protocol of what a detector tells.

    Parameters
    ----------
    name
        Of the detector: the ids of its scans begin with it; empty: the series names them.
    geometry
        How its frames run over the scan.
    """

    def __init__(self, name: str, geometry: ScanGeometry) -> None:
        self._name = name
        self._geometry = geometry
        self._ignored: str | None = None
        """A series whose scan shape nobody knows."""

    def arrivals(self, event: DetectorEvent) -> Iterator[Arrival]:
        """What the session takes."""
        match event:
            case SeriesStart():
                yield from self._begun(event)
            case SeriesFrames():
                if event.series != self._ignored:
                    yield from self._frames(event)
            case SeriesEnd():
                if event.series != self._ignored:
                    end = ScanEnd(scan_id=self._id(event.series), reason="aborted" if event.aborted else "complete")
                    yield Arrival(end, size=OVERHEAD_BYTES)
            case Trouble():
                yield Arrival(event, size=OVERHEAD_BYTES)

    def _begun(self, start: SeriesStart) -> Iterator[Arrival]:
        shape = self._shape(start)
        self._ignored = None if shape else start.series
        if shape is None:
            text = (
                f"series {start.series}: expected a scan shape (intake.scan.shape) or a number of frames, found neither"
            )
            yield Arrival(Trouble("no_scan_shape", text), size=OVERHEAD_BYTES)
            return
        rows, columns = shape
        geometry = self._geometry
        expected = rows * (columns + geometry.flyback_frames) + geometry.skip_frames
        metadata = dict(start.metadata)
        if start.saturation is not None:
            metadata["saturation"] = start.saturation
        message = ScanStart(
            scan_id=self._id(start.series),
            scan_shape=shape,
            frame_shape=start.frame_shape,
            dtype=start.dtype,
            order=geometry.order,
            flyback_frames=geometry.flyback_frames,
            energy_kev=start.energy_kev,
            semiangle_mrad=start.semiangle_mrad,
            pixel_size_mrad=start.pixel_size_mrad,
            step_nm=start.step_nm,
            metadata=metadata,
        )
        yield Arrival(message, size=OVERHEAD_BYTES)
        guessed = not (self._geometry.shape or start.scan_shape)
        if guessed and rows != columns:
            text = (
                f"series {start.series}: expected frames for a square scan, found {start.frames}: taken for "
                f"{rows} x {columns} positions; intake.scan.shape says it better"
            )
            yield Arrival(Trouble("wrong_count", text), size=OVERHEAD_BYTES)
        elif start.frames is not None and start.frames != expected:
            text = (
                f"series {start.series}: expected {expected} frames for {rows} x {columns} positions with "
                f"{geometry.flyback_frames} flyback frames a row and {geometry.skip_frames} at the start, "
                f"found {start.frames} announced"
            )
            yield Arrival(Trouble("wrong_count", text), size=OVERHEAD_BYTES)

    def _shape(self, start: SeriesStart) -> tuple[int, int] | None:
        if self._geometry.shape or start.scan_shape:
            return self._geometry.shape or start.scan_shape
        if start.frames is None or start.frames <= self._geometry.skip_frames:
            return None
        frames, flyback = start.frames - self._geometry.skip_frames, self._geometry.flyback_frames
        # side (side + flyback) = frames; what does not come out even gets rows enough for all, and is said
        side = max((isqrt(flyback * flyback + 4 * frames) - flyback) // 2, 1)
        return -(-frames // (side + flyback)), side

    def _frames(self, frames: SeriesFrames) -> Iterator[Arrival]:
        first = frames.first - self._geometry.skip_frames
        if first + frames.count <= 0:
            yield Arrival(Trouble("flyback", "", frames.count), size=frames.size)
            return
        if first < 0:
            text = f"series {frames.series}: expected no message with frames before and after the {-first} to skip"
            yield Arrival(Trouble("wrong_index", text, frames.count), size=frames.size)
            return
        message = Frames(
            scan_id=self._id(frames.series),
            first_index=first,
            count=frames.count,
            shape=frames.frame_shape,
            dtype=frames.dtype,
            encoding=frames.encoding,
        )
        yield Arrival(message, frames.payload, frames.size + OVERHEAD_BYTES, frames.count)

    def _id(self, series: str) -> str:
        name = f"{self._name}-{series}" if self._name else series
        return re.sub("[^A-Za-z0-9._-]", "-", name)[:LONGEST_ID]


def take(detector: Detector, scans: Scans, queue: ArrivalQueue, stop: Event) -> None:
    """
    Move what a detector tells to the queue until told to stop.

    Raises
    ------
    Unavailable
        If the detector can never work.
    """
    for event in detector.events(stop):
        if event is not None:
            queue.put(list(scans.arrivals(event)))
