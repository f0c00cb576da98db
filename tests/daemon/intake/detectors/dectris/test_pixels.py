"""Packed images: what goes on as it is, what is unpacked, what is refused."""

import struct
from collections.abc import Callable
from typing import Any

import bitshuffle
import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.dectris import LARGEST, noise
from livestrain_daemon.intake.detectors.dectris.pixels import Packed, Packing, to_native, unpack
from livestrain_daemon.intake.payload import PayloadError, decode_payload
from livestrain_simulator.emulators.dectris.packing import bslz4, little_endian, lz4_block, lz4_blocks
from livestrain_wire.messages import FrameDtype

DTYPES: tuple[FrameDtype, ...] = ("uint8", "uint16", "uint32")
SHAPE = (45, 61)
"""Of 2745 pixels: no multiple of 8, so that bitshuffle leaves some over."""


def packed(dtype: FrameDtype, packing: Packing, shape: tuple[int, int] = SHAPE) -> tuple[Packed, NDArray[Any]]:
    image = noise(1, *shape, dtype)[0]
    packers: dict[Packing, Callable[[NDArray[Any]], bytes]] = {
        "raw": lambda pixels: little_endian(pixels).tobytes(),
        "lz4": lz4_block,
        "lz4_blocks": lz4_blocks,
        "bslz4": bslz4,
        "bitshuffle": lambda pixels: bytes(bitshuffle.bitshuffle(little_endian(pixels).reshape(-1)).data),
    }
    made = packers[packing](image)
    size = image.itemsize if packing in ("bslz4", "bitshuffle") else 0
    return Packed(shape, dtype, packing, memoryview(made), element_bytes=size), image


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("packing", ["raw", "lz4", "lz4_blocks", "bslz4", "bitshuffle"])
@pytest.mark.parametrize("shape", [SHAPE, (128, 128), (1, 1)])
def test_every_packing_gives_the_pixels(dtype: FrameDtype, packing: Packing, shape: tuple[int, int]) -> None:
    image, expected = packed(dtype, packing, shape)
    np.testing.assert_array_equal(unpack(image, LARGEST), expected)
    native = to_native(image, LARGEST)
    found = decode_payload(native.payload, native.encoding, (1, *shape), dtype, LARGEST)[0]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("packing", ["raw", "lz4", "bslz4"])
def test_what_the_native_protocol_has_goes_on_as_it_is(packing: Packing) -> None:
    image, _ = packed("uint16", packing)
    native = to_native(image, LARGEST)
    assert (native.encoding, native.payload) == (packing, image.payload)


@pytest.mark.parametrize("dtype", DTYPES)
def test_big_endian_pixels_are_turned(dtype: FrameDtype) -> None:
    expected = noise(1, *SHAPE, dtype)[0]
    turned = expected.astype(expected.dtype.newbyteorder(">")).tobytes()
    native = to_native(Packed(SHAPE, dtype, "raw", memoryview(turned), big_endian=True), LARGEST)
    found = decode_payload(native.payload, native.encoding, (1, *SHAPE), dtype, LARGEST)[0]
    np.testing.assert_array_equal(found, expected)


def test_bitshuffle_by_another_size_than_the_pixels_is_undone() -> None:
    expected = noise(1, 64, 64, "uint32")[0]
    halves = bslz4(expected.view(np.uint16))
    image = Packed((64, 64), "uint32", "bslz4", memoryview(halves), element_bytes=2)
    native = to_native(image, LARGEST)
    found = decode_payload(native.payload, native.encoding, (1, 64, 64), "uint32", LARGEST)[0]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("packing", ["bslz4", "lz4_blocks"])
def test_a_header_of_zeros_means_the_image(packing: Packing) -> None:
    expected = noise(1, 40, 40)[0]
    whole = bslz4(expected) if packing == "bslz4" else lz4_blocks(expected)
    image = Packed((40, 40), "uint16", packing, memoryview(bytes(12) + whole[12:]), element_bytes=2)
    native = to_native(image, LARGEST)
    found = decode_payload(native.payload, native.encoding, (1, 40, 40), "uint16", LARGEST)[0]
    np.testing.assert_array_equal(found, expected)


def framed(size: int, block: int, *blocks: bytes) -> bytes:
    return struct.pack(">QI", size, block) + b"".join(struct.pack(">I", len(one)) + one for one in blocks)


REFUSED: list[tuple[Packing, bytes, str, str]] = [
    ("raw", bytes(31), "wrong_size", "expected 32 bytes in an image, found 31"),
    ("bitshuffle", bytes(31), "wrong_size", "expected 32 bytes in an image, found 31"),
    ("bslz4", b"12345", "bad_encoding", "expected a 12-byte bslz4 header"),
    ("bslz4", framed(1 << 40, 8192), "wrong_size", f"expected 32 bytes in an image, found {1 << 40}"),
    ("bslz4", bytes(12), "bad_encoding", "bslz4 blocks, found the end"),
    ("lz4_blocks", b"", "wrong_size", "too few for it"),
    ("lz4_blocks", b"12345", "bad_encoding", "expected a 12-byte lz4 header"),
    ("lz4_blocks", framed(1 << 40, 8192, bytes(32)), "wrong_size", "expected 32 bytes"),
    ("lz4_blocks", framed(32, 1, bytes(32)), "bad_encoding", "expected blocks of at least 512 bytes, found 1"),
    ("lz4_blocks", framed(32, 8192), "bad_encoding", "expected an lz4 block at byte 12"),
    ("lz4_blocks", framed(32, 8192, b"\xff" * 9), "bad_encoding", "expected an LZ4 block of 32 bytes"),
    ("lz4_blocks", framed(32, 8192, bytes(32)) + b"more", "bad_encoding", "expected the lz4 blocks to end"),
    ("lz4_blocks", framed(32, 8192, bytes(32))[:-1], "bad_encoding", "expected 32 bytes in an lz4 block, found 31"),
    ("lz4", b"\xff" * 9, "bad_encoding", "expected an LZ4 block"),
]


@pytest.mark.parametrize(("packing", "payload", "kind", "text"), REFUSED)
def test_a_wrong_payload_is_refused(packing: Packing, payload: bytes, kind: str, text: str) -> None:
    image = Packed((4, 4), "uint16", packing, memoryview(payload), element_bytes=2)
    with pytest.raises(PayloadError, match=text) as caught:
        unpack(image, LARGEST)
    assert caught.value.kind == kind


def test_an_image_that_is_too_large_is_refused_before_memory_is_taken() -> None:
    image = Packed((65536, 65536), "uint32", "bslz4", memoryview(framed(1 << 34, 8192)), element_bytes=4)
    with pytest.raises(PayloadError, match="expected at most"):
        unpack(image, LARGEST)


@pytest.mark.parametrize("packing", ["lz4", "lz4_blocks", "bslz4"])
def test_any_damage_is_refused_or_unpacked_and_nothing_else(packing: Packing) -> None:
    image, _ = packed("uint16", packing, (16, 16))
    random = np.random.default_rng(5)
    for _ in range(500):
        bad = bytearray(image.payload[: random.integers(1, len(image.payload) + 1)])
        bad[random.integers(len(bad))] = random.integers(256)
        try:
            found = unpack(Packed((16, 16), "uint16", packing, memoryview(bytes(bad)), element_bytes=2), LARGEST)
        except PayloadError:
            continue
        assert found.shape == (16, 16)
