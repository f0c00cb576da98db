"""CBOR (RFC 8949) to Python objects, within bounded memory and depth. Byte strings are not copied."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

DEEPEST = 16
"""Nesting of arrays, maps and tags; a detector needs six."""
MOST_ITEMS = 1 << 14
"""Items in a message, counted with those of nested arrays and maps; a detector sends a few hundred."""

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
"""Major types of items."""
MOST_TEXT_BYTES = 1 << 20
"""Of all texts in a message together: in memory they may be many times as large."""

_ENDLESS = -1
"""In place of a length that only an end mark tells."""
_BREAK = 0xFF
_NUMBERS = {24: struct.Struct(">B"), 25: struct.Struct(">H"), 26: struct.Struct(">I"), 27: struct.Struct(">Q")}
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

    __slots__ = ("_end", "_items_left", "_message", "_readers", "_text_left", "at")

    def __init__(self, message: memoryview) -> None:
        self.at = 0
        self._message = message
        self._end = len(message)
        self._items_left = MOST_ITEMS
        self._text_left = MOST_TEXT_BYTES
        self._readers: tuple[Callable[[int, int], Item], ...] = (
            self._unsigned,
            self._negative,
            self._bytes,
            self._text,
            self._array,
            self._map,
            self._tag,
        )

    def item(self, depth: int) -> Item:
        """The next item."""
        at = self.at
        if at >= self._end:
            raise MalformedCbor(f"expected an item at byte {at}, found the end of the message")
        initial = self._message[at]
        self.at = at + 1
        kind, number = initial >> 5, initial & 31
        if kind == SIMPLE:
            return self._simple(number)
        if number >= 24:
            number = self._number(number)
            if number == _ENDLESS and kind in (UNSIGNED, NEGATIVE, TAG):
                raise MalformedCbor(f"expected a number before byte {self.at}, found none")
        # most items are names and small numbers: they take the short way
        if kind == UNSIGNED:
            return number
        if kind == TEXT and number != _ENDLESS:
            return self._whole_text(number)
        return self._readers[kind](number, depth)

    def _number(self, code: int) -> int:
        if code in _NUMBERS:
            return int(self._unpacked(_NUMBERS[code]))
        if code == 31:
            return _ENDLESS
        raise MalformedCbor(f"expected a length or a value, found the code {code} before byte {self.at}")

    def _unpacked(self, form: struct.Struct) -> int | float:
        at = self.at
        if form.size > self._end - at:
            raise self._cut_off(form.size)
        self.at = at + form.size
        value: int | float = form.unpack_from(self._message, at)[0]
        return value

    def _take(self, count: int) -> memoryview:
        at = self.at
        end = at + count
        if end > self._end:
            raise self._cut_off(count)
        self.at = end
        return self._message[at:end]

    def _cut_off(self, count: int) -> MalformedCbor:
        left = self._end - self.at
        return MalformedCbor(f"expected {count} bytes at byte {self.at}, found {left} to the end of the message")

    def _unsigned(self, number: int, _depth: int) -> Item:
        return number

    def _negative(self, number: int, _depth: int) -> Item:
        return -1 - number

    def _bytes(self, length: int, depth: int) -> Item:
        if length != _ENDLESS:
            return self._take(length)
        chunks: list[memoryview] = []
        for chunk in self._until_break(depth):
            if not isinstance(chunk, memoryview):
                raise MalformedCbor(f"expected a piece of a byte string before byte {self.at}, found something else")
            chunks.append(chunk)
        return memoryview(b"".join(chunks))

    def _text(self, length: int, depth: int) -> Item:
        if length == _ENDLESS:
            pieces: list[str] = []
            for piece in self._until_break(depth):
                if not isinstance(piece, str):
                    raise MalformedCbor(f"expected a piece of a text before byte {self.at}, found something else")
                pieces.append(piece)
            return "".join(pieces)
        return self._whole_text(length)

    def _whole_text(self, length: int) -> str:
        at = self.at
        end = at + length
        if end > self._end:
            raise self._cut_off(length)
        self.at = end
        self._text_left -= length
        if self._text_left < 0:
            raise MalformedCbor(f"expected at most {MOST_TEXT_BYTES} bytes of text, found more before byte {end}")
        try:
            return str(self._message[at:end], "utf-8")
        except UnicodeDecodeError as error:
            raise MalformedCbor(f"expected UTF-8 text before byte {end}, found other bytes") from error

    def _array(self, count: int, depth: int) -> Item:
        if count == _ENDLESS:
            return list(self._until_break(depth))
        self._reserve(count, depth)
        item, deeper = self.item, depth + 1
        return [item(deeper) for _ in range(count)]

    def _map(self, count: int, depth: int) -> Item:
        if count == _ENDLESS:
            items = list(self._until_break(depth))
            if len(items) % 2:
                raise MalformedCbor(f"expected a value to every key before byte {self.at}, found none")
        else:
            self._reserve(2 * count, depth)
            item, deeper = self.item, depth + 1
            items = [item(deeper) for _ in range(2 * count)]
        entries: dict[Item, Item] = {}
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):
                raise MalformedCbor(f"expected a text or a number as a key before byte {self.at}, found something else")
            entries[key] = value
        return entries

    def _tag(self, number: int, depth: int) -> Item:
        self._reserve(1, depth)
        return Tag(number, self.item(depth + 1))

    def _simple(self, code: int) -> Item:
        if code in _FLOATS:
            return float(self._unpacked(_FLOATS[code]))
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        raise MalformedCbor(f"expected a value before byte {self.at}, found the code {code}")

    def _reserve(self, count: int, depth: int) -> None:
        """Items that follow, one level deeper; each takes at least a byte."""
        if depth >= DEEPEST:
            raise MalformedCbor(f"expected at most {DEEPEST} levels of nesting, found more at byte {self.at}")
        left = self._end - self.at
        if count > left:
            raise MalformedCbor(f"expected {count} items after byte {self.at}, found {left} bytes")
        self._items_left -= count
        if self._items_left < 0:
            raise MalformedCbor(f"expected at most {MOST_ITEMS} items, found more at byte {self.at}")

    def _until_break(self, depth: int) -> Iterator[Item]:
        while True:
            if self.at >= self._end:
                text = f"expected an end of what began earlier, found the end of the message at {self.at}"
                raise MalformedCbor(text)
            if self._message[self.at] == _BREAK:
                self.at += 1
                return
            self._reserve(1, depth)
            yield self.item(depth + 1)
