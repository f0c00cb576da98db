"""Frames to the bytes that a Merlin sends for them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHIP = 256
"""Columns of a chip."""
GAP = 2
"""Pixels between the chips of layout 2x2G."""
PROCESSED = {"U01": ">u1", "U08": ">u1", "U16": ">u2", "U32": ">u4", "U64": ">u8"}
RAW = "R64"
CODES = {1: "U08", 6: "U08", 12: "U16", 24: "U32"}
"""Processed frames of a counter depth [bit]."""


@dataclass(frozen=True, slots=True)
class PixelKind:
    """How an emulated Merlin sends its frames."""

    code: str = "U16"
    """U01, U08, U16, U32, U64 or R64."""
    depth: int = 12
    """Counter depth, 1, 6, 12 or 24 [bit]."""
    layout: str = "1x1"
    """1x1, 2x2, 2x2G or Nx1."""

    @property
    def chips(self) -> int:
        """How many there are."""
        across, down = self.layout.rstrip("G").split("x")
        return int(across) * int(down)

    @property
    def gap(self) -> int:
        """Pixels between the chips."""
        return GAP if self.layout.endswith("G") else 0

    @property
    def is_raw_quad(self) -> bool:
        """Whether the chips lie beside each other in what is sent, and not in the frame."""
        return self.code == RAW and self.layout.startswith("2x2")

    def sent_shape(self, frame_shape: tuple[int, int]) -> tuple[int, int]:
        """(height, width) in the header of a frame (rows, columns)."""
        height, width = frame_shape
        if self.is_raw_quad:
            height, width = (height - self.gap) // 2, 2 * (width - self.gap)
        # raw frames of 24 bit are two of 12 bit
        return height, 2 * width if (self.code, self.depth) == (RAW, 24) else width

    def encoded(self, frame: NDArray[Any]) -> bytes:
        """
        The pixels of a frame as they are sent; pixels between the chips are lost in raw frames.

        Parameters
        ----------
        frame : (rows, columns)
            Counts that the depth, or the type of processed frames, can hold.
        """
        if self.code != RAW:
            return frame.astype(PROCESSED[self.code]).tobytes()
        rows = _chip_rows(frame, self.gap) if self.is_raw_quad else frame
        if self.depth == 1:
            return _turned(np.packbits(rows.astype(bool), axis=None, bitorder="little"))
        if self.depth == 6:
            return _turned(rows.astype("u1"))
        if self.depth == 12:
            return _turned(rows.astype("<u2"))
        return _turned((rows >> 12).astype("<u2")) + _turned((rows & 0xFFF).astype("<u2"))


def _turned(values: NDArray[Any]) -> bytes:
    """Bytes of the values, each eight of them in the opposite order."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8)[:, ::-1].tobytes()


def _chip_rows(frame: NDArray[Any], gap: int) -> NDArray[Any]:
    """A square of four chips to Q4 | Q3 | Q2 | Q1, the lower two turned by half a turn."""
    height, width = ((side - gap) // 2 for side in frame.shape)
    upper_left, upper_right = frame[:height, :width], frame[:height, width + gap :]
    lower_left, lower_right = frame[height + gap :, :width], frame[height + gap :, width + gap :]
    return np.hstack([np.rot90(lower_right, 2), np.rot90(lower_left, 2), upper_right, upper_left])
