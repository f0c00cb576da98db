"""Pixels as a DECTRIS detector packs them."""

import struct
from typing import Any, Literal, TypeAlias

import bitshuffle
import lz4.block
import numpy as np
from numpy.typing import NDArray

Compression: TypeAlias = Literal["none", "lz4", "bslz4"]
Image: TypeAlias = NDArray[Any]
"""(rows, columns)."""

BLOCK_BYTES = 8192
_HEADER = struct.Struct(">QI")
_LENGTH = struct.Struct(">I")


def little_endian(image: Image) -> Image:
    """The same pixels in the byte order of the streams, one row after the other."""
    return np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("<"))


def lz4_block(image: Image) -> bytes:
    """One LZ4 block and nothing else: `lz4` of stream v1."""
    packed: bytes = lz4.block.compress(little_endian(image).tobytes(), store_size=False)
    return packed


def lz4_blocks(image: Image) -> bytes:
    """A 12-byte header and blocks, each after its length: `lz4` of stream v2."""
    pixels = little_endian(image).tobytes()
    parts = [_HEADER.pack(len(pixels), BLOCK_BYTES)]
    for first in range(0, len(pixels), BLOCK_BYTES):
        block = pixels[first : first + BLOCK_BYTES]
        packed = lz4.block.compress(block, store_size=False)
        stored = packed if len(packed) < len(block) else block
        parts += [_LENGTH.pack(len(stored)), stored]
    return b"".join(parts)


def bslz4(image: Image) -> bytes:
    """A 12-byte header and bitshuffled blocks, each after its length."""
    pixels = little_endian(image)
    packed = bitshuffle.compress_lz4(pixels.reshape(-1), BLOCK_BYTES // pixels.itemsize)
    return _HEADER.pack(pixels.nbytes, BLOCK_BYTES) + bytes(packed.data)
