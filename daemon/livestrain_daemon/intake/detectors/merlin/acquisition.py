"""Acquisitions of a Merlin: which frame belongs to which, when one begins and when it is over. No socket, no clock."""

import re
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from livestrain_daemon.intake.detectors.counted import Counted
from livestrain_daemon.intake.detectors.events import (
    DetectorEvent,
    SeriesEnd,
    SeriesStart,
    Trouble,
)
from livestrain_daemon.intake.detectors.merlin.batch import Batch, sent_dtype
from livestrain_daemon.intake.detectors.merlin.numbers import Reached
from livestrain_recordings.merlin.errors import WrongMessage
from livestrain_recordings.merlin.header import (
    ACQUISITION_HEADER,
    FRAME_HEADER,
    LONGEST_TEXT,
    AcquisitionHeader,
    acquisition_header,
    frame_header,
    time_in_header,
)
from livestrain_recordings.merlin.pixels import PixelFormat, format_of_size

HELD_BYTES = 1 << 25
"""Of frames that wait for the header of their acquisition."""
METADATA_LINES = 64


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what may still come."""

    silence_seconds: float = 10.0
    """An acquisition that is not heard of for so long is over [s]."""
    settle_seconds: float = 0.5
    """Frames may come so long after the last one of an acquisition [s]."""
    header_seconds: float = 1.0
    """A header may come so long after the first frames of its acquisition [s]."""


@dataclass(slots=True)
class _Open:
    """The acquisition in progress."""

    name: str
    format: PixelFormat
    frames: int | None
    counted: Counted
    heard: float
    reached: Reached = field(default_factory=Reached)
    doubted: bytes = b""
    """The frame whose number is far from those before it."""


class Acquisitions:
    """
    Makes events of messages.

    Parameters
    ----------
    patience
        What silence means.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._events: list[DetectorEvent] = []
        self._batch = Batch()
        self._open: _Open | None = None
        self._header: AcquisitionHeader | None = None
        self._header_at = 0.0
        self._stale = False
        """The header may be that of an acquisition that was over before its first frame."""
        self._seen_header = False
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._held_since = 0.0
        self._last_base = ""
        self._repeats = 0

    @property
    def idle(self) -> bool:
        """No acquisition is in progress."""
        return self._open is None

    def connected(self) -> None:
        """A new connection: acquisitions that have begun before may go on in it."""
        self._seen_header = False

    def take(self, message: memoryview, now: float) -> None:
        """Do what a message says; it must last until `events` has been called."""
        if message[: len(FRAME_HEADER)] == FRAME_HEADER:
            self._take_frame(message, now)
        elif message[: len(ACQUISITION_HEADER)] == ACQUISITION_HEADER:
            self._take_header(message, now)
        else:
            self.trouble("bad_message", f"expected a header or a frame, found {bytes(message[:20])!r}")

    def tick(self, now: float) -> None:
        """What follows from nothing having come."""
        if self._held and now - self._held_since > self._patience.header_seconds:
            self._release(now)
        current = self._open
        if current is None:
            waiting = self._header is not None and not self._held
            old = now - self._header_at > self._patience.silence_seconds
            self._stale = self._stale or (waiting and old)
            return
        silent = now - current.heard
        if current.counted.last_seen and silent > self._patience.settle_seconds:
            self._close(aborted=False)
        elif silent > self._patience.silence_seconds:
            self._close(aborted=True)

    def events(self) -> list[DetectorEvent]:
        """What has happened since the last call."""
        self._flush()
        events, self._events = self._events, []
        return events

    def trouble(self, kind: str, text: str, frames: int = 0) -> None:
        """Tell of something that is no frame."""
        self._flush()
        self._events.append(Trouble(kind, text, frames))

    def _take_header(self, message: memoryview, now: float) -> None:
        if self._stale:
            self.trouble("lost", "expected frames behind the header of an acquisition, found the next header")
        elif self._held and self._header is not None:
            # nothing came behind the header before: it was that of the frames before it
            self._release(now)
        self._close(aborted=True)
        self._header, self._header_at, self._stale = None, now, False
        try:
            self._header = acquisition_header(message)
        except WrongMessage as error:
            self.trouble(error.kind, str(error))
        # the frames behind an unreadable header are taken without one
        self._seen_header = self._header is not None

    def _take_frame(self, message: memoryview, now: float) -> None:
        try:
            number, geometry = frame_header(message)
            size = len(message) - geometry.offset
            layout = format_of_size(geometry, size)
            if size != layout.size:
                raise WrongMessage(
                    "wrong_size", f"expected {layout.size} bytes of pixels in frame {number}, found {size}"
                )
        except WrongMessage as error:
            self.trouble(error.kind, str(error), frames=1)
            return
        if self._open is None and not self._begin(message, number, layout, now):
            return
        self._add(number, layout, message, now)

    def _add(self, number: int, layout: PixelFormat, message: memoryview, now: float) -> None:
        current = self._open
        if current is None:
            return
        unwrapped = current.reached.unwrapped(number)
        index = unwrapped - 1
        if index < 0 or (current.frames is not None and index >= current.frames):
            text = f"expected frames 1 to {current.frames or 'any'} in {current.name}, found {number}"
            self.trouble("bad_message", text, frames=1)
            return
        if layout is not current.format and not _alike(layout, current.format):
            expected, found = _described(current.format), _described(layout)
            self.trouble("wrong_size", f"expected frames of {expected} in {current.name}, found {found}", frames=1)
            return
        current.heard = now
        if current.reached.expects(unwrapped):
            if current.doubted:
                self._disbelieve(current)
        elif not self._believed(current, unwrapped, layout, message):
            return
        current.reached.latest = unwrapped
        self._store(current, index, layout, message)
        if current.counted.complete:
            self._close(aborted=False)

    def _store(self, current: _Open, index: int, layout: PixelFormat, message: memoryview) -> None:
        if not self._batch.fits(index, layout):
            self._flush()
        self._batch.add(index, layout, message)
        current.counted.add(index)

    def _believed(self, current: _Open, unwrapped: int, layout: PixelFormat, message: memoryview) -> bool:
        """Whether the frame before confirms a jump of the number; else this one waits for the next."""
        reached = current.reached
        if reached.doubted is not None and reached.confirms(unwrapped):
            self._store(current, reached.doubted - 1, layout, memoryview(current.doubted))
            reached.doubted, current.doubted = None, b""
            return True
        self._disbelieve(current)
        reached.doubted, current.doubted = unwrapped, bytes(message)
        return False

    def _disbelieve(self, current: _Open) -> None:
        """Nothing has confirmed the number of the frame that waits."""
        if current.doubted:
            text = f"expected frames near {current.reached.latest} in {current.name}, found {current.reached.doubted}"
            self.trouble("bad_message", text, frames=1)
            current.reached.doubted, current.doubted = None, b""

    def _begin(self, message: memoryview, number: int, layout: PixelFormat, now: float) -> bool:
        """Open the acquisition of a frame; hold the frame back if its header has not come."""
        if self._header is None or self._stale:
            self._hold(message, now)
            return False
        held, self._held = self._held, []
        late = bool(held) and number > max(_number(item) for item in held)
        if held and not late:
            self._give_up(held)
        self._start(self._header, message, layout, now)
        for item in held if late else []:
            self._take_frame(memoryview(item), now)
        if self._open is None:
            self._hold(message, now)
        return self._open is not None

    def _hold(self, message: memoryview, now: float) -> None:
        if not self._held:
            self._held_since, self._held_bytes = now, 0
        self._held.append(bytes(message))
        self._held_bytes += len(message)
        if self._held_bytes > HELD_BYTES:
            self._release(now)

    def _release(self, now: float) -> None:
        """Wait for no header any more."""
        held, self._held = self._held, []
        if self._header is None and self._seen_header:
            self._give_up(held)
            return
        first = memoryview(held[0])
        _, geometry = frame_header(first)
        layout = format_of_size(geometry, len(first) - geometry.offset)
        if self._header is None:
            text = f"expected the header of an acquisition, found frame {_number(held[0])}: what it says is not known"
            self.trouble("bad_message", text)
        self._start(self._header, first, layout, now)
        for item in held:
            self._take_frame(memoryview(item), now)

    def _give_up(self, held: list[bytes]) -> None:
        text = f"expected the header of an acquisition, found frame {_number(held[0])} after the last one has ended"
        self.trouble("unknown_scan", text, frames=len(held))

    def _start(self, header: AcquisitionHeader | None, message: memoryview, layout: PixelFormat, now: float) -> None:
        self._header, self._stale = None, False
        self._flush()
        name = self._name((header.started if header else "") or time_in_header(message))
        frames = header.frames if header else None
        self._open = _Open(name, layout, frames, Counted(frames), now)
        gap = None if header and header.gap_filled else layout.unusable()
        self._events.append(
            SeriesStart(
                series=name,
                frame_shape=layout.frame_shape,
                dtype=sent_dtype(layout),
                frames=frames,
                scan_shape=header.scan_shape if header else None,
                unusable=None if gap is None else gap[np.newaxis],
                saturation=header.saturation if header else None,
                metadata=_metadata(header),
                beginning="seen" if header else "nameless",
            )
        )

    def _close(self, aborted: bool) -> None:
        if self._open is None:
            return
        self._flush()
        self._disbelieve(self._open)
        # one without end is not cut short by the next
        short = self._open.frames is not None and not self._open.counted.last_seen
        self._events.append(SeriesEnd(self._open.name, aborted and short))
        self._open = None

    def _flush(self) -> None:
        if self._batch and self._open:
            self._events.append(self._batch.frames(self._open.name))

    def _name(self, stamp: str) -> str:
        """No two acquisitions have the same, not even if they begin in the same second."""
        base = _plain(stamp)
        self._repeats = self._repeats + 1 if base == self._last_base else 1
        self._last_base = base
        return base if self._repeats == 1 else f"{base}-{self._repeats}"


def _plain(stamp: str) -> str:
    try:
        return datetime.strptime(stamp, "%d/%m/%Y %H:%M:%S").strftime("%Y%m%d-%H%M%S")  # noqa: DTZ007  a name, no time
    except ValueError:
        return re.sub(r"[^0-9A-Za-z]+", "-", stamp).strip("-")[:40] or "merlin"


def _number(message: bytes) -> int:
    return frame_header(memoryview(message))[0]


def _alike(layout: PixelFormat, other: PixelFormat) -> bool:
    return (layout.frame_shape, layout.dtype) == (other.frame_shape, other.dtype)


def _described(layout: PixelFormat) -> str:
    return f"{layout.frame_shape[0]} x {layout.frame_shape[1]} {layout.dtype.name}"


def _metadata(header: AcquisitionHeader | None) -> dict[str, str | int | float | bool]:
    values = header.values if header else {}
    kept = [(name[:LONGEST_TEXT], value) for name, value in values.items() if 0 < len(value) <= LONGEST_TEXT]
    return dict(kept[:METADATA_LINES])
