import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.frames_out import packed
from helpers.hostile import hostile_payloads
from livestrain_daemon.intake.payload import PayloadError, decode_payload
from livestrain_wire.messages import Encoding, FrameDtype

SHAPE = (3, 13, 17)
MIB = 1 << 20
DTYPES: list[FrameDtype] = ["uint8", "uint16", "uint32", "float32"]
ENCODINGS: list[Encoding] = ["raw", "lz4", "bslz4"]


def pixels(dtype: str, shape: tuple[int, int, int] = SHAPE) -> Any:
    return np.random.default_rng(3).integers(0, 9, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 4), SHAPE, (2, 128, 128)])
def test_every_encoding_brings_every_pixel(dtype: FrameDtype, encoding: Encoding, shape: tuple[int, int, int]) -> None:
    sent = pixels(dtype, shape)
    found = decode_payload(memoryview(packed(sent, encoding)), encoding, shape, dtype, MIB)
    assert found.dtype == np.dtype(dtype).newbyteorder("<")
    np.testing.assert_array_equal(found, sent)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_frames_of_another_size_are_of_a_wrong_size(encoding: Encoding) -> None:
    payload = memoryview(packed(pixels("uint16"), encoding))
    decode_payload(payload, encoding, SHAPE, "uint16", MIB)
    for other in ((3, 13, 16), (3, 13, 18), (2, 13, 17)):
        with pytest.raises(PayloadError) as error:
            decode_payload(payload, encoding, other, "uint16", MIB)
        assert error.value.kind in ({"wrong_size", "bad_encoding"} if encoding == "lz4" else {"wrong_size"})


def test_packed_pixels_cannot_ask_for_more_memory_than_a_message_may_have() -> None:
    payload = memoryview(packed(np.zeros((1, 1000, 1000), "uint8"), "lz4"))
    assert decode_payload(payload, "lz4", (1, 1000, 1000), "uint8", MIB).shape == (1, 1000, 1000)
    with pytest.raises(PayloadError, match="at most 1048576 bytes"):
        decode_payload(payload, "lz4", (1 << 20, 65536, 65536), "uint8", MIB)
    with pytest.raises(PayloadError, match="too few"):
        decode_payload(payload[:100], "lz4", (1, 1000, 1000), "uint8", MIB)


@pytest.mark.parametrize("shape", [(1, 4, 5), (2, 128, 128)])
def test_hostile_payloads_are_refused_with_what_was_expected(shape: tuple[int, int, int]) -> None:
    count = int(np.prod(shape))
    for name, encoding, payload in hostile_payloads(count, 2):
        with pytest.raises(PayloadError, match="expected") as error:
            decode_payload(memoryview(payload), encoding, shape, "uint16", MIB)  # type: ignore[arg-type]
        assert error.value.kind in {"wrong_size", "bad_encoding"}, name


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bitshuffle_is_refused_or_decoded_but_never_read_beyond_its_end(data: st.DataObject) -> None:
    payload = bytearray(packed(pixels("uint16"), "bslz4"))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    payload = payload[: data.draw(st.integers(len(payload) - 20, len(payload)))]
    kinds: list[object] = []
    try:
        kinds.append(decode_payload(memoryview(payload), "bslz4", SHAPE, "uint16", MIB).shape)
    except PayloadError as error:
        kinds.append(error.kind)
    assert kinds[0] in {"wrong_size", "bad_encoding", SHAPE}


def test_each_length_of_bitshuffle_is_checked_before_it_is_used() -> None:
    good = packed(np.zeros((1, 128, 128), "uint16"), "bslz4")
    assert decode_payload(memoryview(good), "bslz4", (1, 128, 128), "uint16", MIB).shape == (1, 128, 128)
    (first,) = struct.unpack_from(">I", good, 12)
    second = 12 + 4 + first
    for wrong in (0, 1 << 31, (1 << 32) - 1, len(good)):
        damaged = good[:second] + struct.pack(">I", wrong) + good[second + 4 :]
        with pytest.raises(PayloadError, match="bslz4 block") as error:
            decode_payload(memoryview(damaged), "bslz4", (1, 128, 128), "uint16", MIB)
        assert error.value.kind == "bad_encoding"
