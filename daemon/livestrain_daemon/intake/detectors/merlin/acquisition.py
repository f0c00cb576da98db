"""Acquisitions of a Merlin: when one begins, which frames wait for its header, when it is over. No socket, no clock."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesStart, Trouble
from livestrain_daemon.intake.detectors.merlin.batch import sent_dtype
from livestrain_daemon.intake.detectors.merlin.current import Acquisition
from livestrain_daemon.intake.detectors.merlin.numbers import Reached, gone_on
from livestrain_daemon.intake.detectors.naming import Names
from livestrain_daemon.intake.detectors.patience import Patience
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
NOBODYS = ""
"""The series of what belongs to none."""


@dataclass(slots=True)
class _Held:
    """Frames that wait for the header of their acquisition."""

    since: float = 0.0
    """When the first of them came [s]."""
    of_before: bool = False
    """No header that can be read has come before them in their connection: it may have come before that."""
    size: int = 0
    frames: list[bytes] = field(default_factory=list)


class Acquisitions:
    """
    Makes events of messages.

    Parameters
    ----------
    patience
        What silence means.
    before
        How many frames the acquisition had that a restart has interrupted; asked when frames come without a header.
    """

    def __init__(self, patience: Patience, before: Callable[[], int] = lambda: 0) -> None:
        self._patience = patience
        self._before = before
        self._events: list[DetectorEvent] = []
        self._open: Acquisition | None = None
        self._header: AcquisitionHeader | None = None
        self._header_at = 0.0
        self._stale = False
        """The header may be that of an acquisition that was over before its first frame."""
        self._seen_header = False
        self._held = _Held()
        self._names = Names()

    @property
    def idle(self) -> bool:
        """No acquisition is in progress."""
        return self._open is None

    def connected(self) -> None:
        """A new connection: acquisitions that have begun before may go on in it."""
        self._seen_header = False

    def take(self, message: memoryview, now: float) -> None:
        """Do what a message says; it must last until `events` has been called."""
        current = self._open
        if current and current.goes_on(message, now):
            if current.complete:
                self._close(aborted=False)
        elif message[: len(FRAME_HEADER)] == FRAME_HEADER:
            self._take_frame(message, now)
        elif message[: len(ACQUISITION_HEADER)] == ACQUISITION_HEADER:
            self._take_header(message, now)
        else:
            self.trouble("bad_message", f"expected a header or a frame, found {bytes(message[:20])!r}")

    def tick(self, now: float) -> None:
        """What follows from nothing having come."""
        if self._held.frames and now - self._held.since > self._patience.header_seconds:
            self._release(now)
        current = self._open
        if current is None:
            waiting = self._header is not None and not self._held.frames
            old = now - self._header_at > self._patience.silence_seconds
            self._stale = self._stale or (waiting and old)
            return
        silent = now - current.heard
        if current.last_seen and silent > self._patience.settle_seconds:
            self._close(aborted=False)
        elif silent > self._patience.silence_seconds:
            self._close(aborted=True)

    def events(self) -> list[DetectorEvent]:
        """What has happened since the last call."""
        if self._open:
            self._open.flush()
        events = self._events.copy()
        self._events.clear()
        return events

    def trouble(self, kind: str, text: str, frames: int = 0) -> None:
        """Tell of something that is no frame; it is of the acquisition in progress, if there is one."""
        if self._open:
            self._open.trouble(kind, text, frames)
        else:
            self._events.append(Trouble(kind, text, frames, NOBODYS))

    def _take_header(self, message: memoryview, now: float) -> None:
        if self._stale:
            self.trouble("lost", "expected frames behind the header of an acquisition, found the next header")
        elif self._held.frames and self._header is not None:
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
        if self._open is None:
            self._begin(message, number, layout, now)
        if self._open is None:
            return
        self._open.take(number, layout, message, now)
        if self._open.complete:
            self._close(aborted=False)

    def _begin(self, message: memoryview, number: int, layout: PixelFormat, now: float) -> None:
        """Open the acquisition of a frame; hold the frame back if its header has not come."""
        header = self._header
        if header is None or self._stale:
            self._hold(message, now)
            return
        held, self._held = self._held, _Held()
        late = bool(held.frames) and number > max(map(_number, held.frames))
        if held.frames and not late:
            if held.of_before:
                self._take_headless(held, now)
                self._close(aborted=False)
            else:
                self._give_up(held)
        self._start(header, message, layout, now)
        for item in held.frames if late else []:
            self._take_frame(memoryview(item), now)
        if self._open is None:
            self._hold(message, now)

    def _hold(self, message: memoryview, now: float) -> None:
        held = self._held
        if not held.frames:
            held.since, held.of_before = now, not self._seen_header
        held.frames.append(bytes(message))
        held.size += len(message)
        if held.size > HELD_BYTES:
            self._release(now)

    def _release(self, now: float) -> None:
        """Wait for no header any more."""
        held, self._held = self._held, _Held()
        if self._header is not None:
            first = memoryview(held.frames[0])
            self._start(self._header, first, _layout(first), now)
            self._take_held(held, now)
        elif held.of_before:
            self._take_headless(held, now)
        else:
            self._give_up(held)

    def _take_headless(self, held: _Held, now: float) -> None:
        """An acquisition of which no header tells."""
        first = memoryview(held.frames[0])
        numbers = [_number(item) for item in held.frames]
        # one of them may be damaged
        reached = gone_on(sorted(numbers)[len(numbers) // 2], self._before())
        self._start(None, first, _layout(first), now, reached)
        text = f"expected the header of an acquisition, found frame {numbers[0]}: what it says is not known"
        self.trouble("bad_message", text)
        self._take_held(held, now)

    def _take_held(self, held: _Held, now: float) -> None:
        for item in held.frames:
            self._take_frame(memoryview(item), now)

    def _give_up(self, held: _Held) -> None:
        number = _number(held.frames[0])
        text = f"expected the header of an acquisition, found frame {number} after the last one has ended"
        self._events.append(Trouble("unknown_scan", text, len(held.frames), NOBODYS))

    def _start(
        self,
        header: AcquisitionHeader | None,
        message: memoryview,
        layout: PixelFormat,
        now: float,
        reached: int = 0,
    ) -> None:
        if header is self._header:
            self._header, self._stale = None, False
        name = self._names.next(_plain((header.started if header else "") or time_in_header(message)))
        frames = header.frames if header else None
        self._open = Acquisition(name, layout, frames, Reached(reached), self._events.append)
        self._open.heard = now
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
        if self._open:
            self._open.close(aborted)
            self._open = None


def _plain(stamp: str) -> str:
    try:
        return datetime.strptime(stamp, "%d/%m/%Y %H:%M:%S").strftime("%Y%m%d-%H%M%S")  # noqa: DTZ007  a name, no time
    except ValueError:
        return re.sub(r"[^0-9A-Za-z]+", "-", stamp).strip("-")[:40] or "merlin"


def _number(message: bytes) -> int:
    return frame_header(memoryview(message))[0]


def _layout(message: memoryview) -> PixelFormat:
    """Of a frame that has been looked at."""
    _, geometry = frame_header(message)
    return format_of_size(geometry, len(message) - geometry.offset)


def _metadata(header: AcquisitionHeader | None) -> dict[str, str | int | float | bool]:
    values = header.values if header else {}
    kept = [(name[:LONGEST_TEXT], value) for name, value in values.items() if 0 < len(value) <= LONGEST_TEXT]
    return dict(kept[:METADATA_LINES])
