"""Series of the images that Serval sends: when one begins, which image belongs to which, and when one is over."""

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np

from livestrain_daemon.intake.detectors.asi.batch import Batch
from livestrain_daemon.intake.detectors.asi.current import CurrentSeries
from livestrain_daemon.intake.detectors.asi.image import ImageHeader
from livestrain_daemon.intake.detectors.asi.images import Image, ImageSplitter, Junk
from livestrain_daemon.intake.detectors.asi.inbox import Inbox
from livestrain_daemon.intake.detectors.asi.measurement import STARTED, Inquiry, Measurement
from livestrain_daemon.intake.detectors.counted import Counted
from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesEnd, SeriesStart, Trouble
from livestrain_daemon.intake.detectors.naming import Names
from livestrain_daemon.intake.detectors.patience import Patience
from livestrain_wire.messages import FrameDtype


class FrameReading:
    """
    Makes events of the bytes of an image stream.

    Parameters
    ----------
    inquiry
        Asked at the beginning of a series, and when one falls silent.
    patience
        What silence means.
    frames
        In a series, where nobody else knows.
    stamp
        The time, as the name of a series.
    largest
        An image of more bytes is none [bytes].
    before
        When the measurement began that a restart has interrupted, in the words of Serval; empty if it did not say;
        None if there was none. Where its images have no numbers, nobody knows which of them come.
    """

    def __init__(
        self,
        inquiry: Inquiry,
        patience: Patience,
        frames: int | None,
        stamp: Callable[[], str],
        largest: int,
        before: str | None = None,
    ) -> None:
        self._inquiry = inquiry
        self._patience = patience
        self._frames = frames
        self._stamp = stamp
        self._largest = largest
        self._inbox = Inbox()
        self._splitter = ImageSplitter(self._inbox, largest)
        self._batch = Batch()
        self._names = Names()
        self._open: CurrentSeries | None = None
        self._interrupted = before
        self._over: CurrentSeries | None = None
        """The last series, if none of its images is looked for any more: every one came, or they have no numbers."""
        self._last = ""
        """What the images of the last series call their measurement."""
        self._telling = False
        """That was another name than in the series before."""
        self._lead = 0
        """Images that were damaged before the first that was not."""
        self._heard = 0.0

    @property
    def inbox(self) -> Inbox:
        """Where bytes are to be put."""
        return self._inbox

    @property
    def idle(self) -> bool:
        """No series is in progress."""
        return self._open is None

    @property
    def cut(self) -> str:
        """What the connection would be closed in the middle of: a series that needs it."""
        needed = self._open is not None and self._open.frames is not None and not self._open.over
        return "before the end" if needed else ""

    def events(self, now: float, quiet: bool) -> Iterator[DetectorEvent]:
        """What has come in says; ``quiet`` if nothing has come for a while."""
        if len(self._inbox) and not quiet:
            self._heard = now
            if self._open:
                self._open.idle = False
        while (found := self._splitter.next(quiet)) is not None:
            yield from self._junk(found) if isinstance(found, Junk) else self._image(found, now)
        yield from self._flushed()
        yield from self._tick(now)

    def closed(self, now: float) -> Iterator[DetectorEvent]:
        """The connection has ended; with it the series, unless its frames have numbers and more of them may come."""
        yield from self.events(now, quiet=True)
        yield from self._given_up()
        if self._open and not (self._open.numbered and self._open.frames is not None):
            yield from self._end_for_good(self._open)
        self._lead, self._interrupted = 0, None

    def _tick(self, now: float) -> Iterator[DetectorEvent]:
        if self._splitter.lost and now - self._heard > self._patience.settle_seconds:
            yield from self._given_up()
        current = self._open
        if current is None:
            self._heard = self._heard or now
            if now - self._heard > self._patience.settle_seconds:
                self._lead = 0
            if now - self._heard > self._patience.silence_seconds:
                self._interrupted = None
            return
        # an image may take its time, and what is no image does not keep a series open
        heard = current.heard if self._splitter.lost else self._heard
        if now - heard > (self._patience.settle_seconds if current.over else self._patience.silence_seconds):
            yield from self._given_up_and_ended(current)
        elif not current.over and now - max(self._heard, current.asked) > self._patience.settle_seconds:
            current.asked = now
            if current.counted.last_seen or current.idle:
                yield from self._given_up_and_ended(current)
            else:
                # what left before the answer may still be on its way
                current.idle = self._inquiry.measurement().recording is False

    def _junk(self, junk: Junk) -> Iterator[DetectorEvent]:
        yield from self._flushed()
        current = self._open if self._open and not self._open.over else None
        yield Trouble(junk.kind, junk.text, junk.frames, current.name if current else "")
        if current is None:
            self._lead += junk.frames
            return
        current.next += junk.frames
        yield from self._end_if_all_came(current)

    def _image(self, image: Image, now: float) -> Iterator[DetectorEvent]:
        header = image.header
        current = self._open
        if current and header.measurement and header.measurement != current.header.measurement:
            yield from self._end()
            current = None
        if current is None or current.over:
            measurement = self._asked(header, now)
            if measurement is None or self._is_surplus(header, measurement, now):
                text = f"expected a new measurement, found another image of {self._described_last(header, measurement)}"
                yield Trouble("wrong_count", text, 1, series=current.name if current else "")
                # what was damaged before it was of the same measurement
                self._lead = 0
                return
            yield from self._end()
            current = self._begun(header, measurement, now)
            yield self._start(current)
        yield from self._add(current, image, now)

    def _described_last(self, header: ImageHeader, measurement: Measurement | None) -> str:
        """The measurement that an image is one more of."""
        name = self._over.measurement.name if self._over else measurement.name if measurement else ""
        if header.measurement or name:
            return header.measurement or f"the one that began at {name}"
        return "the last" if self._interrupted is None else "the one that a restart has interrupted"

    def _asked(self, header: ImageHeader, now: float) -> Measurement | None:
        """What Serval says of the measurement of an image; None if it is one more of the last one, which is over."""
        over = self._over
        if not header.number or over is None or header.measurement != over.header.measurement:
            # the name in the images may be the same again in the next measurement, which begins with 0
            return self._inquiry.measurement()
        is_copy = header.number == over.next - 1
        if self._telling or is_copy or not over.measurement.name:
            return None
        if now - over.unanswered < self._patience.silence_seconds:
            return None
        measurement = self._inquiry.measurement()
        if not measurement.name:
            over.unanswered = now
        # the first image of the next measurement may be lost
        return measurement if measurement.name not in ("", over.measurement.name) else None

    def _is_surplus(self, header: ImageHeader, measurement: Measurement, now: float) -> bool:
        """Whether it is one more of a measurement whose series is over: nobody knows which, or it came before."""
        if header.number is None and self._interrupted is not None:
            # without Serval's word, a pause says that it is over
            return measurement.name == self._interrupted or not (measurement.name and self._interrupted)
        over = self._over
        if over is None or not over.measurement.name or header.measurement != over.header.measurement:
            # Serval may be at the one after this already, if we are late
            return False
        if measurement.name:
            return measurement.name == over.measurement.name
        # Serval does not answer any more: one in the place of another would spoil a whole scan
        return now - over.heard < self._patience.silence_seconds

    def _begun(self, header: ImageHeader, measurement: Measurement, now: float) -> CurrentSeries:
        frames = self._frames if measurement.frames is None else measurement.frames
        name = self._names.next(self._stamp())
        self._open = CurrentSeries(name, header, measurement, frames, now, now, Counted(frames), self._lead)
        self._lead, self._over = 0, None
        self._telling = bool(self._last) and header.measurement not in ("", self._last)
        self._last = header.measurement
        return self._open

    def _start(self, current: CurrentSeries) -> SeriesStart:
        metadata: dict[str, str | int | float | bool] = {}
        if current.header.measurement:
            metadata["measurement"] = current.header.measurement
        if current.measurement.name:
            metadata[STARTED] = current.measurement.name
        return SeriesStart(
            series=current.name,
            frame_shape=current.header.shape,
            dtype=cast("FrameDtype", current.header.dtype.name),
            frames=current.frames,
            metadata=metadata,
            beginning="nameless" if current.header.number else "seen",
        )

    def _add(self, current: CurrentSeries, image: Image, now: float) -> Iterator[DetectorEvent]:
        header = image.header
        index = current.next if header.number is None else header.number
        current.next = index + 1
        if (header.shape, header.dtype) != (current.header.shape, current.header.dtype):
            yield from self._flushed()
            expected, found = _described(current.header), _described(header)
            yield Trouble(
                "wrong_size", f"expected images of {expected} in {current.name}, found {found}", 1, current.name
            )
            return
        if current.frames is not None and index >= current.frames:
            yield from self._flushed()
            text = f"expected images 0 to {current.frames - 1} in {current.name}, found {index}"
            yield Trouble("wrong_index", text, 1, current.name)
            return
        current.heard = now
        current.counted.add(index)
        if not self._batch.fits(index, header):
            yield from self._flushed()
        self._batch.add(index, header, image.pixels)
        yield from self._end_if_all_came(current)

    def _end_if_all_came(self, current: CurrentSeries) -> Iterator[DetectorEvent]:
        if not current.complete:
            return
        self._over = current
        # without Serval's word the next image is the first of the next measurement
        current.over = not current.numbered and bool(current.measurement.name)
        if not current.over:
            yield from self._end()

    def _given_up_and_ended(self, current: CurrentSeries) -> Iterator[DetectorEvent]:
        yield from self._given_up()
        yield from self._end_for_good(current)

    def _end_for_good(self, current: CurrentSeries) -> Iterator[DetectorEvent]:
        """End a series; images that come later have no place in it, and without numbers in no other."""
        if not current.numbered:
            self._over = current
        yield from self._end()

    def _flushed(self) -> Iterator[DetectorEvent]:
        if self._batch and self._open:
            yield self._batch.frames(self._open.name)

    def _given_up(self) -> Iterator[DetectorEvent]:
        junk = self._splitter.reset()
        if junk:
            yield from self._junk(junk)

    def _end(self) -> Iterator[DetectorEvent]:
        current = self._open
        if current is None:
            return
        yield from self._flushed()
        self._open = None
        short = current.short
        if short and not current.numbered:
            yield Trouble("wrong_count", current.shortness, 0, current.name)
        dropped = self._inquiry.measurement().dropped if short else 0
        if dropped > current.measurement.dropped:
            lost = dropped - current.measurement.dropped
            text = f"{current.name}: expected every frame from the detector, found that it dropped {lost}"
            yield Trouble("lost", text, lost, current.name)
        yield SeriesEnd(current.name, aborted=short)


def _described(header: ImageHeader) -> str:
    return f"{header.shape[0]} x {header.shape[1]} {np.dtype(header.dtype).name}"
