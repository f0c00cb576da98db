"""A recorded file as a detector: its frames come as fast as they are taken."""

import re
from collections.abc import Iterator, Mapping
from math import isqrt
from pathlib import Path
from threading import Event
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.division import division_of
from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesEnd, SeriesFrames, SeriesStart, Trouble
from livestrain_daemon.intake.recorded_file import RecordedFile
from livestrain_daemon.intake_config import ScanGeometry
from livestrain_recordings.errors import UnusableRecording
from livestrain_recordings.opening import open_recording
from livestrain_recordings.optics import sorted_facts
from livestrain_recordings.recording import Given, Recording
from livestrain_wire.messages import FrameDtype

MESSAGE_BYTES = 4 << 20
"""Frames are handed on in pieces of about so much [bytes]."""
POLL_SECONDS = 0.1


class RecordedDetector:
    """
    A `Detector` that tells of one file, once.

    Parameters
    ----------
    file
        Which.
    geometry
        How its frames run over the scan.
    """

    def __init__(self, file: RecordedFile, geometry: ScanGeometry) -> None:
        self._file = file
        self._geometry = geometry

    @property
    def endpoint(self) -> str:
        """The file."""
        return str(self._file.path)

    def events(self, stop: Event) -> Iterator[DetectorEvent | None]:
        """
        What the file tells, and then nothing more until ``stop`` is set.

        Raises
        ------
        Unavailable
            If it cannot be opened, or does not tell the shape of the scan.
        """
        try:
            recording = open_recording(self._file.path, self._file.dataset, stopped=stop.is_set)
        except (UnusableRecording, OSError) as error:
            raise Unavailable(str(error)) from error
        with recording:
            if stop.is_set():
                return
            start = start_of(recording, self._file.scan_id, self._geometry)
            yield start
            yield from self._frames(recording, self._last(start), stop)
        while not stop.wait(POLL_SECONDS):
            yield None

    def _last(self, start: SeriesStart) -> int:
        """Where the frames end that the scan has; that the file has more is told from its start."""
        frames = start.frames or 0
        if start.scan_shape is None or self._geometry.positions is not None or self._geometry.repeat:
            return frames
        return min(frames, division_of(self._geometry, start.scan_shape, None).expected)

    def _frames(self, recording: Recording, last: int, stop: Event) -> Iterator[DetectorEvent]:
        first = 0
        try:
            for given in recording.given():
                there = np.ones(len(given.frames), np.bool_)
                if recording.absent is not None:
                    there &= ~recording.absent[first : first + len(there)]
                if given.unfit is not None:
                    count = int(np.count_nonzero(there & given.unfit))
                    if count:
                        yield _unfit(given, count)
                    there &= ~given.unfit
                there &= np.arange(first, first + len(there)) < last
                for begin, part in _present(given.frames, there):
                    yield self._message(first + begin, part)
                    if stop.is_set():
                        return
                first += len(there)
        except OSError as error:
            text = f"expected {recording.frames} frames, could read {first}: {error}"
            yield Trouble("unreadable", text, recording.frames - first)
            yield SeriesEnd(self._file.scan_id, aborted=True)
        else:
            yield SeriesEnd(self._file.scan_id)

    def _message(self, first: int, part: NDArray[Any]) -> SeriesFrames:
        payload = part.reshape(-1).view(np.uint8).data
        return SeriesFrames(
            self._file.scan_id, first, len(part), part.shape[1:], _dtype(part.dtype.name), "raw", payload, part.nbytes
        )


def geometry_of(recording: Recording, configured: ScanGeometry, asked: Mapping[str, object]) -> ScanGeometry:
    """
    How the frames of a file run over the scan.

    Parameters
    ----------
    recording
        The file. One that has a place for each scan position is laid out as it says, whatever detector is configured.
    configured
        As a detector's frames run, and so those of a file that holds them one after the other.
    asked
        Fields that a user gives for this file.

    Raises
    ------
    ValidationError
        If they do not go together.
    """
    base = ScanGeometry() if len(recording.shape) == 4 else configured
    return ScanGeometry.model_validate(base.model_dump() | dict(asked))


def start_of(recording: Recording, scan_id: str, geometry: ScanGeometry) -> SeriesStart:
    """
    The start of the scan that a file holds.

    Parameters
    ----------
    recording
        The file.
    scan_id
        Name of the scan.
    geometry
        How its frames run over the scan.

    Raises
    ------
    Unavailable
        If neither the file nor the geometry tells the shape of the scan.
    """
    told = sorted_facts(recording.facts)
    return SeriesStart(
        series=scan_id,
        frame_shape=recording.frame_shape,
        dtype=_dtype(recording.dtype),
        frames=recording.frames,
        scan_shape=_scan_shape(recording, geometry),
        energy_kev=told.optics.get("energy_kev"),
        semiangle_mrad=told.optics.get("semiangle_mrad"),
        pixel_size_mrad=told.optics.get("pixel_size_mrad"),
        step_nm=told.optics.get("step_nm"),
        unusable=None if recording.unusable is None else recording.unusable[np.newaxis].astype(np.uint8),
        saturation=recording.saturation,
        metadata={**told.rest, "recorded_in": f"{recording.path.name}:{recording.name}"},
    )


def named_after(path: Path) -> str:
    """The name of a scan made of a file."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.name.split(".")[0]).strip("-._")
    return name[:58] or "recording"


def _scan_shape(recording: Recording, geometry: ScanGeometry) -> tuple[int, int] | None:
    if geometry.shape is not None:
        return geometry.shape
    if len(recording.shape) == 4:
        rows, columns = recording.shape[0], recording.shape[1] - geometry.flyback_frames
        if columns < 1:
            raise Unavailable(
                f"{recording.path}: expected more than {geometry.flyback_frames} frames in a row, "
                f"found {recording.shape[1]}"
            )
        return rows, columns
    if isqrt(recording.frames) ** 2 != recording.frames or geometry.flyback_frames or geometry.skip_frames:
        raise Unavailable(
            f"{recording.path}: {recording.name} has {recording.frames} frames, which does not tell the shape of the "
            "scan: give --scan-shape ROWSxCOLUMNS"
        )
    return isqrt(recording.frames), isqrt(recording.frames)


def _unfit(given: Given, count: int) -> Trouble:
    others = f" ({count} such frames among {len(given.frames)})" if count > 1 else ""
    return Trouble("unreadable", f"{given.wrong}{others}: left out", count)


def _present(block: NDArray[Any], there: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Pieces of frames that are there, with the number of their first."""
    edges = np.flatnonzero(np.diff(there, prepend=False, append=False)).reshape(-1, 2).tolist()
    step = max(1, MESSAGE_BYTES // block[:1].nbytes)
    for begin, end in edges:
        for at in range(begin, end, step):
            yield at, block[at : min(at + step, end)]


def _dtype(name: str) -> FrameDtype:
    # a recording gives no other types
    return cast("FrameDtype", name)
