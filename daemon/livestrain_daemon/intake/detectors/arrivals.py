"""Scans from what a detector tells: ids, the shape of the scan, and which frame is which."""

import re
from collections.abc import Iterator
from dataclasses import replace
from math import prod
from threading import Event

import numpy as np
from pydantic import ValidationError

from livestrain_daemon.intake.detectors.division import Part, Place, division_of
from livestrain_daemon.intake.detectors.events import (
    Connection,
    Detector,
    DetectorEvent,
    SeriesEnd,
    SeriesFrames,
    SeriesStart,
    Trouble,
)
from livestrain_daemon.intake.detectors.geometry import scan_shape, wrong_count
from livestrain_daemon.intake.detectors.positions import read_positions
from livestrain_daemon.intake.detectors.series import Series
from livestrain_daemon.intake.detectors.standing import Standing
from livestrain_daemon.intake.interrupted import Interrupted
from livestrain_daemon.intake.noting import note
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
    interrupted
        The scan that the first series may be the rest of.

    Raises
    ------
    ConfigError
        If the geometry names positions that cannot be used.
    """

    def __init__(self, name: str, geometry: ScanGeometry, interrupted: Interrupted | None = None) -> None:
        self._name = name
        self._geometry = geometry
        self._interrupted = interrupted
        self._positions = read_positions(geometry)
        self._series: Series | None = None
        self._ignored: str | None = None
        """A series whose scan shape nobody knows: its frames are counted only."""

    def arrivals(self, event: DetectorEvent) -> Iterator[Arrival]:
        """What the session takes."""
        match event:
            case SeriesStart():
                yield from self._begun(event)
            case SeriesFrames():
                if event.series == self._ignored:
                    text = f"series {event.series}: its frames are thrown away, because nobody knows its scan shape"
                    yield _trouble("unknown_scan", text, event.count, event.size)
                    return
                yield from self._frames(event)
            case SeriesEnd():
                if event.series != self._ignored:
                    yield from self._ended(event)
            case Trouble():
                yield Arrival(event, size=OVERHEAD_BYTES, scan_id=self._scan_of(event))
            case Connection():
                return

    def _scan_of(self, trouble: Trouble) -> str | None:
        """The scan that it is of, empty if of none; None: the one in progress."""
        if trouble.kind == "connection":
            return ""
        if trouble.series is None:
            return None
        series = self._series
        return series.scan_id if series and series.start.series == trouble.series else ""

    def _begun(self, start: SeriesStart) -> Iterator[Arrival]:
        interrupted, self._interrupted = self._interrupted, None
        if interrupted and interrupted.lasts and start.beginning == "nameless" and start.scan_shape is None:
            # the header that told it is not heard again
            start = replace(start, scan_shape=interrupted.start.scan_shape)
        shape = scan_shape(self._geometry, start)
        before = self._series
        if before and before.scan is not None and not before.over and before.start.series != start.series:
            yield self._end(before, aborted=True)
        self._ignored = None if shape else start.series
        self._series = None
        if shape is None:
            instead = "" if self._geometry.repeat else " or a number of frames"
            text = f"series {start.series}: expected a scan shape (intake.scan.shape){instead}, found none"
            yield _trouble("no_scan_shape", text)
            return
        listed = None if self._positions is None else len(self._positions)
        series = Series(start, shape, division_of(self._geometry, shape, listed))
        try:
            self._start(series, self._id(start.series))
        except ValidationError as error:
            self._ignored = start.series
            yield _trouble("no_scan_shape", f"series {start.series}: {_refused(error, shape)}")
            return
        self._series = series
        # which scan of many is the first to come, its first frame tells
        if not self._geometry.repeat:
            yield from self._scan(series, 0)
        text = wrong_count(self._geometry, start, shape, series.division)
        if text:
            yield _trouble("wrong_count", f"series {start.series}: {text}")

    def _scan(self, series: Series, scan: int) -> Iterator[Arrival]:
        """The start of a scan, and the end of the one before."""
        if series.scan is not None:
            yield self._end(series)
            series.before = series.scan if scan > series.scan else min(series.before, scan - 1)
        series.scan, series.doubted = scan, None
        series.scan_id = self._id(series.start.series, scan)
        series.first = series.division.skip + scan * series.division.period
        start, table = series.start, self._positions
        message = self._start(series, series.scan_id)
        payload = None if table is None else table.data.cast("B")
        size = OVERHEAD_BYTES + (len(payload) if payload else 0)
        yield Arrival(message, payload, size, unusable=start.unusable, beginning=start.beginning)

    def _start(self, series: Series, scan_id: str) -> ScanStart:
        """
        The start of a scan of a series.

        Raises
        ------
        ValidationError
            If the detector has told what no scan can have.
        """
        start, geometry = series.start, self._geometry
        return ScanStart(
            scan_id=scan_id,
            scan_shape=series.shape,
            frame_shape=start.frame_shape,
            dtype=start.dtype,
            order=geometry.order if self._positions is None else "explicit",
            flyback_frames=geometry.flyback_frames,
            energy_kev=start.energy_kev,
            semiangle_mrad=start.semiangle_mrad,
            pixel_size_mrad=start.pixel_size_mrad,
            step_nm=start.step_nm,
            saturation=start.saturation,
            metadata=start.metadata,
        )

    def _end(self, series: Series, aborted: bool = False) -> Arrival:
        end = ScanEnd(scan_id=series.scan_id, reason="aborted" if aborted else "complete")
        return Arrival(end, size=OVERHEAD_BYTES)

    def _ended(self, end: SeriesEnd) -> Iterator[Arrival]:
        series = self._series
        if series is None or series.start.series != end.series:
            message = ScanEnd(scan_id=self._id(end.series), reason="aborted" if end.aborted else "complete")
            yield Arrival(message, size=OVERHEAD_BYTES)
            return
        # what comes late begins no scan
        self._series = None
        if series.scan is not None and not series.over:
            yield self._end(series, end.aborted)

    def _frames(self, frames: SeriesFrames) -> Iterator[Arrival]:
        series = self._series
        if series is None or series.start.series != frames.series:
            # the session knows what to say of frames that nobody has announced
            part = Part(Place.SCAN, 0, frames.first, 0, frames.count)
            yield self._message(frames, part, self._id(frames.series))
            return
        begin = frames.first - series.first
        # nearly all frames: looked at no closer than this
        if series.scan is not None and 0 <= begin <= series.division.frames - frames.count:
            series.doubted = None
            part = Part(Place.SCAN, series.scan, begin, 0, frames.count)
            yield self._message(frames, part, series.scan_id)
            return
        # a message does not confirm itself
        doubted, series.doubted = series.doubted, None
        for part in series.division.parts(frames.first, frames.count):
            if part.place is Place.SCAN:
                yield from self._into_scan(series, frames, part, doubted)
            elif part.place is Place.OUTSIDE:
                yield _trouble("flyback", "", part.frames, frames.size)
            else:
                yield from self._beyond(series, frames, part)

    def _into_scan(self, series: Series, frames: SeriesFrames, part: Part, doubted: int | None) -> Iterator[Arrival]:
        scan_id = series.scan_id
        if part.scan != series.scan:
            if series.begins(part.scan, doubted):
                yield from self._scan(series, part.scan)
                scan_id = series.scan_id
            else:
                series.doubted = part.scan
                if series.scan is None or part.scan > series.scan:
                    yield self._doubt(series, frames, part)
                    return
                scan_id = self._id(frames.series, part.scan)
        yield self._message(frames, part, scan_id)

    def _doubt(self, series: Series, frames: SeriesFrames, part: Part) -> Arrival:
        expected = "its first scan" if series.scan is None else f"its scan {series.scan + 1} or the next"
        text = (
            f"series {frames.series}: expected frames of {expected}, found frame {frames.first + part.begin} of scan "
            f"{part.scan + 1}, which begins with the next message of it"
        )
        return _trouble("wrong_index", text, part.frames, frames.size)

    def _beyond(self, series: Series, frames: SeriesFrames, part: Part) -> Iterator[Arrival]:
        rows, columns = series.shape
        text = (
            f"series {frames.series}: expected {series.division.expected} frames for {rows} x {columns} positions, "
            "found more, which belong nowhere; intake.scan.repeat = true makes further scans of them"
        )
        yield _trouble("wrong_index", text, part.frames, frames.size)
        if series.outlasts_its_scan and not series.over:
            series.over = True
            yield self._end(series)

    def _message(self, frames: SeriesFrames, part: Part, scan_id: str) -> Arrival:
        payload, size = frames.payload, frames.size
        parts = frames.parts[part.begin : part.begin + part.frames]
        if parts:
            size = size * part.frames // frames.count
        elif part.frames != frames.count:
            found = len(payload)
            frame_bytes = prod(frames.frame_shape) * np.dtype(frames.dtype).itemsize
            if frames.encoding != "raw" or found != frames.count * frame_bytes:
                text = (
                    f"series {frames.series}: expected no packed message with frames of two scans or with some that "
                    f"belong nowhere, found frames {frames.first} to {frames.first + frames.count - 1}"
                )
                return _trouble("wrong_index", text, part.frames, frames.size)
            payload = payload[part.begin * frame_bytes : (part.begin + part.frames) * frame_bytes]
        message = Frames(
            scan_id=scan_id,
            first_index=part.first,
            count=part.frames,
            shape=frames.frame_shape,
            dtype=frames.dtype,
            encoding=frames.encoding,
        )
        # each part of a block keeps the whole of it in memory
        return Arrival(message, payload, size + OVERHEAD_BYTES, part.frames, parts)

    def _id(self, series: str, scan: int = 0) -> str:
        name = f"{self._name}-{series}" if self._name else series
        number = f".{scan + 1}" if self._geometry.repeat else ""
        return re.sub("[^A-Za-z0-9._-]", "-", name)[: LONGEST_ID - len(number)] + number


def _refused(error: ValidationError, shape: tuple[int, int]) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    rows, columns = shape
    return f"expected a scan that can be, found {rows} x {columns} positions and a wrong {field}: {first['msg']}"


def _trouble(kind: str, text: str, frames: int = 0, size: int = 0) -> Arrival:
    return Arrival(Trouble(kind, text, frames), size=size + OVERHEAD_BYTES)


def take(detector: Detector, scans: Scans, queue: ArrivalQueue, stop: Event, standing: Standing | None = None) -> None:
    """
    Move what a detector tells to the queue until told to stop.

    Parameters
    ----------
    detector, scans, queue, stop
        From where, by what, to where and until when.
    standing
        Hears what the detector tells.

    Raises
    ------
    Unavailable
        If the detector can never work.
    """
    for event in detector.events(stop):
        if event is not None and (standing is None or standing.hear(event)):
            try:
                arrivals = list(scans.arrivals(event))
            except Exception as error:
                note(error, "the detector told", event)
                raise
            queue.put(arrivals)
