"""Packed pixels as a detector sends them, and what the native protocol calls the same."""

import struct
from dataclasses import dataclass
from typing import Literal, TypeAlias

import bitshuffle
import lz4.block
import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.intake.payload import (
    MAX_RATIO,
    Block,
    PayloadError,
    decode_payload,
)
from livestrain_wire.messages import Encoding, FrameDtype

Packing: TypeAlias = Literal["raw", "lz4", "lz4_blocks", "bslz4", "bitshuffle"]
"""`lz4` is one block alone; `lz4_blocks` and `bslz4` have a 12-byte header, and a length before each block."""

USUAL_BLOCK_BYTES = 8192
SMALLEST_BLOCK_BYTES = 512
"""Of `lz4_blocks`: smaller ones would only cost time."""

_HEADER = struct.Struct(">QI")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Packed:
    """An image as it came."""

    shape: tuple[int, int]
    """(rows, columns)."""
    dtype: FrameDtype
    packing: Packing
    payload: memoryview
    big_endian: bool = False
    element_bytes: int = 0
    """What bitshuffle took for a pixel [bytes]; 0 where it was not used."""

    @property
    def size(self) -> int:
        """Once unpacked [bytes]."""
        return self.shape[0] * self.shape[1] * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class NativePixels:
    """An image in an encoding of the native protocol."""

    encoding: Encoding
    payload: memoryview
    clipped: int = 0
    """Pixels with more counts than the type can hold, which have the largest value instead."""


def to_native(image: Packed, largest: int) -> NativePixels:
    """
    The same image for the native protocol, unpacked only if it has to be.

    Parameters
    ----------
    image
        As it came.
    largest
        Refuse to unpack more than this [bytes].

    Raises
    ------
    PayloadError
        If it cannot be unpacked (``bad_encoding``) or has another size (``wrong_size``).
    """
    itemsize = np.dtype(image.dtype).itemsize
    if not image.big_endian or itemsize == 1:
        if image.packing == "raw":
            _check_size(len(image.payload), image.size)
            return NativePixels("raw", image.payload)
        if image.packing == "lz4":
            return NativePixels("lz4", image.payload)
        if image.packing == "bslz4" and image.element_bytes == itemsize and _tells_sizes(image):
            return NativePixels("bslz4", image.payload)
    return NativePixels("raw", unpack(image, largest).reshape(-1).view(np.uint8).data)


def unpack(image: Packed, largest: int) -> Block:
    """
    The pixels (rows, columns), little-endian.

    Raises
    ------
    PayloadError
        If it cannot be unpacked (``bad_encoding``) or has another size (``wrong_size``).
    """
    if image.size > largest:
        raise PayloadError("wrong_size", f"expected at most {largest} bytes in an image, found {image.size}")
    if image.packing == "raw":
        _check_size(len(image.payload), image.size)
        found: NDArray[np.uint8] = np.frombuffer(image.payload, np.uint8)
    elif image.packing == "bitshuffle":
        found = _unshuffled(image)
    else:
        if len(image.payload) * MAX_RATIO < image.size:
            text = f"expected {image.size} bytes in an image, found {len(image.payload)} packed bytes, too few for it"
            raise PayloadError("wrong_size", text)
        found = _unpacked(image, largest)
    pixel = np.dtype(image.dtype).newbyteorder(">" if image.big_endian else "<")
    pixels = found.view(pixel).reshape(image.shape)
    block: Block = pixels.astype(pixel.newbyteorder("<"), copy=False)
    return block


def _tells_sizes(image: Packed) -> bool:
    """The header is one that native payloads have: the size of the image, and a size of blocks."""
    payload = image.payload
    if len(payload) < _HEADER.size:
        raise PayloadError("bad_encoding", f"expected a 12-byte bslz4 header, found {len(payload)} bytes")
    size, block_bytes = _header(payload)
    if (size, block_bytes) != (0, 0):
        _check_size(size, image.size)
    return size > 0 and block_bytes > 0


def _unpacked(image: Packed, largest: int) -> NDArray[np.uint8]:
    if image.packing == "lz4":
        block = decode_payload(image.payload, "lz4", (1, 1, image.size), "uint8", largest)
    elif image.packing == "lz4_blocks":
        return _unpack_lz4_blocks(image.payload, image.size)
    else:
        block = _unpack_bslz4(image, largest)
    flat: NDArray[np.uint8] = block.reshape(-1).view(np.uint8)
    return flat


def _unpack_bslz4(image: Packed, largest: int) -> Block:
    """By the size of element that the sender used, whatever the pixels are."""
    elements: dict[int, FrameDtype] = {1: "uint8", 2: "uint16", 4: "uint32"}
    if image.element_bytes not in elements:
        text = f"expected bitshuffle of 1, 2 or 4 bytes, found {image.element_bytes}"
        raise PayloadError("bad_encoding", text)
    payload = image.payload
    if not _tells_sizes(image):
        # a sender that leaves sizes out means the image, in blocks of the usual size
        _, block_bytes = _header(payload)
        header = _HEADER.pack(image.size, block_bytes or USUAL_BLOCK_BYTES)
        payload = memoryview(header + payload[_HEADER.size :])
    shape = (1, 1, image.size // image.element_bytes)
    return decode_payload(payload, "bslz4", shape, elements[image.element_bytes], largest)


def _unshuffled(image: Packed) -> NDArray[np.uint8]:
    _check_size(len(image.payload), image.size)
    elements = np.frombuffer(image.payload, f"u{image.element_bytes}")
    flat: NDArray[np.uint8] = bitshuffle.bitunshuffle(elements).view(np.uint8)
    return flat


def _unpack_lz4_blocks(payload: memoryview, expected: int) -> NDArray[np.uint8]:
    """The framing of the LZ4 filter of HDF5: each block after its length, not packed where that gains nothing."""
    if len(payload) < _HEADER.size:
        raise PayloadError("bad_encoding", f"expected a 12-byte lz4 header, found {len(payload)} bytes")
    size, block_bytes = _header(payload)
    if (size, block_bytes) != (0, 0):
        _check_size(size, expected)
    block_bytes = min(block_bytes or expected, expected)
    if block_bytes < min(SMALLEST_BLOCK_BYTES, expected):
        text = f"expected blocks of at least {SMALLEST_BLOCK_BYTES} bytes, found {block_bytes}"
        raise PayloadError("bad_encoding", text)
    if -(-expected // block_bytes) * _LENGTH.size > len(payload):
        raise PayloadError("bad_encoding", f"expected blocks of {block_bytes} bytes, found too few bytes for them")
    pixels = np.empty(expected, np.uint8)
    at = _HEADER.size
    for first in range(0, expected, block_bytes):
        wanted = min(block_bytes, expected - first)
        block, at = _lz4_block(payload, at, wanted)
        pixels[first : first + wanted] = np.frombuffer(block, np.uint8)
    if at != len(payload):
        raise PayloadError("bad_encoding", f"expected the lz4 blocks to end at byte {len(payload)}, found {at}")
    return pixels


def _lz4_block(payload: memoryview, at: int, wanted: int) -> tuple[bytes | memoryview, int]:
    if at + _LENGTH.size > len(payload):
        raise PayloadError("bad_encoding", f"expected an lz4 block at byte {at}, found the end")
    (length,) = _LENGTH.unpack_from(payload, at)
    at += _LENGTH.size
    packed = payload[at : at + length]
    if len(packed) < length:
        raise PayloadError("bad_encoding", f"expected {length} bytes in an lz4 block, found {len(packed)}")
    if length == wanted:
        return packed, at + length
    try:
        block: bytes = lz4.block.decompress(packed, uncompressed_size=wanted)
    except (lz4.block.LZ4BlockError, ValueError, OverflowError) as error:
        text = f"expected an LZ4 block of {wanted} bytes, found other bytes ({error!s:.80})"
        raise PayloadError("bad_encoding", text) from error
    _check_size(len(block), wanted)
    return block, at + length


def _header(payload: memoryview) -> tuple[int, int]:
    """Bytes of the image and of a block."""
    size, block_bytes = _HEADER.unpack_from(payload)
    return int(size), int(block_bytes)


def _check_size(found: int, expected: int) -> None:
    if found != expected:
        raise PayloadError("wrong_size", f"expected {expected} bytes in an image, found {found}")
