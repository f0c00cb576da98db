"""Frames that are packed one by one, unpacked into memory that is used again and again."""

import ctypes
import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import chain
from typing import Any, TypeAlias

import bitshuffle
import bitshuffle.ext
import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.intake.payload import Block, PayloadError, check_bslz4, decode_payload
from livestrain_wire.bslz4 import MULTIPLE
from livestrain_wire.messages import Encoding, FrameDtype

HEADER_BYTES = 12
"""Of bslz4: sizes, before the blocks."""
_LENGTH_BYTES = 4
WORTH_SHARING_BYTES = 1 << 18
"""Less than this is unpacked before another thread has begun with its part of it [bytes]."""
GROUP_FRAMES = 4
"""Unpacked by one thread before it looks what is left."""

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
        joined = np.frombuffer(b"".join(payloads), np.uint8)
        ends = np.cumsum([len(payload) for payload in payloads])
        block_pixels = check_all_bslz4(joined, ends, self._frame_bytes, self._pixel.itemsize)
        source, into = joined.ctypes.data, block.ctypes.data
        bounds = [0, *ends.tolist()]

        def unpack_some(groups: Iterable[range]) -> None:
            for at in chain.from_iterable(groups):
                start, size = bounds[at] + HEADER_BYTES, bounds[at + 1] - bounds[at] - HEADER_BYTES
                to = into + at * self._frame_bytes
                used = unpack(source + start, to, self._pixels, self._pixel.itemsize, block_pixels)
                if used != size:
                    raise PayloadError("bad_encoding", f"expected bitshuffle-LZ4 blocks, found other bytes ({used})")

        count, helper = len(payloads), _helper()
        if helper is None or block.nbytes < WORTH_SHARING_BYTES:
            unpack_some([range(count)])
            return
        # whoever is sooner done takes more: the other core may be busy with something else
        groups = iter([range(first, min(first + GROUP_FRAMES, count)) for first in range(0, count, GROUP_FRAMES)])
        others = helper.submit(unpack_some, groups)
        try:
            unpack_some(groups)
        finally:
            # it writes to the same memory: nothing goes on before it is done, if it has begun
            begun = not others.cancel()
            if begun:
                wait([others])
        if begun:
            others.result()


def check_all_bslz4(joined: NDArray[np.uint8], ends: NDArray[np.int64], expected: int, itemsize: int) -> int:
    """
    `check_bslz4` of frames that are packed alike.

    Parameters
    ----------
    joined : (bytes,)
        Payloads, one after the other.
    ends : (frames,)
        Where each of them ends.
    expected
        Size of a frame once unpacked [bytes].
    itemsize
        Of a pixel [bytes].

    Returns
    -------
    int
        Block size [pixels].

    Raises
    ------
    PayloadError
        If any length is wrong, or their headers differ.
    """
    starts = np.concatenate(([0], ends[:-1]))
    # decides on the header, which all of them must have
    block_pixels = check_bslz4(joined.data[: ends[0]], expected, itemsize)
    if (ends - starts < HEADER_BYTES).any():
        raise PayloadError("bad_encoding", "expected a 12-byte bslz4 header in each frame, found fewer bytes")
    headers = joined[starts[:, np.newaxis] + np.arange(HEADER_BYTES)]
    if (headers != headers[0]).any():
        raise PayloadError("bad_encoding", "expected the same bslz4 header in each frame, found others")
    left_over = expected % (MULTIPLE * itemsize)
    blocks = -(-(expected - left_over) // (block_pixels * itemsize))
    lengths: NDArray[np.uint32] = np.ndarray((len(joined) - _LENGTH_BYTES + 1,), ">u4", joined, strides=(1,))
    at, last = starts + HEADER_BYTES, ends - left_over
    for block in range(blocks):
        if (at + _LENGTH_BYTES > last).any():
            raise PayloadError("bad_encoding", f"expected {blocks} bslz4 blocks, found the end in block {block}")
        at += lengths[at]
        at += _LENGTH_BYTES
        if (at > last).any():
            raise PayloadError("bad_encoding", f"expected bslz4 block {block} to end with its frame, found it longer")
    if (at != last).any():
        raise PayloadError("bad_encoding", "expected the bslz4 blocks to end with each frame, found more")
    return block_pixels


@cache
def _helper() -> ThreadPoolExecutor | None:
    """A second thread, where there is a second core for it."""
    return ThreadPoolExecutor(1, "unpack") if len(os.sched_getaffinity(0)) > 1 else None


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
