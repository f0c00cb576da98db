"""From what a detector tells to what the intake understands: which series is in progress, and what belongs to it."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from livestrain_daemon.intake.detectors.counted import Counted
from livestrain_daemon.intake.detectors.dectris.channels import Channels
from livestrain_daemon.intake.detectors.dectris.current import CurrentSeries
from livestrain_daemon.intake.detectors.dectris.pixels import unpack
from livestrain_daemon.intake.detectors.dectris.told import BadMessage, End, Header, Image, Images, Mask, Told
from livestrain_daemon.intake.detectors.events import (
    DetectorEvent,
    SeriesEnd,
    SeriesFrames,
    SeriesStart,
    Trouble,
)
from livestrain_daemon.intake.payload import PayloadError

EARLY_BYTES = 32 << 20
"""Images that may wait for their header [bytes]."""
EARLY_SECONDS = 1.0
"""So long do they wait [s]; then they make a series without one."""
EARLY_IMAGES = 2
"""A single image of an unknown series is a mistake rather than a series."""
EARLY_SERIES = 4
"""So many series may wait for their headers."""
REMEMBERED = 64
"""Series that have ended, so that what comes late of them is known as such."""


@dataclass
class _Early:
    """Images of a series whose header has not come."""

    series: str
    number: int
    """Of the series."""
    since: float
    """When the first one came [s]."""
    came: int
    """How many images had come before, of any series."""
    images: list[Image] = field(default_factory=list)
    size: int = 0


class SeriesTracker:
    """
    Follows the series of a detector.

    Parameters
    ----------
    channel
        Name of a channel; `sum` for all of them; empty for the first.
    largest
        Refuse to unpack more than this for a frame [bytes].
    ask_frames
        How many images the series in progress has, where its header does not say.
    ask_mask
        Which pixels the detector marks, likewise.
    """

    def __init__(
        self, channel: str, largest: int, ask_frames: Callable[[], int | None], ask_mask: Callable[[], Mask | None]
    ) -> None:
        self._channel = channel
        self._largest = largest
        self._ask_frames = ask_frames
        self._ask_mask = ask_mask
        self._open: CurrentSeries | None = None
        self._early: dict[str, _Early] = {}
        self.begun = 0
        """Series so far."""
        self._came = 0
        """Images so far, of any series."""
        self._heard = 0
        """How many had come with the last one of a series in progress."""
        self._finished: int | None = None
        self._ended: OrderedDict[str, None] = OrderedDict()

    @property
    def finished(self) -> int | None:
        """Number of the series of which nothing more is expected, until the next one begins."""
        opened = self._open
        if opened and opened.counted.last_seen:
            self._finished = opened.header.number
        return self._finished

    @property
    def number(self) -> int | None:
        """Of the series in progress; None if there is none."""
        return self._open.header.number if self._open else None

    def take(self, told: Told, now: float) -> list[DetectorEvent]:
        """What follows from a message that came at a time [s]."""
        match told:
            case Header():
                return self._take_header(told, now)
            case Image():
                return self._take_image(told, now)
            case Images():
                return self._take_images(told, now)
            case End():
                return self._take_end(told, now)

    def tick(self, now: float) -> list[DetectorEvent]:
        """What follows from time having passed: images wait no longer for a header."""
        if not self._early:
            return []
        events: list[DetectorEvent] = []
        is_full = sum(early.size for early in self._early.values()) >= EARLY_BYTES
        for early in list(self._early.values()):
            if is_full or now - early.since >= EARLY_SECONDS:
                events += self._decide(early, now)
        return events

    def _take_header(self, header: Header, now: float) -> list[DetectorEvent]:
        opened = self._open
        if opened and opened.header.series == header.series and (header.unique or opened.unheard or opened.headless):
            return []
        if header.series in self._ended and header.unique:
            return [Trouble("unknown_scan", f"expected a new series, found the start of {header.series} once more")]
        events: list[DetectorEvent] = []
        early = self._early.pop(header.series, None)
        for before in list(self._early.values()):
            # its own header does not come any more
            if before.number < header.number:
                events += self._decide(before, now)
        events += self._begin(header)
        for image in early.images if early else ():
            events += self._take_image(image, now)
        return events

    def _take_image(self, image: Image, now: float) -> list[DetectorEvent]:
        self._came += 1
        opened = self._open
        if opened and opened.header.series == image.series:
            self._heard = self._came
            return self._frame(opened, image)
        if image.series in self._ended or (opened and image.number < opened.header.number):
            return [self._stray(image.series)]
        events: list[DetectorEvent] = []
        early = self._early.setdefault(image.series, _Early(image.series, image.number, now, self._came))
        early.images.append(image)
        early.size += image.size
        if len(self._early) > EARLY_SERIES:
            events += self._decide(next(iter(self._early.values())), now)
        return [*events, *self.tick(now)]

    def _take_images(self, images: Images, now: float) -> list[DetectorEvent]:
        """What follows from the first follows from all of them, if it is nothing but a frame that goes on as it is."""
        first = images.first
        events = self._take_image(first, now)
        opened, count = self._open, len(images.further)
        frame = events[-1] if events else None
        (packed,) = first.channels.values()
        goes_on = isinstance(frame, SeriesFrames) and frame.payload is packed.payload
        if (
            opened is None
            or not isinstance(frame, SeriesFrames)
            or not (goes_on and opened.has(first.first, 1 + count))
        ):
            for image in list(images.one_by_one())[1:]:
                events += self._take_image(image, now)
            return events
        self._came += count
        self._heard = self._came
        opened.went_on(count)
        events[-1] = replace(
            frame, count=1 + count, payload=memoryview(b""), parts=(packed.payload, *images.further), size=images.size
        )
        return events

    def _take_end(self, end: End, now: float) -> list[DetectorEvent]:
        events: list[DetectorEvent] = []
        if end.series in self._early:
            events += self._begin_without_header(self._early[end.series], now)
        opened = self._open
        if opened is None or opened.header.series != end.series:
            # detectors may say it twice
            known = end.series in self._ended
            return events if known else [*events, Trouble("unknown_scan", self._stray(end.series).text)]
        cut_short = opened.header.frames is not None and not opened.counted.last_seen
        return [*events, *self._close(aborted=cut_short)]

    def _begin(self, header: Header, headless: bool = False) -> list[DetectorEvent]:
        # its end has been lost, or has never come
        events = self._close(aborted=not self._open.counted.last_seen) if self._open else []
        self._ended.pop(header.series, None)
        self._finished = None
        self.begun += 1
        self._open = CurrentSeries(header, headless)
        if header.frame_shape and header.dtype:
            events += self._start(self._open, header)
        return events

    def _begin_without_header(self, early: _Early, now: float) -> list[DetectorEvent]:
        del self._early[early.series]
        first = early.images[0]
        text = f"expected the start of series {first.series} before its images, found none: what it says is not known"
        events = [*self._begin(Header(first.series, first.number), headless=True), Trouble("bad_message", text)]
        for image in early.images:
            events += self._take_image(image, now)
        return events

    def _start(self, opened: CurrentSeries, header: Header) -> list[DetectorEvent]:
        """Tell of a series whose header is complete."""
        if not header.frame_shape or not header.dtype:
            return []
        opened.shape = header.frame_shape
        opened.channels = Channels(self._channel, header.channels, header.dtype, header.saturation)
        missing = opened.channels.missing
        if missing:
            opened.refused = f"series {header.series}: {missing}; its frames are thrown away"
            opened.counted = Counted(header.frames)
            return [Trouble("no_channel", opened.refused, series=header.series)]
        events: list[DetectorEvent] = []
        unusable = None
        try:
            unusable = opened.channels.unusable(header.masks or self._asked_masks(header), opened.shape)
        except BadMessage as error:
            events.append(Trouble("bad_message", f"series {header.series}: {error}"))
        frames = self._ask_frames() if header.frames is None else header.frames
        opened.header, opened.counted = replace(header, frames=frames), Counted(frames)
        start = SeriesStart(
            header.series,
            opened.shape,
            opened.channels.frame_dtype,
            frames,
            energy_kev=header.energy_kev,
            unusable=unusable,
            saturation=opened.channels.frame_saturation,
            metadata=header.metadata,
            beginning="missed" if opened.headless else "seen",
        )
        return [start, *events]

    def _asked_masks(self, header: Header) -> dict[str, Mask]:
        """That of the whole detector, if the images are not a part of it."""
        mask = self._ask_mask()
        return {} if mask is None or mask.shape != header.frame_shape else dict.fromkeys(header.channels, mask)

    def _frame(self, opened: CurrentSeries, image: Image) -> list[DetectorEvent]:
        events: list[DetectorEvent] = []
        try:
            if opened.channels is None:
                events += self._start(opened, _as_first(opened.header, image, self._largest))
            return [*events, *opened.frame(image, self._largest)]
        except BadMessage as error:
            return [*events, Trouble("bad_message", f"series {image.series}, image {image.first}: {error}", 1)]
        except PayloadError as error:
            return [*events, Trouble(error.kind, f"series {image.series}, image {image.first}: {error}", 1)]

    def _close(self, aborted: bool) -> list[DetectorEvent]:
        opened, self._open = self._open, None
        if opened is None:
            return []
        series = opened.header.series
        self._finished = opened.header.number
        self._ended[series] = None
        while len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)
        if opened.refused:
            return []
        if opened.channels is None:
            return [Trouble("lost", f"expected images of series {series}, found its end")]
        return [SeriesEnd(series, aborted)]

    def _decide(self, early: _Early, now: float) -> list[DetectorEvent]:
        """What becomes of images that wait no longer for their header: a series without one, or nothing."""
        # a detector does not take images of two series at a time
        if len(early.images) >= EARLY_IMAGES and self._heard < early.came:
            return self._begin_without_header(early, now)
        del self._early[early.series]
        stray = self._stray(early.series)
        return [Trouble(stray.kind, stray.text, len(early.images))]

    def _stray(self, series: str) -> Trouble:
        found = f"series {series}, which has {'ended' if series in self._ended else 'not begun'}"
        expected = f"series {self._open.header.series}" if self._open else "the start of a series"
        return Trouble("unknown_scan", f"expected {expected}, found {found}", 1)


def _as_first(header: Header, image: Image, largest: int) -> Header:
    """
    The header with what the first image adds to it.

    That image decides on all that follow, so that it is looked at closely: only one that can be unpacked counts.
    """
    for packed in image.channels.values():
        unpack(packed, largest)
    first = next(iter(image.channels.values()))
    if header.frame_shape not in (None, first.shape):
        raise BadMessage(f"data: expected {header.frame_shape} pixels as the start says, found {first.shape}")
    channels = header.channels or tuple(image.channels)
    return replace(header, frame_shape=first.shape, dtype=first.dtype, channels=channels)
