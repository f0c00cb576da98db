"""
Image messages of stream v2 that are laid out like one before.

Two images of a series differ in their number, their times and their pixels. What the general reader has made out of
one it need not make out of the next: where all bytes with a meaning are the same, the meaning is the same. A message
that differs anywhere else than in the bytes of a number is left to the general reader.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from livestrain_daemon.intake.detectors.dectris.cbor import ARRAY, BYTES, MAP, NEGATIVE, SIMPLE, TAG, TEXT, UNSIGNED
from livestrain_daemon.intake.detectors.dectris.pixels import Packed
from livestrain_daemon.intake.detectors.dectris.told import Image

MOST_FIXED_BYTES = 1 << 13
"""A message with more around its pixels is left to the general reader."""
PACKED_HEADER_BYTES = 12
"""Sizes at the beginning of packed pixels, the same in every image."""
LARGEST_NUMBER = 1 << 62

_ARGUMENT_BYTES = {24: 1, 25: 2, 26: 4, 27: 8}
_SELF_DESCRIBED = b"\xd9\xd9\xf7"
_READ = frozenset({b"type", b"series_id", b"series_unique_id"})
"""Fields with a meaning, beside the number and the pixels."""


class _Unfit(ValueError):
    """A message that no layout can be made of, though it may be a good one."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """Bytes before pixels, or after the last."""

    size: int
    mask: int
    """Bits that must be the same, as one large number."""
    value: int
    """What they are."""
    length_bytes: int
    """At the end of the segment: how many bytes of pixels follow; 0 if none do."""
    header: bytes
    """The first bytes of these pixels."""


class Layout:
    """
    Where the number and the pixels of an image stand in its message.

    Parameters
    ----------
    segments
        What is between pixels.
    number_at
        First byte of the number and the byte behind its last, in the first segment.
    image
        What the general reader made of the message.
    """

    def __init__(self, segments: tuple[_Segment, ...], number_at: tuple[int, int], image: Image) -> None:
        self._segments = segments
        self._number_first, self._number_end = number_at
        self._image = image
        self._channels = tuple(image.channels.items())

    @property
    def is_single(self) -> bool:
        """The image has one channel."""
        return len(self._channels) == 1

    def image(self, message: memoryview) -> Image | None:
        """The image in a message; None if it is laid out in any other way."""
        found = self.pixels(message)
        return None if found is None else self.image_of(*found, len(message))

    def image_of(self, number: int, payloads: Sequence[memoryview], size: int) -> Image:
        """The image of a number, from what its channels are packed in."""
        like = self._image
        channels = {
            name: Packed(one.shape, one.dtype, one.packing, payload, one.big_endian, one.element_bytes)
            for (name, one), payload in zip(self._channels, payloads, strict=True)
        }
        return Image(like.series, like.number, number, channels, size)

    def pixels(self, message: memoryview) -> tuple[int, list[memoryview]] | None:
        """Number of the image in a message, and what its channels are packed in; None if it is laid out otherwise."""
        at = 0
        pixels: list[memoryview] = []
        for segment in self._segments:
            end = at + segment.size
            # a piece that is cut off at the end of the message is a smaller number, or one too many
            if end > len(message) or int.from_bytes(message[at:end]) & segment.mask != segment.value:
                return None
            at = end
            if segment.length_bytes:
                at += int.from_bytes(message[end - segment.length_bytes : end])
                payload = message[end:at]
                if at > len(message) or payload[: len(segment.header)] != segment.header:
                    return None
                pixels.append(payload)
        number = int.from_bytes(message[self._number_first : self._number_end])
        if at != len(message) or number > LARGEST_NUMBER:
            return None
        return number, pixels


def layout_of(message: memoryview, image: Image) -> Layout | None:
    """
    The layout of a message.

    Parameters
    ----------
    message
        That the general reader has understood.
    image
        What it made of it.

    Returns
    -------
    Layout or None
        None if the message is not of the usual form.
    """
    walk = _Walk(message)
    try:
        walk.message()
        return walk.layout(image)
    except _Unfit:
        return None


class _Walk:
    """Goes through a message that is known to be good, and notes where things are."""

    def __init__(self, message: memoryview) -> None:
        self._message = message
        self._at = 0
        self._free: list[tuple[int, int]] = []
        self._pixels: list[tuple[int, int, int]] = []
        self._number: tuple[int, int] | None = None

    def message(self) -> None:
        """Note the free bytes, the number and the pixels."""
        if self._message[: len(_SELF_DESCRIBED)] == _SELF_DESCRIBED:
            self._at = len(_SELF_DESCRIBED)
        kind, count, _ = self._head()
        if kind != MAP:
            raise _Unfit
        seen: set[bytes] = set()
        for _ in range(count):
            key = self._text()
            if key in seen:
                raise _Unfit
            seen.add(key)
            if key == b"image_id":
                self._take_number()
            else:
                self._skip(free=key not in _READ and key != b"data", pixels=key == b"data")

    def layout(self, image: Image) -> Layout:
        """The layout, if the pixels that were found are those of the image."""
        found = [self._message[first:end] for _, first, end in self._pixels]
        expected = [packed.payload for packed in image.channels.values()]
        if [len(one) for one in found] != [len(one) for one in expected]:
            raise _Unfit
        segments: list[_Segment] = []
        at = 0
        for (length_bytes, first, end), packed in zip(self._pixels, image.channels.values(), strict=True):
            header = bytes(packed.payload[:PACKED_HEADER_BYTES])
            if packed.packing == "raw":
                # pixels that are not packed have one size only, and no header
                self._free.remove((first - length_bytes, first))
                header = b""
            segments.append(self._segment(at, first, length_bytes, header))
            at = end
        segments.append(self._segment(at, len(self._message), 0, b""))
        if self._number is None or not self._number[1] <= segments[0].size:
            raise _Unfit
        return Layout(tuple(segments), self._number, image)

    def _segment(self, first: int, end: int, length_bytes: int, header: bytes) -> _Segment:
        if end - first > MOST_FIXED_BYTES:
            raise _Unfit
        mask = bytearray(b"\xff") * (end - first)
        for free_first, free_end in self._free:
            if first <= free_first and free_end <= end:
                mask[free_first - first : free_end - first] = bytes(free_end - free_first)
        bits = int.from_bytes(mask)
        return _Segment(end - first, bits, int.from_bytes(self._message[first:end]) & bits, length_bytes, header)

    def _head(self) -> tuple[int, int, int]:
        """Kind, number and the bytes that the number takes."""
        initial = self._message[self._at]
        self._at += 1
        kind, number = initial >> 5, initial & 31
        if number < 24:
            return kind, number, 0
        if number not in _ARGUMENT_BYTES:
            raise _Unfit
        width = _ARGUMENT_BYTES[number]
        value = int.from_bytes(self._message[self._at : self._at + width])
        self._at += width
        return kind, value, width

    def _text(self) -> bytes:
        kind, length, _ = self._head()
        if kind != TEXT:
            raise _Unfit
        self._at += length
        return bytes(self._message[self._at - length : self._at])

    def _take_number(self) -> None:
        kind, _, width = self._head()
        if kind != UNSIGNED or not width:
            raise _Unfit
        self._number = (self._at - width, self._at)
        self._free.append(self._number)

    def _skip(self, *, free: bool, pixels: bool) -> None:
        """Pass an item; note numbers if any will do, and byte strings if they are pixels."""
        kind, number, width = self._head()
        if kind in (UNSIGNED, NEGATIVE, SIMPLE):
            # of simple values only floats have so many bytes
            if free and (kind != SIMPLE or width > 1):
                self._free.append((self._at - width, self._at))
        elif kind in (BYTES, TEXT):
            if pixels and kind == BYTES:
                if not width:
                    raise _Unfit
                self._free.append((self._at - width, self._at))
                self._pixels.append((width, self._at, self._at + number))
            self._at += number
        else:
            items = {ARRAY: number, MAP: 2 * number, TAG: 1}[kind]
            for _ in range(items):
                self._skip(free=free, pixels=pixels)
