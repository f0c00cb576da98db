"""Payloads to pixels. Nothing here trusts a length that came over the wire."""

import struct

import bitshuffle
import lz4.block
import numpy as np
from numpy.typing import NDArray

from livestrain_wire.messages import Encoding, FrameDtype

Block = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32] | NDArray[np.float32]
"""(count, rows, columns), little-endian."""

MAX_RATIO = 255
"""LZ4 packs 255 bytes into one at best."""
BITSHUFFLE_MULTIPLE = 8
"""Bitshuffle works on groups of so many pixels; what is left over at the end is not packed."""
LARGEST_BLOCK_BYTES = 1 << 24
"""The library sets so much memory aside for each block; senders use 8192."""

_HEADER = struct.Struct(">QI")
_LENGTH = struct.Struct(">I")


class PayloadError(ValueError):
    """A payload that is not what its header says; ``kind`` is the fault to count."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def decode_payload(
    payload: memoryview, encoding: Encoding, shape: tuple[int, int, int], dtype: FrameDtype, largest: int
) -> Block:
    """
    The frames of one message.

    Parameters
    ----------
    payload
        The part that follows the header.
    encoding
        How it is packed.
    shape
        (count, rows, columns).
    dtype
        Of a pixel.
    largest
        Refuse to unpack more than this [bytes].

    Raises
    ------
    PayloadError
        If the payload cannot be unpacked (``bad_encoding``) or has another size (``wrong_size``).
    """
    pixel = np.dtype(dtype).newbyteorder("<")
    expected = shape[0] * shape[1] * shape[2] * pixel.itemsize
    if expected > largest:
        raise PayloadError("wrong_size", f"expected at most {largest} bytes of frames in a message, found {expected}")
    if encoding == "raw":
        _check_size(len(payload), expected)
        return np.frombuffer(payload, pixel).reshape(shape)
    if len(payload) * MAX_RATIO < expected:
        text = f"expected {expected} bytes of frames, found {len(payload)} packed bytes, too few to hold them"
        raise PayloadError("wrong_size", text)
    if encoding == "lz4":
        return np.frombuffer(_unpack_lz4(payload, expected), pixel).reshape(shape)
    return _unpack_bslz4(payload, shape, pixel, expected)


def _check_size(found: int, expected: int) -> None:
    if found != expected:
        raise PayloadError("wrong_size", f"expected {expected} bytes of frames, found {found}")


def _unpack_lz4(payload: memoryview, expected: int) -> bytes:
    try:
        unpacked: bytes = lz4.block.decompress(payload, uncompressed_size=expected)
    except (lz4.block.LZ4BlockError, ValueError, OverflowError) as error:
        text = f"expected an LZ4 block of {expected} bytes, found {len(payload)} other bytes ({error!s:.80})"
        raise PayloadError("bad_encoding", text) from error
    _check_size(len(unpacked), expected)
    return unpacked


def _unpack_bslz4(
    payload: memoryview, shape: tuple[int, int, int], pixel: np.dtype[np.generic], expected: int
) -> Block:
    block_pixels = check_bslz4(payload, expected, pixel.itemsize)
    packed = np.frombuffer(payload, np.uint8, offset=_HEADER.size)
    try:
        block: Block = bitshuffle.decompress_lz4(packed, shape, pixel, block_pixels)
    except (RuntimeError, ValueError) as error:
        raise PayloadError(
            "bad_encoding", f"expected bitshuffle-LZ4 blocks, found other bytes ({error!s:.80})"
        ) from error
    return block


def check_bslz4(payload: memoryview, expected: int, itemsize: int) -> int:
    """
    Walk the lengths of a bitshuffle-LZ4 payload, because the library that unpacks it trusts them.

    Parameters
    ----------
    payload
        12-byte header and blocks, each after its length.
    expected
        Size once unpacked [bytes].
    itemsize
        Of a pixel [bytes].

    Returns
    -------
    int
        Block size [pixels].

    Raises
    ------
    PayloadError
        If any length is wrong.
    """
    if len(payload) < _HEADER.size:
        raise PayloadError("bad_encoding", f"expected a 12-byte bslz4 header, found {len(payload)} bytes")
    size, block_bytes = _HEADER.unpack_from(payload)
    _check_size(size, expected)
    multiple = BITSHUFFLE_MULTIPLE * itemsize
    if not 0 < block_bytes <= LARGEST_BLOCK_BYTES or block_bytes % multiple:
        text = (
            f"expected a block size in multiples of {multiple} bytes up to {LARGEST_BLOCK_BYTES}, found {block_bytes}"
        )
        raise PayloadError("bad_encoding", text)
    packed = expected - expected % multiple
    blocks = -(-packed // block_bytes)
    at, end = _HEADER.size, len(payload) - expected % multiple
    for block in range(blocks):
        if at + _LENGTH.size > end:
            raise PayloadError("bad_encoding", f"expected {blocks} bslz4 blocks, found the end in block {block}")
        (length,) = _LENGTH.unpack_from(payload, at)
        at += _LENGTH.size + length
        if at > end:
            text = f"expected at most {end - at + length} bytes in bslz4 block {block}, found a length of {length}"
            raise PayloadError("bad_encoding", text)
    if at != end:
        raise PayloadError("bad_encoding", f"expected the bslz4 blocks to end at byte {end}, found {at}")
    return int(block_bytes // itemsize)
