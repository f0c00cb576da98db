"""CBOR in: values as RFC 8949 lists them, and bytes that want too much."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from livestrain_daemon.intake.detectors.dectris.cbor import (
    DEEPEST,
    MOST_ITEMS,
    MOST_TEXT_BYTES,
    MalformedCbor,
    Tag,
    decode,
)
from livestrain_simulator.emulators.dectris.cbor import encode

VALUES = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("20", -1),
    ("3903e7", -1000),
    ("f93c00", 1.0),
    ("fa47c35000", 100000.0),
    ("fb3ff199999999999a", 1.1),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("f7", None),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("64f0908591", "\U00010151"),
    ("83010203", [1, 2, 3]),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
    ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
    ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
    ("7f657374726561646d696e67ff", "streaming"),
]
"""From appendix A of RFC 8949."""


@pytest.mark.parametrize(("packed", "value"), VALUES)
def test_values_of_the_standard_are_read(packed: str, value: object) -> None:
    assert decode(memoryview(bytes.fromhex(packed))) == value


def test_tags_keep_their_number() -> None:
    assert decode(memoryview(bytes.fromhex("d9d9f7d82801"))) == Tag(55799, Tag(40, 1))


def test_byte_strings_are_not_copied() -> None:
    message = bytearray.fromhex("8144aabbccdd")
    found: Any = decode(memoryview(message))
    message[2] = 0
    assert bytes(found[0]) == b"\x00\xbb\xcc\xdd"


HOSTILE = [
    ("nothing", b"", "expected an item at byte 0, found the end"),
    ("bytes of 2^40", b"\x5b" + (1 << 40).to_bytes(8) + bytes(100), f"expected {1 << 40} bytes"),
    ("text of 2^63", b"\x7b" + (1 << 63).to_bytes(8), "bytes at byte"),
    ("array of 2^40", b"\x9b" + (1 << 40).to_bytes(8) + bytes(100), f"expected {1 << 40} items"),
    ("map of 2^40", b"\xbb" + (1 << 40).to_bytes(8) + bytes(100), f"expected {1 << 41} items"),
    ("nested arrays", b"\x81" * 100_000, f"at most {DEEPEST} levels"),
    ("nested endless arrays", b"\x9f" * 100_000, f"at most {DEEPEST} levels"),
    ("nested tags", b"\xc1" * 100_000, f"at most {DEEPEST} levels"),
    ("nested pieces of bytes", b"\x5f" * 100_000, f"at most {DEEPEST} levels"),
    ("many items", b"\x9a\x00\x0f\x42\x40" + bytes(1_000_000), f"at most {MOST_ITEMS} items"),
    ("a long text", encode("\U0001f600" + "\0" * (8 * MOST_TEXT_BYTES)), f"at most {MOST_TEXT_BYTES} bytes of text"),
    ("many long texts", b"\x98\x40" + 64 * encode("x" * 40_000), f"at most {MOST_TEXT_BYTES} bytes of text"),
    ("long pieces of text", b"\x7f" + 64 * encode("x" * 40_000) + b"\xff", f"at most {MOST_TEXT_BYTES} bytes of text"),
    ("many pieces", b"\x9f" + bytes(1_000_000), f"at most {MOST_ITEMS} items"),
    ("no end", b"\x9f\x01", "found the end of the message"),
    ("a break alone", b"\xff", "the code 31"),
    ("a reserved length", b"\x1c", "the code 28"),
    ("a simple value nobody knows", b"\xe0", "the code 0"),
    ("no UTF-8", b"\x62\xff\xff", "expected UTF-8"),
    ("a list as a key", b"\xa1\x80\x01", "as a key"),
    ("two items", b"\x01\x02", "expected the end of the message at byte 1"),
    ("an odd end of a map", b"\xbf\x01\xff", "a value to every key"),
    ("a tag without a number", b"\xdf\x01", "expected a number"),
    ("a number without a value", b"\x1f", "expected a number"),
    ("half a float", b"\xfb\x00", "expected 8 bytes"),
    ("a number among pieces of bytes", b"\x5f\x01\xff", "a piece of a byte string"),
    ("a number among pieces of text", b"\x7f\x01\xff", "a piece of a text"),
]


@pytest.mark.parametrize(("message", "text"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_bytes_that_want_too_much_are_refused_in_little_memory(message: bytes, text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MalformedCbor, match=text.replace("^", r"\^")):
            decode(memoryview(message))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_text_of_some_length_is_read() -> None:
    assert decode(memoryview(encode("x" * MOST_TEXT_BYTES))) == "x" * MOST_TEXT_BYTES


def test_any_damage_is_refused_or_read_and_nothing_else() -> None:
    good = encode({"type": "image", "list": [1, 2.5, None, "text", b"bytes"], "map": {"a": [True, False, -7]}})
    assert decode(memoryview(good))
    random = np.random.default_rng(4)
    for _ in range(3000):
        bad = bytearray(good[: random.integers(1, len(good) + 1)])
        for _ in range(random.integers(1, 4)):
            bad[random.integers(len(bad))] = random.integers(256)
        try:
            decode(memoryview(bytes(bad)))
        except MalformedCbor:
            continue


def test_what_the_emulator_writes_cbor2_reads_and_so_do_we() -> None:
    cbor2 = pytest.importorskip("cbor2", reason="cbor2, of the extra dev, is not installed")
    value = {
        "numbers": [0, 23, 24, 255, 256, 65535, 65536, 1 << 32, (1 << 64) - 1, -1, -25, -(1 << 40)],
        "others": [True, False, None, 1.5, "text", "ü" * 30, b"bytes" * 100],
        "many": {str(number): number for number in range(30)},
    }
    packed = encode(value)
    assert cbor2.loads(packed) == value
    assert decode(memoryview(packed)) == value
    assert decode(memoryview(cbor2.dumps(value))) == value
