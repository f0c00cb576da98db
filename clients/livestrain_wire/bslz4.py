"""What bitshuffle-LZ4 says of its own lengths; the libraries that unpack it trust them."""

import struct

from livestrain_wire.errors import WrongLength

HEADER = struct.Struct(">QI")
"""Size once unpacked, and of a block [bytes]."""
LENGTH = struct.Struct(">I")
"""Of a packed block, before each [bytes]."""
MULTIPLE = 8
"""Bitshuffle works on groups of so many pixels; what is left over at the end is not packed."""
LARGEST_BLOCK_BYTES = 1 << 24
"""The library sets so much memory aside for each block; senders use 8192."""


def block_pixels(payload: memoryview, expected: int, itemsize: int) -> int:
    """
    The block size of a payload whose lengths are all right.

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
    WrongLength
        If any length is wrong.
    """
    if len(payload) < HEADER.size:
        raise WrongLength("bad_encoding", f"expected a 12-byte bslz4 header, found {len(payload)} bytes")
    size, block_bytes = HEADER.unpack_from(payload)
    if size != expected:
        raise WrongLength("wrong_size", f"expected {expected} bytes of frames, found {size}")
    multiple = MULTIPLE * itemsize
    if not 0 < block_bytes <= LARGEST_BLOCK_BYTES or block_bytes % multiple:
        text = (
            f"expected a block size in multiples of {multiple} bytes up to {LARGEST_BLOCK_BYTES}, found {block_bytes}"
        )
        raise WrongLength("bad_encoding", text)
    packed = expected - expected % multiple
    blocks = -(-packed // block_bytes)
    at, end = HEADER.size, len(payload) - expected % multiple
    for block in range(blocks):
        if at + LENGTH.size > end:
            raise WrongLength("bad_encoding", f"expected {blocks} bslz4 blocks, found the end in block {block}")
        (length,) = LENGTH.unpack_from(payload, at)
        at += LENGTH.size + length
        if at > end:
            text = f"expected at most {end - at + length} bytes in bslz4 block {block}, found a length of {length}"
            raise WrongLength("bad_encoding", text)
    if at != end:
        raise WrongLength("bad_encoding", f"expected the bslz4 blocks to end at byte {end}, found {at}")
    return int(block_bytes // itemsize)
