"""A tracker of series, and what a DECTRIS detector tells it."""

import numpy as np

from livestrain_daemon.intake.detectors.dectris.pixels import Packed
from livestrain_daemon.intake.detectors.dectris.series import SeriesTracker
from livestrain_daemon.intake.detectors.dectris.told import End, Header, Image, Mask, Told
from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesEnd, SeriesFrames, SeriesStart, Trouble

FRAMES = 20


def tracker(channel: str = "", frames: int | None = None, mask: Mask | None = None) -> SeriesTracker:
    return SeriesTracker(channel, 1 << 20, lambda: frames, lambda: mask)


def header(number: int = 1, **changes: object) -> Header:
    values: dict[str, object] = {"frames": FRAMES, "frame_shape": (2, 3), "dtype": "uint16", "channels": ("a",)}
    return Header(f"{number}-x", number, **({"unique": True} | values | changes))  # type: ignore[arg-type]


def packed(value: int = 1, shape: tuple[int, int] = (2, 3)) -> Packed:
    return Packed(shape, "uint16", "raw", memoryview(np.full(shape, value, "<u2").tobytes()))


def image(first: int, number: int = 1, channels: dict[str, Packed] | None = None) -> Image:
    return Image(f"{number}-x", number, first, channels or {"a": packed()}, 12)


def end(number: int = 1) -> End:
    return End(f"{number}-x", number)


def told(follower: SeriesTracker, *messages: Told, now: float = 0.0) -> list[DetectorEvent]:
    return [event for message in messages for event in follower.take(message, now)]


def short(events: list[DetectorEvent]) -> list[object]:
    """Events in a word each: number of a frame, series of a start or end, kind of a trouble."""
    words: list[object] = []
    for event in events:
        match event:
            case SeriesFrames():
                words.append(event.first)
            case SeriesStart():
                words.append(f"start {event.series}")
            case SeriesEnd():
                words.append(f"{'aborted' if event.aborted else 'end'} {event.series}")
            case Trouble():
                words.append((event.kind, event.frames))
    return words
