"""CBOR (RFC 8949) to Python objects, within bounded memory and depth. Byte strings are not copied."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

DEEPEST = 16
"""Nesting of arrays, maps and tags; a detector needs six."""
MOST_ITEMS = 1 << 14
"""Items in a message, counted with those of nested arrays and maps; a detector sends a few hundred."""

_LENGTHS = {24: 1, 25: 2, 26: 4, 27: 8}
_BREAK = 0xFF
_FLOATS = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: struct.Struct(">d")}
_CONSTANTS: dict[int, "Item"] = {20: False, 21: True, 22: None, 23: None}


@dataclass(frozen=True, slots=True)
class Tag:
    """A value with a meaning that its number stands for."""

    number: int
    value: "Item"


Item: TypeAlias = "int | float | str | bool | memoryview | list[Item] | dict[Item, Item] | Tag | None"


class MalformedCbor(ValueError):
    """Bytes that are no CBOR, or more of it than any detector sends."""


def decode(message: memoryview) -> Item:
    """
    The one item that a message holds.

    Raises
    ------
    MalformedCbor
        If it is cut off, too deep, too long, or followed by something else.
    """
    reader = _Reader(message)
    item = reader.item(0)
    if reader.at != len(message):
        raise MalformedCbor(f"expected the end of the message at byte {reader.at}, found {len(message)} bytes")
    return item


class _Reader:
    """Goes once through a message; every length is held against what is left before anything is made of it."""

    def __init__(self, message: memoryview) -> None:
        self.at = 0
        self._message = message
        self._end = len(message)
        self._items_left = MOST_ITEMS
        self._readers: tuple[Callable[[int, int], Item], ...] = (
            self._unsigned,
            self._negative,
            self._bytes,
            self._text,
            self._array,
            self._map,
            self._tag,
            self._simple,
        )

    def item(self, depth: int) -> Item:
        """The next item."""
        if depth > DEEPEST:
            raise MalformedCbor(f"expected at most {DEEPEST} levels of nesting, found more at byte {self.at}")
        self._items_left -= 1
        if self._items_left < 0:
            raise MalformedCbor(f"expected at most {MOST_ITEMS} items, found more at byte {self.at}")
        initial = self._take(1)[0]
        return self._readers[initial >> 5](initial & 31, depth)

    def _take(self, count: int) -> memoryview:
        if count > self._end - self.at:
            text = f"expected {count} bytes at byte {self.at}, found {self._end - self.at} to the end of the message"
            raise MalformedCbor(text)
        taken = self._message[self.at : self.at + count]
        self.at += count
        return taken

    def _number(self, info: int) -> int:
        if info < 24:
            return info
        if info not in _LENGTHS:
            raise MalformedCbor(f"expected a length or a value, found the code {info} before byte {self.at}")
        return int.from_bytes(self._take(_LENGTHS[info]))

    def _unsigned(self, info: int, _depth: int) -> Item:
        return self._number(info)

    def _negative(self, info: int, _depth: int) -> Item:
        return -1 - self._number(info)

    def _bytes(self, info: int, depth: int) -> Item:
        if info != 31:
            return self._take(self._number(info))
        chunks: list[memoryview] = []
        while not self._at_break():
            chunk = self.item(depth + 1)
            if not isinstance(chunk, memoryview):
                raise MalformedCbor(f"expected a piece of a byte string before byte {self.at}, found something else")
            chunks.append(chunk)
        return memoryview(b"".join(chunks))

    def _text(self, info: int, depth: int) -> Item:
        if info == 31:
            pieces: list[str] = []
            while not self._at_break():
                piece = self.item(depth + 1)
                if not isinstance(piece, str):
                    raise MalformedCbor(f"expected a piece of a text before byte {self.at}, found something else")
                pieces.append(piece)
            return "".join(pieces)
        try:
            return str(self._take(self._number(info)), "utf-8")
        except UnicodeDecodeError as error:
            raise MalformedCbor(f"expected UTF-8 text before byte {self.at}, found other bytes") from error

    def _array(self, info: int, depth: int) -> Item:
        if info == 31:
            items: list[Item] = []
            while not self._at_break():
                items.append(self.item(depth + 1))
            return items
        return [self.item(depth + 1) for _ in range(self._count(info, 1))]

    def _map(self, info: int, depth: int) -> Item:
        entries: dict[Item, Item] = {}
        if info == 31:
            while not self._at_break():
                self._entry(entries, depth)
        else:
            for _ in range(self._count(info, 2)):
                self._entry(entries, depth)
        return entries

    def _entry(self, entries: dict[Item, Item], depth: int) -> None:
        key = self.item(depth + 1)
        if not isinstance(key, str | int):
            raise MalformedCbor(f"expected a text or a number as a key before byte {self.at}, found something else")
        entries[key] = self.item(depth + 1)

    def _tag(self, info: int, depth: int) -> Item:
        return Tag(self._number(info), self.item(depth + 1))

    def _simple(self, info: int, _depth: int) -> Item:
        if info in _FLOATS:
            value: float = _FLOATS[info].unpack(self._take(_FLOATS[info].size))[0]
            return value
        if info in _CONSTANTS:
            return _CONSTANTS[info]
        raise MalformedCbor(f"expected a value before byte {self.at}, found the code {info}")

    def _count(self, info: int, bytes_each: int) -> int:
        """How many items follow; each takes at least some bytes."""
        count = self._number(info)
        left = self._end - self.at
        if count * bytes_each > left:
            raise MalformedCbor(f"expected {count} items after byte {self.at}, found {left} bytes")
        return count

    def _at_break(self) -> bool:
        if self.at >= self._end:
            raise MalformedCbor(f"expected an end of what began earlier, found the end of the message at {self.at}")
        if self._message[self.at] != _BREAK:
            return False
        self.at += 1
        return True
