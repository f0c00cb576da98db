"""Scans of a CheeTah TPX3: which chunk belongs to which, and which frames it has. No socket, no clock."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from livestrain_daemon.intake.detectors.asi.chunks import dense_frames
from livestrain_daemon.intake.detectors.asi.errors import WrongMessage
from livestrain_daemon.intake.detectors.asi.held import HeldChunks
from livestrain_daemon.intake.detectors.asi.inbox import Inbox
from livestrain_daemon.intake.detectors.asi.messages import CutShort, Lost, MessageSplitter, Whole
from livestrain_daemon.intake.detectors.asi.tpx3 import (
    HEADER_BYTES,
    WIDEST,
    AcquisitionEnd,
    AcquisitionStart,
    Chunk,
    Header,
    ScanEnd,
    ScanStart,
)
from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesEnd, SeriesFrames, SeriesStart, Trouble
from livestrain_daemon.intake.detectors.naming import Names
from livestrain_daemon.intake.detectors.patience import Patience
from livestrain_daemon.intake.detectors.plain import Plain, plain_values
from livestrain_wire.messages import FrameDtype


@dataclass(slots=True)
class _Scan:
    """The scan in progress."""

    name: str
    sequence: int
    start: AcquisitionStart
    metadata: dict[str, Plain]
    heard: float
    dtype: np.dtype[Any] | None = None
    """Of its frames, once it is known."""
    next: int = 0
    """Number of the first frame of the next chunk."""
    adrift: bool = False
    """It is not known which frames come next."""

    @property
    def short(self) -> bool:
        """Frames are still to come."""
        return self.adrift or self.next < self.start.frames


class ScanReading:
    """
    Makes events of the bytes of a TPX3 stream.

    Parameters
    ----------
    patience
        What silence means.
    largest
        A message of more bytes is none [bytes].
    """

    def __init__(self, patience: Patience, largest: int) -> None:
        self._patience = patience
        self._inbox = Inbox()
        self._splitter = MessageSplitter(self._inbox, largest)
        self._names = Names()
        self._start: AcquisitionStart | None = None
        self._scan: _Scan | None = None
        self._held = HeldChunks()
        self._may_hold = False

    @property
    def inbox(self) -> Inbox:
        """Where bytes are to be put."""
        return self._inbox

    @property
    def idle(self) -> bool:
        """No scan is in progress."""
        return self._scan is None

    @property
    def cut(self) -> str:
        """What the connection would be closed in the middle of: a scan that needs it."""
        needed = self._scan is not None and self._scan.short
        return "before the end" if needed else ""

    def events(self, now: float, quiet: bool) -> Iterator[DetectorEvent]:
        """What has come in says; ``quiet`` if nothing has come for a while."""
        while (message := self._splitter.next(quiet)) is not None:
            match message:
                case Whole():
                    yield from self._take(message.header, message.body, now)
                case CutShort():
                    yield from self._take_cut(message, now)
                case Lost():
                    yield self._trouble(message.kind, message.text)
                    if self._scan:
                        self._scan.adrift = True
                    else:
                        self._held.adrift = self._may_hold
        yield from self._tick(now)

    def closed(self, now: float) -> Iterator[DetectorEvent]:
        """The connection has ended; with it the scan."""
        yield from self.events(now, quiet=True)
        forgotten = self._splitter.reset()
        if forgotten:
            text = f"expected a whole message, found that nothing came after {forgotten} bytes"
            yield self._trouble("bad_message", text)
        yield from self._end(aborted=True)
        yield from self._give_up_held()
        # what a new connection begins with may be the middle of a scan
        self._may_hold = False

    def _tick(self, now: float) -> Iterator[DetectorEvent]:
        if self._held.chunks and now - self._held.since > self._patience.settle_seconds:
            yield from self._give_up_held()
        scan = self._scan
        if scan is None:
            return
        silent = now - scan.heard
        if silent > self._patience.silence_seconds or (not scan.short and silent > self._patience.settle_seconds):
            yield from self._end(aborted=True)

    def _take(self, header: Header, body: memoryview, now: float) -> Iterator[DetectorEvent]:
        match header:
            case AcquisitionStart():
                yield from self._end(aborted=True)
                yield from self._give_up_held()
                self._start, self._may_hold = header, True
            case ScanStart():
                yield from self._end(aborted=True)
                yield from self._begin(header, body, now)
            case Chunk():
                yield from self._chunk(header, body, now)
            case ScanEnd():
                yield from self._scan_end(header)
            case AcquisitionEnd():
                yield from self._end(aborted=True)

    def _take_cut(self, message: CutShort, now: float) -> Iterator[DetectorEvent]:
        header = message.header
        if isinstance(header, Chunk):
            yield self._trouble("bad_message", message.text, header.frames)
            if self._scan:
                self._scan.next += header.frames
            elif self._may_hold:
                # what follows it belongs behind it, once its scan begins
                self._held.add(header, None, now)
            return
        yield self._trouble("bad_message", message.text)
        yield from self._take(header, memoryview(b""), now)

    def _begin(self, header: ScanStart, body: memoryview, now: float) -> Iterator[DetectorEvent]:
        held, self._held = self._held, HeldChunks()
        if self._start is None:
            text = f"expected the start of an acquisition, found scan {header.sequence}, whose frames cannot be read"
            yield self._trouble("unknown_scan", text)
            return
        name = self._names.next(f"{self._start.sequence}-{header.sequence}")
        self._scan = _Scan(name, header.sequence, self._start, _metadata(body), now)
        for chunk, kept in held.chunks:
            if kept is None:
                self._scan.next += chunk.frames
            else:
                yield from self._chunk(chunk, memoryview(kept), now)
        self._scan.adrift |= held.misleading

    def _chunk(self, chunk: Chunk, body: memoryview, now: float) -> Iterator[DetectorEvent]:
        scan = self._scan
        if scan is None:
            yield from self._stray(chunk, body, now)
            return
        scan.heard = now
        if scan.adrift:
            text = f"{scan.name}: expected to know where {chunk.frames} frames belong, found them behind damaged ones"
            yield self._trouble("bad_message", text, chunk.frames)
            return
        first, scan.next = scan.next, scan.next + chunk.frames
        if scan.dtype is None:
            scan.dtype = min(chunk.values, WIDEST, key=lambda dtype: dtype.itemsize)
            yield _series_start(scan, scan.dtype)
        try:
            blocks = dense_frames(scan.start, chunk, body, scan.dtype)
        except WrongMessage as error:
            yield self._trouble(error.kind, f"{scan.name}, frame {first}: {error}", chunk.frames)
            return
        size = HEADER_BYTES + len(body)
        for block, clipped in blocks:
            yield SeriesFrames(
                series=scan.name,
                first=first,
                count=len(block),
                frame_shape=scan.start.frame_shape,
                dtype=cast("FrameDtype", scan.dtype.name),
                encoding="raw",
                payload=block.view(np.uint8).reshape(-1).data,
                size=size * len(block) // chunk.frames,
            )
            if clipped:
                last = first + len(block) - 1
                text = (
                    f"{scan.name}: expected counts that {scan.dtype} can hold in frames {first} to {last}, found larger"
                )
                yield self._trouble("clipped", text, clipped)
            first += len(block)

    def _stray(self, chunk: Chunk, body: memoryview, now: float) -> Iterator[DetectorEvent]:
        """A chunk of no scan: it waits where the start of its scan may come behind it."""
        if self._may_hold and self._held.adrift:
            self._held.behind = True
            text = f"expected to know where {chunk.frames} frames belong, found them behind damaged ones"
            yield self._trouble("bad_message", text, chunk.frames)
            return
        if self._may_hold and self._held.has_room(len(body)):
            self._held.add(chunk, body, now)
            return
        yield from self._give_up_held()
        text = (
            "expected the start of a scan, found frames; where they belong nobody knows, because they have no numbers"
        )
        yield self._trouble("unknown_scan", text, chunk.frames)

    def _give_up_held(self) -> Iterator[DetectorEvent]:
        held, self._held = self._held, HeldChunks()
        if held.chunks or held.adrift:
            # whatever follows belongs behind them
            self._may_hold = False
        if held.frames:
            text = "expected the start of a scan, found frames without one"
            yield self._trouble("unknown_scan", text, held.frames)

    def _scan_end(self, header: ScanEnd) -> Iterator[DetectorEvent]:
        scan = self._scan
        if scan and scan.sequence != header.sequence:
            text = f"expected the end of scan {scan.sequence}, found that of scan {header.sequence}"
            yield self._trouble("bad_message", text)
            return
        yield from self._end(aborted=False)

    def _end(self, aborted: bool) -> Iterator[DetectorEvent]:
        scan, self._scan = self._scan, None
        if scan is None:
            return
        # frames behind the end of a scan that has all of its own are those of the next
        self._may_hold = not scan.short
        if not scan.adrift and scan.next != scan.start.frames:
            yield Trouble("wrong_count", _miscounted(scan), series=scan.name)
        if scan.dtype is not None:
            yield SeriesEnd(scan.name, aborted and scan.short)

    def _trouble(self, kind: str, text: str, frames: int = 0) -> Trouble:
        """It is of the scan in progress, if there is one."""
        return Trouble(kind, text, frames, self._scan.name if self._scan else "")


def _series_start(scan: _Scan, dtype: np.dtype[Any]) -> SeriesStart:
    return SeriesStart(
        series=scan.name,
        frame_shape=scan.start.frame_shape,
        dtype=cast("FrameDtype", dtype.name),
        frames=scan.start.frames,
        scan_shape=scan.start.scan_shape,
        # larger counts have become this one
        saturation=float(np.iinfo(WIDEST).max) if dtype == WIDEST else None,
        metadata=scan.metadata,
    )


def _miscounted(scan: _Scan) -> str:
    text = f"{scan.name}: expected {scan.start.frames} frames, found {scan.next}"
    return f"{text}; they have no numbers, so if some were lost before the last, those behind them are stored too early"


def _metadata(body: memoryview) -> dict[str, Plain]:
    """What of the JSON can be kept as it is."""
    try:
        told = json.loads(bytes(body) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return plain_values(told.items() if isinstance(told, dict) else ())
