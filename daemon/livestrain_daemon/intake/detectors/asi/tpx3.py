"""
Headers of the stream of a CheeTah TPX3, 32 bytes each, little-endian.

An acquisition has scans, a scan has chunks, a chunk has some frames as a sparse matrix in rows (CSR): one row is one
frame, with the flat numbers of its pixels that are not zero, and their values.
"""

import struct
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from livestrain_daemon.intake.detectors.asi.errors import WrongMessage
from livestrain_daemon.intake.detectors.positions import MOST_FRAMES

HEADER_BYTES = 32
VERSION = 7
FORMATS = {0: "CSR", 1: "CSR of times over threshold"}
CSR = 0
DTYPES: dict[int, np.dtype[np.generic]] = {
    2: np.dtype("<u1"),
    3: np.dtype("<u2"),
    4: np.dtype("<u4"),
    5: np.dtype("<u8"),
}
WIDEST = np.dtype("<u4")
"""Counts are handed on with no more bits; larger ones become its largest value."""
LARGEST_METADATA = 1 << 20
MOST_PADDING = 4096
"""Between the three arrays of a chunk [bytes]."""

_ACQUISITION = struct.Struct("<BBBHHBHHBI15s")
_SCAN = struct.Struct("<BIQ19s")
_CHUNK = struct.Struct("<BBIIII14s")
_END = struct.Struct("<BI27s")


@dataclass(frozen=True, slots=True)
class AcquisitionStart:
    """Scans of one form follow."""

    sequence: int
    scan_shape: tuple[int, int]
    """(rows, columns)."""
    frame_shape: tuple[int, int]
    """(rows, columns)."""
    pointers: np.dtype[np.generic]
    """Type of where the frames begin in a chunk."""
    indices: np.dtype[np.generic]
    """Type of the numbers of pixels."""
    body_bytes: int = 0

    @property
    def frames(self) -> int:
        """In a scan."""
        return self.scan_shape[0] * self.scan_shape[1]

    @property
    def pixels(self) -> int:
        """In a frame."""
        return self.frame_shape[0] * self.frame_shape[1]


@dataclass(frozen=True, slots=True)
class ScanStart:
    """A scan begins; JSON follows."""

    sequence: int
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames follow."""

    values: np.dtype[np.generic]
    frames: int
    length: int
    """Pixels that are not zero."""
    indices_offset: int
    """Where the numbers of pixels begin, from the end of the header [bytes]."""
    values_offset: int

    @property
    def body_bytes(self) -> int:
        """What follows."""
        return self.values_offset + self.length * self.values.itemsize


@dataclass(frozen=True, slots=True)
class ScanEnd:
    """A scan has ended."""

    sequence: int
    body_bytes: int = 0


@dataclass(frozen=True, slots=True)
class AcquisitionEnd:
    """Nothing more comes."""

    sequence: int
    body_bytes: int = 0


Header: TypeAlias = AcquisitionStart | ScanStart | Chunk | ScanEnd | AcquisitionEnd


def tpx3_header(data: bytes, start: AcquisitionStart | None, largest: int) -> Header:
    """
    A header.

    Parameters
    ----------
    data
        32 bytes.
    start
        Of the acquisition, if one has begun.
    largest
        What follows a header may not be longer, nor a frame larger [bytes].

    Raises
    ------
    WrongMessage
        If they are no header, or one of another version or form.
    """
    match data[0]:
        case 0:
            return _acquisition(data, largest)
        case 1:
            _, sequence, size, _ = _SCAN.unpack(data)
            if size > min(LARGEST_METADATA, largest):
                raise WrongMessage("bad_message", f"expected at most {LARGEST_METADATA} bytes of JSON, found {size}")
            return ScanStart(sequence, size)
        case 2:
            return _chunk(data, start, largest)
        case 3:
            return ScanEnd(_END.unpack(data)[1])
        case 4:
            return AcquisitionEnd(_END.unpack(data)[1])
    raise WrongMessage("bad_message", f"expected a header of kind 0 to 4, found {data[:8].hex(' ')}")


def _acquisition(data: bytes, largest: int) -> AcquisitionStart:
    _, version, form, ny, nx, pointers, sy, sx, indices, sequence, _ = _ACQUISITION.unpack(data)
    if version != VERSION:
        raise WrongMessage("bad_encoding", f"expected version {VERSION} of the TPX3 stream, found {version}")
    if form != CSR:
        found = FORMATS.get(form, "unknown")
        raise WrongMessage(
            "bad_encoding", f"expected format {CSR} ({FORMATS[CSR]}) of the TPX3 stream, found {form} ({found})"
        )
    if pointers not in DTYPES or indices not in DTYPES:
        raise WrongMessage("wrong_dtype", f"expected whole numbers of 8 to 64 bits, found codes {pointers}, {indices}")
    if not (ny and nx and sy and sx):
        raise WrongMessage("wrong_size", f"expected a scan of frames, found {ny} x {nx} frames of {sy} x {sx} pixels")
    if ny * nx > MOST_FRAMES:
        raise WrongMessage("wrong_size", f"expected a scan of at most {MOST_FRAMES} frames, found {ny} x {nx}")
    if sy * sx * WIDEST.itemsize > largest:
        raise WrongMessage("wrong_size", f"expected frames of at most {largest} bytes, found {sy} x {sx} pixels")
    return AcquisitionStart(sequence, (ny, nx), (sy, sx), DTYPES[pointers], DTYPES[indices])


def _chunk(data: bytes, start: AcquisitionStart | None, largest: int) -> Chunk:
    _, values, frames, length, indices_offset, values_offset, _ = _CHUNK.unpack(data)
    if values not in DTYPES:
        raise WrongMessage("wrong_dtype", f"expected counts of 8 to 64 bits, found code {values}")
    chunk = Chunk(DTYPES[values], frames, length, indices_offset, values_offset)
    if chunk.body_bytes > largest:
        raise WrongMessage("bad_message", f"expected a chunk of at most {largest} bytes, found {chunk.body_bytes}")
    if start is None:
        return chunk
    pointers, indices = (frames + 1) * start.pointers.itemsize, length * start.indices.itemsize
    if (
        frames > start.frames
        or length > frames * start.pixels
        or not 0 <= indices_offset - pointers <= MOST_PADDING
        or not 0 <= values_offset - indices_offset - indices <= MOST_PADDING
    ):
        text = (
            f"expected a chunk of up to {start.frames} frames of {start.pixels} pixels, found {frames} frames with "
            f"{length} counts, their indices at {indices_offset} and values at {values_offset}"
        )
        raise WrongMessage("bad_message", text)
    return chunk
