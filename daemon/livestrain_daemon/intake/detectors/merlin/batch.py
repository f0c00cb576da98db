"""Frames that came one after the other, as one block."""

from typing import cast

import numpy as np

from livestrain_daemon.intake.detectors.alignment import aligned
from livestrain_daemon.intake.detectors.events import SeriesFrames
from livestrain_daemon.intake.detectors.merlin.framing import PREFIX_BYTES
from livestrain_recordings.merlin.pixels import Bytes, Frames, PixelFormat
from livestrain_wire.messages import FrameDtype

BATCH_BYTES = 1 << 22
"""A block grows no further than this."""
WIDEST = np.dtype("<u4")
"""Counts are handed on with no more bits; larger ones become its largest value."""


def sent_dtype(layout: PixelFormat) -> FrameDtype:
    """The type that frames of this format are handed on in."""
    return cast("FrameDtype", (WIDEST if layout.dtype.itemsize > WIDEST.itemsize else layout.dtype).name)


class Batch:
    """Collects consecutive frames of one format; the bytes of them must last until `frames`."""

    def __init__(self) -> None:
        self._raw: list[Bytes] = []
        self._first = 0
        self._room = 0
        """Frames of this format that a block may have."""
        self._layout: PixelFormat | None = None
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._raw)

    def fits(self, index: int, layout: PixelFormat) -> bool:
        """Whether a frame can be added."""
        if not self._raw:
            return True
        count = len(self._raw)
        return layout is self._layout and index == self._first + count and count < self._room

    def add(self, index: int, layout: PixelFormat, message: memoryview) -> None:
        """Add the frame of a message."""
        if not self._raw:
            self._first, self._layout, self._size = index, layout, 0
            rows, columns = layout.frame_shape
            self._room = BATCH_BYTES // (rows * columns * layout.dtype.itemsize)
        self._raw.append(np.frombuffer(message, np.uint8, layout.size, len(message) - layout.size))
        self._size += len(message) + PREFIX_BYTES

    def frames(self, series: str) -> tuple[SeriesFrames, int]:
        """The frames as they are handed on, and how many had counts that their type cannot hold; it is empty then."""
        layout = self._layout
        if layout is None:
            raise RuntimeError("an empty batch")
        dtype = sent_dtype(layout)
        block: Frames = np.empty((len(self._raw), *layout.frame_shape), np.dtype(dtype).newbyteorder("<"))
        clipped = 0
        for frame, raw in zip(block, self._raw, strict=True):
            clipped += _decode_into(frame, raw, layout)
        self._raw = []
        frames = SeriesFrames(
            series=series,
            first=self._first,
            count=len(block),
            frame_shape=layout.frame_shape,
            dtype=dtype,
            encoding="raw",
            payload=block.view(np.uint8).reshape(-1).data,
            size=self._size,
        )
        return frames, clipped


def _decode_into(frame: Frames, raw: Bytes, layout: PixelFormat) -> bool:
    """Whether there are counts that the frame cannot hold."""
    counts, clipped = aligned(layout.decode(raw[np.newaxis])[0]), False
    if counts.dtype.itemsize > frame.dtype.itemsize:
        largest = np.iinfo(frame.dtype).max
        clipped = bool((counts > largest).any())
        counts = np.minimum(counts, largest) if clipped else counts
    np.copyto(frame, counts, casting="unsafe")
    return clipped
