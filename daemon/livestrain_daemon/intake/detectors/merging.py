"""Consecutive frames that came one by one, told as one run of them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesFrames

MOST_FRAMES = 256
MOST_BYTES = 4 << 20
"""Of the frames of a run once they are unpacked; a larger frame is a run of its own."""


def room(frame_bytes: int) -> int:
    """So many frames of this size may be in a run."""
    return max(min(MOST_BYTES // max(frame_bytes, 1), MOST_FRAMES), 1)


def merged(events: Iterable[DetectorEvent]) -> Iterator[DetectorEvent]:
    """
    The same events, with frames that follow each other in one event.

    Nothing is reordered, and nothing is kept back: what runs can be made of is what ``events`` has.
    """
    run: list[SeriesFrames] = []
    left = 0
    for event in events:
        if isinstance(event, SeriesFrames):
            if not run or left <= 0 or not _follows(run[-1], event):
                if run:
                    yield _joined(run)
                    run = []
                rows, columns = event.frame_shape
                left = room(rows * columns * np.dtype(event.dtype).itemsize)
            run.append(event)
            left -= 1
            continue
        if run:
            yield _joined(run)
            run = []
        yield event
    if run:
        yield _joined(run)


def _follows(before: SeriesFrames, frames: SeriesFrames) -> bool:
    return (
        frames.first == before.first + 1
        and frames.count == before.count == 1
        and not (frames.parts or before.parts)
        and frames.series == before.series
        and frames.encoding == before.encoding
        and frames.dtype == before.dtype
        and frames.frame_shape == before.frame_shape
    )


def _joined(run: list[SeriesFrames]) -> SeriesFrames:
    if len(run) == 1:
        return run[0]
    parts = tuple(one.payload for one in run)
    return replace(run[0], count=len(run), payload=memoryview(b""), parts=parts, size=sum(one.size for one in run))
