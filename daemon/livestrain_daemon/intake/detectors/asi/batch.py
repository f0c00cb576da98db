"""Images that came one after the other, as one block."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.intake.detectors.alignment import aligned
from livestrain_daemon.intake.detectors.asi.image import ImageHeader
from livestrain_daemon.intake.detectors.events import SeriesFrames
from livestrain_wire.messages import FrameDtype

BATCH_BYTES = 1 << 22
"""A block grows no further than this, unless it is a single image."""


class Batch:
    """Collects consecutive images of one form; the bytes of them must last until `frames`."""

    def __init__(self) -> None:
        self._pixels: list[NDArray[Any]] = []
        self._first = 0
        self._header: ImageHeader | None = None
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._pixels)

    def fits(self, index: int, header: ImageHeader) -> bool:
        """Whether an image can be added; its form must be that of the others."""
        consecutive = index == self._first + len(self._pixels)
        return not self._pixels or (consecutive and (len(self._pixels) + 1) * header.size <= BATCH_BYTES)

    def add(self, index: int, header: ImageHeader, pixels: memoryview) -> None:
        """Add an image."""
        if not self._pixels:
            self._first, self._header, self._bytes = index, header, 0
        self._pixels.append(np.frombuffer(pixels, header.dtype).reshape(header.shape))
        self._bytes += header.length + header.size

    def frames(self, series: str) -> SeriesFrames:
        """The images as they are handed on, little-endian; the batch is empty then."""
        if self._header is None:
            raise RuntimeError("an empty batch")
        header, pixels = self._header, self._pixels
        self._pixels = []
        block: NDArray[Any] = np.empty((len(pixels), *header.shape), header.dtype.newbyteorder("<"))
        for frame, sent in zip(block, pixels, strict=True):
            frame[...] = aligned(sent)
        return SeriesFrames(
            series=series,
            first=self._first,
            count=len(block),
            frame_shape=header.shape,
            dtype=cast("FrameDtype", header.dtype.name),
            encoding="raw",
            payload=block.view(np.uint8).reshape(-1).data,
            size=self._bytes,
        )
