"""Bytes that no honest sender sends: a corpus that every decoder meets."""

import pickle
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import msgpack
import numpy as np

from livestrain_daemon.messages import CloseScan, Stored
from livestrain_wire.codec import encode
from livestrain_wire.messages import Frames, Heartbeat, ScanEnd, ScanStart, StatusRequest

Parts = tuple[bytes, ...]

START: dict[str, Any] = {
    "v": 1,
    "type": "scan_start",
    "scan_id": "hostile",
    "scan_shape": [2, 3],
    "frame_shape": [4, 5],
    "dtype": "uint16",
}
FRAMES: dict[str, Any] = {
    "v": 1,
    "type": "frames",
    "scan_id": "hostile",
    "first_index": 0,
    "count": 1,
    "shape": [4, 5],
    "dtype": "uint16",
}
END: dict[str, Any] = {"v": 1, "type": "scan_end", "scan_id": "hostile", "frames_sent": 6}
"""Valid frame messages, as maps: what the wrong ones are made from."""

WRONG_FOR_ANY: dict[str, Any] = {
    "a nested map": {"a": {"b": {}}},
    "a list of lists": [[[]]],
    "bytes": b"\xff\x00\xfe",
    "a very long string": "x" * 100_000,
    "a minus": -1,
    "infinity": float("inf"),
    "not a number": float("nan"),
    "the largest integer": (1 << 64) - 1,
    "the smallest integer": -(1 << 63),
    "an extension": msgpack.ExtType(42, b"code"),
    "a time": msgpack.Timestamp(1, 1),
    "a long list": list(range(1000)),
}
"""Values that are wrong in every field of START, FRAMES and END."""


def msgpack_of(fields: object) -> bytes:
    """Any object as MessagePack."""
    packed: bytes = msgpack.packb(fields, use_bin_type=True)
    return packed


def broken_bytes(seed: int = 1, random_count: int = 60) -> Iterator[tuple[str, bytes]]:
    """
    Bytes that are no message of any kind.

    Parameters
    ----------
    seed
        Of the random ones.
    """
    good = encode(ScanStart.model_validate(START))
    yield "nothing", b""
    for cut in (1, 2, len(good) // 2, len(good) - 1):
        yield f"a message cut after {cut} bytes", good[:cut]
    yield "a message and more", good + b"\x00"
    yield "two messages", good + good
    yield "zeros", bytes(1000)
    yield "the largest header and one byte", bytes((1 << 22) + 1)
    yield "never used byte", b"\xc1" * 10
    for name, code in {"str": 0xDB, "bin": 0xC6, "array": 0xDD, "map": 0xDF}.items():
        yield f"a {name} that claims 4 GiB", bytes([code]) + b"\xff\xff\xff\xff" + b"abc"
    yield "an extension that claims 4 GiB", b"\xc9\xff\xff\xff\xff\x05abc"
    yield "lists in lists, deeper than any stack", b"\x91" * 200_000 + b"\xc0"
    yield "maps in maps, deeper than any stack", b"\x81\xa1a" * 100_000 + b"\xc0"
    yield "lists in a field, deep", b"\x81\xa4type" + b"\x91" * 900 + b"\xc0"
    for name, value in {"none": None, "a number": 7, "a string": "scan_start", "a list": [1, 2], "true": True}.items():
        yield f"{name} instead of a map", msgpack_of(value)
    yield "an empty map", msgpack_of({})
    yield "numbers as keys", b"\x82\x01\x02\x03\x04"
    yield "a list as key", b"\x81\x91\x01\x01"
    yield "invalid UTF-8 in a key", b"\x81\xa2\xff\xfe\x01"
    yield "invalid UTF-8 in a value", b"\x82\xa1v\x01\xa4type\xa3\xff\xfe\xfd"
    yield "a pickle", pickle.dumps({"v": 1, "type": "frames"})
    yield "a pickle that prints", b"cbuiltins\nprint\n(S'harm'\ntR."
    yield "JSON", b'{"v": 1, "type": "scan_start"}'
    yield "HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield "a wrong time", b"\x82\xa1v\x01\xa4type\xc7\x03\xff\x01\x02\x03"
    random = np.random.default_rng(seed)
    for number in range(random_count):
        yield f"random bytes {number}", random.bytes(int(random.integers(1, 300)))
    for number in range(random_count):
        flipped = bytearray(good)
        # the type is kept wrong, so that no flip can make a valid message
        flipped[good.index(b"scan_start")] ^= 0xFF
        flipped[int(random.integers(len(flipped)))] ^= 1 << int(random.integers(8))
        yield f"flipped bits {number}", bytes(flipped)


def broken_versions() -> Iterator[tuple[str, bytes]]:
    """Messages whose version or type makes no sense, or is of another time or socket."""
    for version in (None, "1", 1.0, True, [1], {"v": 1}, float("nan")):
        yield f"version {version!r}", msgpack_of({**START, "v": version})
    for version in (2, 1 << 40, (1 << 64) - 1):
        yield f"newer version {version}", msgpack_of({**START, "v": version})
    yield "no version", msgpack_of(_without(START, "v"))
    for kind in (None, 7, ["scan_start"], {"a": 1}, "", "SCAN_START", "scan_start\x00", b"scan_start", "unheard_of"):
        yield f"type {kind!r}", msgpack_of({**START, "type": kind})
    yield "no type", msgpack_of(_without(START, "type"))


def other_messages() -> Iterator[tuple[str, bytes]]:
    """Valid messages of sockets other than the frames port."""
    yield "a request", encode(StatusRequest(id="1"))
    yield "a heartbeat", encode(Heartbeat(epoch="e", sequence=1, topics={}, utc_ns=1))
    yield "a hint", encode(Stored(scan_id="hostile", runs=((0, 6),)))
    yield "a command to the intake", encode(CloseScan())


def wrong_fields(good: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """
    Messages with one wrong or missing field.

    Parameters
    ----------
    good
        The fields of a valid one; every field that has no default shall be there.
    """
    for field, value in good.items():
        if field in {"v", "type"}:
            continue
        for name, wrong in WRONG_FOR_ANY.items():
            yield f"{field} is {name}", msgpack_of({**good, field: wrong})
        if isinstance(value, int) and not isinstance(value, bool):
            yield f"{field} is true", msgpack_of({**good, field: True})
            yield f"{field} is a fraction", msgpack_of({**good, field: 0.5})
            yield f"{field} is a word", msgpack_of({**good, field: "many"})
        if isinstance(value, list):
            for wrong_list in ([], value[:1], value * 2, [0, *value[1:]], [-1, *value[1:]], [True, *value[1:]]):
                yield f"{field} is {wrong_list}", msgpack_of({**good, field: wrong_list})
            yield f"{field} is huge", msgpack_of({**good, field: [1 << 40, 1 << 40]})
        if isinstance(value, str):
            for wrong_word in ("", "../../etc/passwd", "a/b", ".", "\u0000", "int 128", "x" * 65):
                yield f"{field} is {wrong_word!r:.20}", msgpack_of({**good, field: wrong_word})


def missing_fields(good: Mapping[str, Any], needed: Iterator[str] | tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Messages that lack one of the fields that have no default."""
    for field in needed:
        yield f"no {field}", msgpack_of(_without(good, field))


def hostile_headers() -> Iterator[tuple[str, bytes]]:
    """Everything that a decoder of frame messages must refuse."""
    yield from broken_bytes()
    yield from broken_versions()
    yield from other_messages()
    for kind, good, needed in (
        ("start", START, ("scan_id", "scan_shape", "frame_shape", "dtype")),
        ("frames", FRAMES, ("scan_id", "first_index", "shape", "dtype")),
        ("end", END, ("scan_id",)),
    ):
        for name, packed in (*wrong_fields(good), *missing_fields(good, needed)):
            yield f"{kind}: {name}", packed
    yield "start: explicit with flyback", msgpack_of({**START, "order": "explicit", "flyback_frames": 3})


def hostile_multiparts() -> Iterator[tuple[str, Parts]]:
    """What the frames port must survive and refuse: all headers, alone and with a payload; wrong numbers of parts."""
    payload = bytes(40)
    for name, header in hostile_headers():
        yield name, (header,)
        yield f"{name}, with a payload", (header, payload)
    start, frames, end = (
        encode(ScanStart.model_validate(START)),
        encode(Frames.model_validate(FRAMES)),
        encode(ScanEnd.model_validate(END)),
    )
    yield "frames without a payload", (frames,)
    yield "frames with two payloads", (frames, payload, payload)
    yield "frames with a thousand payloads", (frames, *[b"x"] * 1000)
    yield "payload before the header", (payload, frames)
    yield "raster start with positions", (start, payload)
    yield "end with a payload", (end, payload)
    yield "explicit start without positions", (msgpack_of({**START, "order": "explicit"}),)
    yield "explicit start with half a position", (msgpack_of({**START, "order": "explicit"}), b"abc")
    yield "only empty parts", (b"", b"", b"")


def hostile_streams(seed: int = 3) -> Iterator[tuple[str, bytes]]:
    """
    What may come over a TCP connection that is not one of ZeroMQ, or not a whole one.

    Parameters
    ----------
    seed
        Of the random bytes.
    """
    signature, version = b"\xff" + bytes(8) + b"\x7f", b"\x03\x00"
    greeting = signature + version + b"NULL".ljust(20, b"\x00") + bytes(32)
    random = np.random.default_rng(seed)
    yield "nothing", b""
    yield "HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield "much HTTP", b"GET / HTTP/1.1\r\n\r\n" * 10_000
    yield "the start of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.bytes(500)
    yield "zeros", bytes(1 << 16)
    for cut in (1, len(signature), len(signature) + 1, len(greeting) // 2, len(greeting) - 1):
        yield f"a greeting cut after {cut} bytes", greeting[:cut]
    yield "a greeting and no more", greeting
    yield "a greeting of another mechanism", greeting.replace(b"NULL", b"NONE")
    yield "a greeting and random bytes", greeting + random.bytes(1000)
    yield "a greeting and a command that claims 4 GiB", greeting + b"\x06" + struct.pack(">Q", 1 << 32) + b"READY"
    yield "a greeting and a message that claims all", greeting + b"\x02" + struct.pack(">Q", (1 << 63) - 1)
    ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
    whole = greeting + b"\x04" + bytes([len(ready)]) + ready
    yield "a handshake and a message that claims all", whole + b"\x02" + struct.pack(">Q", (1 << 63) - 1) + b"x"
    yield "a handshake and half a message", whole + b"\x00\x64" + bytes(50)
    for number in range(20):
        yield f"random bytes {number}", random.bytes(int(random.integers(1, 5000)))


def hostile_payloads(pixels: int, itemsize: int) -> Iterator[tuple[str, str, bytes]]:
    """
    Encoding and payload of packed frames that cannot be unpacked.

    Parameters
    ----------
    pixels
        In all frames of the message.
    itemsize
        Of a pixel [bytes].
    """
    size = pixels * itemsize
    header = struct.pack(">QI", size, 8192)
    random = np.random.default_rng(2)
    for encoding in ("lz4", "bslz4"):
        yield f"{encoding}: nothing", encoding, b""
        yield f"{encoding}: one byte", encoding, b"\x00"
        for number in range(20):
            yield f"{encoding}: random {number}", encoding, random.bytes(max(size, 64))
    for cut in (1, 4, 8, 11, 12, 14):
        yield f"bslz4: {cut} bytes", "bslz4", (header + bytes(8))[:cut]
    for name, wrong in {
        "no pixels": (0, 8192),
        "one byte more": (size + 1, 8192),
        "the largest size": ((1 << 64) - 1, 8192),
        "block size 0": (size, 0),
        "block size 1": (size, 1),
        "block size 4 GiB": (size, (1 << 32) - 1),
        "block size 4 GiB less a little": (size, (1 << 32) - 1024),
    }.items():
        yield f"bslz4: {name}", "bslz4", struct.pack(">QI", *wrong) + bytes(size)
    for length in (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, size + 1000):
        yield f"bslz4: a block of {length} bytes", "bslz4", header + struct.pack(">I", length) + bytes(size)
    yield "bslz4: blocks of nothing", "bslz4", header + bytes(max(size, 64))


def _without(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {field: value for field, value in fields.items() if field != name}
