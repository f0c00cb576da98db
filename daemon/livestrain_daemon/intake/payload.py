"""Payloads to pixels. Nothing here trusts a length that came over the wire."""

import bitshuffle
import lz4.block
import numpy as np
from numpy.typing import NDArray

from livestrain_wire import bslz4
from livestrain_wire.errors import WrongLength
from livestrain_wire.messages import Encoding, FrameDtype

Block = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32] | NDArray[np.float32]
"""(count, rows, columns), little-endian."""

MAX_RATIO = 255
"""LZ4 packs 255 bytes into one at best."""


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
    packed = np.frombuffer(payload, np.uint8, offset=bslz4.HEADER.size)
    try:
        block: Block = bitshuffle.decompress_lz4(packed, shape, pixel, block_pixels)
    except (RuntimeError, ValueError) as error:
        raise PayloadError(
            "bad_encoding", f"expected bitshuffle-LZ4 blocks, found other bytes ({error!s:.80})"
        ) from error
    return block


def check_bslz4(payload: memoryview, expected: int, itemsize: int) -> int:
    """
    The same as `bslz4.block_pixels`, told as a fault to count.

    Raises
    ------
    PayloadError
        If any length is wrong.
    """
    try:
        return bslz4.block_pixels(payload, expected, itemsize)
    except WrongLength as error:
        raise PayloadError(error.kind, str(error)) from error
