"""Frames that are packed one by one, unpacked into memory that is used again and again."""

import ctypes
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

import bitshuffle
import bitshuffle.ext
import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.intake.payload import Block, PayloadError, check_bslz4, decode_payload
from livestrain_wire.messages import Encoding, FrameDtype

HEADER_BYTES = 12
"""Of bslz4: sizes, before the blocks."""

Payload: TypeAlias = memoryview | tuple[memoryview, ...]
"""All frames of a message packed together; or each frame by itself."""
Unpack: TypeAlias = Callable[[int, int, int, int, int], int]


class Unpacker:
    """
    Unpacks the frames of a scan.

    Parameters
    ----------
    frame_shape
        Pixels (rows, columns).
    dtype
        Of a pixel.
    """

    def __init__(self, frame_shape: tuple[int, int], dtype: FrameDtype) -> None:
        self._shape = frame_shape
        self._dtype = dtype
        self._pixel = np.dtype(dtype).newbyteorder("<")
        self._pixels = math.prod(frame_shape)
        self._frame_bytes = self._pixels * self._pixel.itemsize
        self._memory: NDArray[Any] = np.empty((0, *frame_shape), self._pixel)

    def unpacked(
        self, payloads: Sequence[memoryview], encoding: Encoding, largest: int
    ) -> Block | Sequence[memoryview]:
        """
        The frames of a message; they last until the next call.

        Parameters
        ----------
        payloads
            Of each frame.
        encoding
            How each is packed.
        largest
            Refuse to unpack more than this [bytes].

        Raises
        ------
        PayloadError
            If one of them cannot be unpacked or has another size.
        """
        expected = self._frame_bytes
        if len(payloads) * expected > largest:
            raise PayloadError("wrong_size", f"expected at most {largest} bytes of frames in a message, found more")
        if encoding == "raw":
            for payload in payloads:
                if len(payload) != expected:
                    raise PayloadError("wrong_size", f"expected {expected} bytes of frames, found {len(payload)}")
            return payloads
        block = self._room(len(payloads))
        unpack = bslz4_unpacker() if encoding == "bslz4" else None
        if unpack:
            self._unpack_bslz4(payloads, block, unpack)
        else:
            for frame, payload in zip(block, payloads, strict=True):
                frame[...] = decode_payload(payload, encoding, (1, *self._shape), self._dtype, largest)[0]
        return block

    def _room(self, count: int) -> Block:
        if len(self._memory) < count:
            self._memory = np.empty((count, *self._shape), self._pixel)
        room: Block = self._memory[:count]
        return room

    def _unpack_bslz4(self, payloads: Sequence[memoryview], block: Block, unpack: Unpack) -> None:
        itemsize, frame_bytes, pixels = self._pixel.itemsize, self._frame_bytes, self._pixels
        into = block.ctypes.data
        for payload in payloads:
            block_pixels = check_bslz4(payload, frame_bytes, itemsize)
            packed = np.frombuffer(payload, np.uint8)
            used = unpack(packed.ctypes.data + HEADER_BYTES, into, pixels, itemsize, block_pixels)
            if used != len(payload) - HEADER_BYTES:
                raise PayloadError("bad_encoding", f"expected bitshuffle-LZ4 blocks, found other bytes ({used})")
            into += frame_bytes


@cache
def bslz4_unpacker() -> Unpack | None:
    """
    The library's function itself: from an address to an address, pixels, bytes of a pixel, pixels of a block.

    It returns the bytes that it has read, or a number below zero. Called like this, it writes where the frames are
    wanted, and other threads run meanwhile, which bitshuffle's own wrapper does not allow. None if this build of
    bitshuffle does not have it for others to call.
    """
    try:
        function = ctypes.CDLL(bitshuffle.ext.__file__).bshuf_decompress_lz4
    except (OSError, AttributeError):
        return None
    function.restype = ctypes.c_int64
    function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t)
    found: Unpack = function
    return found
