"""Python objects to CBOR (RFC 8949), as far as a detector uses it."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_HEADS = ((1 << 8, 24, "B"), (1 << 16, 25, "H"), (1 << 32, 26, "I"), (1 << 64, 27, "Q"))


@dataclass(frozen=True, slots=True)
class Tag:
    """A value with a meaning that its number stands for."""

    number: int
    value: object


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value that is CBOR already."""

    content: bytes


def encode(value: object) -> bytes:
    """A value as CBOR, in the shortest form of every length."""
    parts: list[bytes] = []
    _append(value, parts)
    return b"".join(parts)


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for limit, info, code in _HEADS:
        if number < limit:
            return struct.pack(f">B{code}", major << 5 | info, number)
    raise ValueError(f"expected a number below 2^64, found {number}")


def _append(value: object, parts: list[bytes]) -> None:
    match value:
        case bytes():
            parts += [_head(2, len(value)), value]
        case Encoded():
            parts.append(value.content)
        case Tag():
            parts.append(_head(6, value.number))
            _append(value.value, parts)
        case Mapping():
            parts.append(_head(5, len(value)))
            for key, item in value.items():
                _append(key, parts)
                _append(item, parts)
        case Sequence() if not isinstance(value, str):
            parts.append(_head(4, len(value)))
            for item in value:
                _append(item, parts)
        case _:
            parts.append(_scalar(value))


def _scalar(value: object) -> bytes:
    match value:
        case bool():
            return b"\xf5" if value else b"\xf4"
        case None:
            return b"\xf6"
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case float():
            return struct.pack(">Bd", 0xFB, value)
        case str():
            text = value.encode()
            return _head(3, len(text)) + text
    raise TypeError(f"expected what CBOR can hold, found {type(value).__name__}")
