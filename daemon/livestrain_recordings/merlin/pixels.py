"""Pixels of a Merlin to frames: processed counts, and the raw words of the chips."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.merlin.errors import WrongMessage
from livestrain_recordings.merlin.header import Geometry

Frames = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32] | NDArray[np.uint64]
Bytes = NDArray[np.uint8]

PROCESSED = {"U01": "u1", "U08": "u1", "U16": "u2", "U32": "u4", "U64": "u8"}
RAW = "R64"
CHIP_PIXELS = 256
"""Columns of a chip."""
GAP_PIXELS = 2
"""Between the chips of a quad with a gap."""
QUAD = (2, 2)
RAW_PIXEL = {1: "u1", 6: "u1", 12: "u2", 24: "u4"}
RAW_BITS = {1: 1, 6: 8, 12: 16, 24: 32}
"""Sent for a pixel, by counter depth [bit]."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the bytes of a frame become a frame; rows of bytes must be contiguous, but need not follow each other."""

    size: int
    """Of the pixels of a frame [bytes]."""
    frame_shape: tuple[int, int]
    """(rows, columns)."""
    dtype: np.dtype[np.generic]
    decode: Callable[[Bytes], Frames]
    """(n, size) bytes to (n, rows, columns), in the byte order of the detector."""
    gap: tuple[int, int] | None
    """First row and column of the cross that no chip covers."""

    def decoded(self, raw: Bytes) -> Frames:
        """(n, size) bytes to new frames (n, rows, columns), little-endian."""
        frames: Frames = np.empty((len(raw), *self.frame_shape), self.dtype)
        frames[...] = self.decode(raw)
        return frames

    def unusable(self) -> NDArray[np.uint8] | None:
        """(rows, columns), not zero where no chip is; None without a gap."""
        if self.gap is None:
            return None
        image = np.zeros(self.frame_shape, np.uint8)
        row, column = self.gap
        image[row : row + GAP_PIXELS] = 1
        image[:, column : column + GAP_PIXELS] = 1
        return image


@lru_cache(64)
def pixel_format(geometry: Geometry, depth: int | None) -> PixelFormat:
    """
    The format of the frames of an acquisition.

    Parameters
    ----------
    geometry
        From the header of a frame.
    depth
        Counter depth, which only raw frames need [bit].

    Raises
    ------
    WrongMessage
        If there is no such format.
    """
    if geometry.code in PROCESSED:
        return _processed(geometry)
    if geometry.code == RAW:
        return _raw(_single(geometry), depth)
    expected = ", ".join([*PROCESSED, RAW])
    raise WrongMessage("bad_message", f"expected pixels of type {expected}, found {geometry.code!r}")


@lru_cache(64)
def format_of_size(geometry: Geometry, size: int) -> PixelFormat:
    """
    The format of frames that have so many bytes of pixels.

    Parameters
    ----------
    geometry
        From the header of a frame.
    size
        Of what is behind the header [bytes].

    Raises
    ------
    WrongMessage
        If there is no such format.
    """
    return pixel_format(geometry, depth_of_size(geometry, size))


def depth_of_size(geometry: Geometry, size: int) -> int | None:
    """Counter depth of a raw frame of ``size`` bytes of pixels [bit]; None if there is none."""
    pixels = _single(geometry).width * geometry.height
    return next((depth for depth, bits in RAW_BITS.items() if size * 8 == pixels * bits), None)


def _single(geometry: Geometry) -> Geometry:
    """Frames of 24 bit are two of 12 bit; where their header says so by twice the width, it is halved."""
    if geometry.width == 2 * CHIP_PIXELS * geometry.chips:
        return replace(geometry, width=geometry.width // 2)
    return geometry


def _processed(geometry: Geometry) -> PixelFormat:
    shape = (geometry.height, geometry.width)
    sent = np.dtype(PROCESSED[geometry.code]).newbyteorder(">")
    pixel = sent.newbyteorder("<")

    def decode(raw: Bytes) -> Frames:
        counts: Frames = raw.view(sent).reshape(len(raw), *shape)
        return counts

    gap = _gap(shape) if geometry.gap and geometry.layout == QUAD and geometry.chips == 4 else None
    return PixelFormat(shape[0] * shape[1] * sent.itemsize, shape, pixel, decode, gap)


def _raw(geometry: Geometry, depth: int | None) -> PixelFormat:
    if depth not in RAW_BITS:
        raise WrongMessage("bad_message", f"expected raw frames of depth 1, 6, 12 or 24 bit, found {depth}")
    pixels = geometry.width * geometry.height
    size = pixels * RAW_BITS[depth] // 8
    if geometry.width % CHIP_PIXELS or geometry.width // CHIP_PIXELS != geometry.chips:
        text = f"expected raw rows of {CHIP_PIXELS} pixels of {geometry.chips} chips, found {geometry.width} pixels"
        raise WrongMessage("wrong_size", text)
    pixel = np.dtype(RAW_PIXEL[depth]).newbyteorder("<")
    rows = (geometry.height, geometry.width)
    unpack = _unpacking(depth, rows)
    if geometry.chips == 1 or 1 in geometry.layout:
        return PixelFormat(size, rows, pixel, unpack, None)
    if geometry.layout != QUAD or geometry.chips != 4:
        down, across = geometry.layout
        text = f"expected raw frames of one chip, a row of chips or a quad, found {geometry.chips} of {across}x{down}"
        raise WrongMessage("bad_message", text)
    gap = GAP_PIXELS if geometry.gap else 0
    side = (2 * geometry.height + gap, 2 * CHIP_PIXELS + gap)

    def decode(raw: Bytes) -> Frames:
        return _quad(unpack(raw), gap)

    return PixelFormat(size, side, pixel, decode, _gap(side) if gap else None)


def _gap(shape: tuple[int, int]) -> tuple[int, int]:
    return (shape[0] - GAP_PIXELS) // 2, (shape[1] - GAP_PIXELS) // 2


def _unpacking(depth: int, rows: tuple[int, int]) -> Callable[[Bytes], Frames]:
    """From raw bytes (n, size) to rows as the chips send them, (n, height, width)."""

    def unpack(raw: Bytes) -> Frames:
        # the chips send the last pixel of each 8 bytes first
        words = raw.view(">u8").astype("<u8").view(np.uint8).reshape(len(raw), -1)
        if depth == 1:
            return np.unpackbits(words, axis=1, bitorder="little").reshape(len(raw), *rows)
        if depth == 6:
            return words.reshape(len(raw), *rows)
        counts = words.view("<u2")
        if depth == 12:
            return counts.reshape(len(raw), *rows)
        # the upper twelve bits of all pixels come first
        halves = counts.reshape(len(raw), 2, *rows)
        both: Frames = (halves[:, 0].astype("<u4") << np.uint32(12)) | halves[:, 1]
        return both

    return unpack


def _quad(rows: Frames, gap: int) -> Frames:
    """Rows of four chips, Q4 | Q3 | Q2 | Q1, to the square of them; Q3 and Q4 are upside down."""
    count, height, _ = rows.shape
    q4, q3, q2, q1 = (rows[:, :, chip * CHIP_PIXELS : (chip + 1) * CHIP_PIXELS] for chip in range(4))
    square: Frames = np.zeros((count, 2 * height + gap, 2 * CHIP_PIXELS + gap), rows.dtype)
    square[:, :height, :CHIP_PIXELS] = q1
    square[:, :height, CHIP_PIXELS + gap :] = q2
    square[:, height + gap :, :CHIP_PIXELS] = q3[:, ::-1, ::-1]
    square[:, height + gap :, CHIP_PIXELS + gap :] = q4[:, ::-1, ::-1]
    return square
