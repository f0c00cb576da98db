"""Stream v2 of a DECTRIS detector: one CBOR map in each ZeroMQ message."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from livestrain_daemon.intake.detectors.dectris.cbor import Item, MalformedCbor, Tag, decode
from livestrain_daemon.intake.detectors.dectris.layout import Layout, layout_of
from livestrain_daemon.intake.detectors.dectris.pixels import Packed, Packing, unpack
from livestrain_daemon.intake.detectors.dectris.told import (
    DTYPES,
    MOST_CHANNELS,
    BadMessage,
    End,
    Header,
    Image,
    Images,
    Mask,
    Message,
    Told,
    image_shape,
    in_brief,
    positive,
    whole_number,
)
from livestrain_daemon.intake.detectors.merging import room
from livestrain_daemon.intake.detectors.plain import plain_values
from livestrain_daemon.intake.noting import LONGEST_NOTE, note
from livestrain_daemon.intake.payload import PayloadError
from livestrain_wire.messages import FrameDtype

SELF_DESCRIBED = 55799
ROW_MAJOR = 40
COMPRESSED = 56500
MESSAGES_APART = 4
"""After so many messages that are not laid out like an earlier one, another one is taken for an example."""
LONGEST_ID = 41
"""Characters of the unique id of a series that may be part of its name."""

Fields: TypeAlias = Mapping[Item, Item]

_TYPED_ARRAYS: dict[int, tuple[FrameDtype, bool]] = {
    64: ("uint8", False),
    68: ("uint8", False),
    65: ("uint16", True),
    66: ("uint32", True),
    69: ("uint16", False),
    70: ("uint32", False),
    81: ("float32", True),
    85: ("float32", False),
}
"""Tags of typed arrays (RFC 8746) that frames can be made of: type and whether it is big-endian."""
_PACKINGS: dict[str, Packing] = {"bslz4": "bslz4", "lz4": "lz4_blocks"}
_UNIQUE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SCALARS = (
    "count_time",
    "frame_time",
    "detector_description",
    "detector_serial_number",
    "incident_energy",
    "incident_wavelength",
    "pixel_size_x",
    "pixel_size_y",
    "sensor_material",
    "sensor_thickness",
    "countrate_correction_enabled",
    "flatfield_enabled",
    "pixel_mask_enabled",
    "virtual_pixel_interpolation_enabled",
)


class MessageDecoder:
    """
    Reads messages one after the other, quickly where one is laid out like the one before.

    Parameters
    ----------
    largest
        Refuse to unpack a pixel mask of more than this [bytes].
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._layout: Layout | None = None
        self._patience = 0

    def take_all(self, messages: Iterable[Sequence[memoryview]]) -> Iterator[Told | BadMessage]:
        """
        What messages tell, in their order; images that follow each other and are laid out alike are told together.

        Parameters
        ----------
        messages
            The parts of each.
        """
        run: _Run | None = None
        for message, *more in messages:
            found = self._layout.pixels(message) if self._layout and self._layout.is_single and not more else None
            if run and found and run.takes(*found, len(message)):
                continue
            if run:
                yield run.told()
                run = None
            if found and self._layout:
                self._patience = 0
                run = _Run(self._layout, *found, len(message))
                continue
            try:
                if more:
                    text = f"stream v2: expected one part, found {1 + len(more)} or more; stream v1 has several"
                    raise BadMessage(text)
                yield self.take(message)
            except BadMessage as error:
                yield error
            except Exception as error:
                note(error, "the message begins", bytes(message[:LONGEST_NOTE]))
                raise
        if run:
            yield run.told()

    def take(self, message: memoryview) -> Message:
        """
        What a message tells.

        Raises
        ------
        BadMessage
            If it is no message of this stream.
        """
        image = self._layout.image(message) if self._layout else None
        if image is not None:
            self._patience = 0
            return image
        told = decode_message(message, self._largest)
        if isinstance(told, Image):
            # where no two messages are alike, looking for a layout each time would only cost time
            self._patience -= 1
            if self._patience < 0:
                self._layout, self._patience = layout_of(message, told), MESSAGES_APART
        return told


class _Run:
    """Images of one layout, one after the other."""

    def __init__(self, layout: Layout, number: int, payloads: Sequence[memoryview], size: int) -> None:
        self._first = layout.image_of(number, payloads, size)
        (packed,) = self._first.channels.values()
        self._room = room(packed.size) - 1
        self._next = number + 1
        self._further: list[memoryview] = []
        self._size = size

    def takes(self, number: int, payloads: Sequence[memoryview], size: int) -> bool:
        """Add an image, if it follows the last and there is room for it."""
        if number != self._next or len(self._further) >= self._room:
            return False
        self._next += 1
        self._further += payloads
        self._size += size
        return True

    def told(self) -> Image | Images:
        """The images."""
        return Images(self._first, tuple(self._further), self._size) if self._further else self._first


def decode_message(message: memoryview, largest: int) -> Message:
    """
    What a message tells.

    Parameters
    ----------
    message
        A ZeroMQ message.
    largest
        Refuse to unpack a pixel mask of more than this [bytes].

    Raises
    ------
    BadMessage
        If it is no message of this stream.
    """
    try:
        item = decode(message)
    except MalformedCbor as error:
        raise BadMessage(f"stream v2: {error}") from error
    if isinstance(item, Tag) and item.number == SELF_DESCRIBED:
        item = item.value
    if not isinstance(item, dict):
        raise BadMessage(f"stream v2: expected a CBOR map, found {type(item).__name__}")
    kind = item.get("type")
    if kind == "image":
        return _image(item, len(message))
    if kind == "start":
        return _start(item, largest)
    if kind == "end":
        return End(*_series(item))
    raise BadMessage(f"stream v2: expected the type start, image or end, found {in_brief(kind)}")


def _series(fields: Fields) -> tuple[str, int]:
    """Name and number; the unique id is left out where it would not do as a name."""
    number = whole_number(fields.get("series_id"), "series_id")
    unique = fields.get("series_unique_id")
    named = isinstance(unique, str) and len(unique) <= LONGEST_ID
    return (_name(number, str(unique)) if named else str(number)), number


@lru_cache(maxsize=16)
def _name(number: int, unique: str) -> str:
    return f"{number}-{unique}" if _UNIQUE_ID.fullmatch(unique) else str(number)


def _image(fields: Fields, size: int) -> Image:
    data = fields.get("data")
    if not isinstance(data, dict) or not 0 < len(data) <= MOST_CHANNELS:
        raise BadMessage(f"data: expected a map of 1 to {MOST_CHANNELS} channels, found {in_brief(data)}")
    channels = {_text(name, "a channel"): _array(value, f"data.{name!s:.40}") for name, value in data.items()}
    return Image(*_series(fields), whole_number(fields.get("image_id"), "image_id"), channels, size)


def _array(value: Item, name: str) -> Packed:
    """A typed array of two dimensions: tag 40 of dimensions and values, these possibly packed."""
    if not isinstance(value, Tag) or value.number != ROW_MAJOR:
        raise BadMessage(f"{name}: expected an array with tag {ROW_MAJOR}, found {in_brief(value)}")
    content = value.value
    if not isinstance(content, list) or len(content) != 2:
        raise BadMessage(f"{name}: expected dimensions and values, found {in_brief(content)}")
    dimensions, values = content
    if not isinstance(dimensions, list) or len(dimensions) != 2:
        raise BadMessage(f"{name}: expected two dimensions, found {in_brief(dimensions)}")
    shape = image_shape(dimensions[0], dimensions[1], name)
    if not isinstance(values, Tag) or values.number not in _TYPED_ARRAYS:
        known = "uint8, uint16, uint32 or float32"
        raise BadMessage(f"{name}: expected a typed array of {known}, found {in_brief(values)}")
    dtype, big_endian = _TYPED_ARRAYS[values.number]
    packed = values.value
    if isinstance(packed, memoryview):
        return Packed(shape, dtype, "raw", packed, big_endian)
    packing, element_bytes, payload = _compressed(packed, name)
    return Packed(shape, dtype, packing, payload, big_endian, element_bytes)


def _compressed(value: Item, name: str) -> tuple[Packing, int, memoryview]:
    if not isinstance(value, Tag) or value.number != COMPRESSED:
        raise BadMessage(f"{name}: expected bytes or tag {COMPRESSED}, found {in_brief(value)}")
    content = value.value
    if not isinstance(content, list) or len(content) != 3 or not isinstance(payload := content[2], memoryview):
        raise BadMessage(f"{name}: expected algorithm, element size and bytes, found {in_brief(content)}")
    algorithm, element_bytes = content[:2]
    if not isinstance(algorithm, str) or algorithm not in _PACKINGS:
        raise BadMessage(f"{name}: expected the compression bslz4 or lz4, found {in_brief(algorithm)}")
    return _PACKINGS[algorithm], whole_number(element_bytes, "element size", 1 << 10), payload


def _start(fields: Fields, largest: int) -> Header:
    channels = fields.get("channels")
    if not isinstance(channels, list) or not 0 < len(channels) <= MOST_CHANNELS:
        raise BadMessage(f"channels: expected a list of 1 to {MOST_CHANNELS} names, found {in_brief(channels)}")
    dtype = fields.get("image_dtype")
    if dtype is not None and (not isinstance(dtype, str) or dtype not in DTYPES):
        raise BadMessage(f"image_dtype: expected {', '.join(DTYPES)}, found {in_brief(dtype)}")
    energy = positive(fields.get("incident_energy"))
    series, number = _series(fields)
    return Header(
        series,
        number,
        unique=series != str(number),
        # of the series, from arm to disarm: of all its triggers
        frames=whole_number(fields.get("number_of_images"), "number_of_images"),
        frame_shape=image_shape(fields.get("image_size_y"), fields.get("image_size_x"), "image_size_y, image_size_x"),
        # early versions of the stream leave it out: the first image tells
        dtype=None if dtype is None else DTYPES[dtype],
        channels=tuple(_text(name, "a channel") for name in channels),
        energy_kev=energy / 1000 if energy else None,
        saturation=positive(fields.get("saturation_value")),
        masks=_masks(fields, largest),
        metadata=plain_values((name, fields.get(name)) for name in _SCALARS),
    )


def _masks(fields: Fields, largest: int) -> dict[str, Mask]:
    masks = fields.get("pixel_mask")
    if masks is None:
        return {}
    if not isinstance(masks, dict) or len(masks) > MOST_CHANNELS:
        raise BadMessage(f"pixel_mask: expected a map of at most {MOST_CHANNELS} channels, found {in_brief(masks)}")
    found: dict[str, Mask] = {}
    for name, value in masks.items():
        channel = _text(name, "a channel")
        packed = _array(value, f"pixel_mask.{channel}")
        if packed.dtype == "float32":
            raise BadMessage("pixel_mask: expected whole numbers, found float32")
        try:
            found[channel] = unpack(packed, largest).astype(np.uint32)
        except PayloadError as error:
            raise BadMessage(f"pixel_mask: {error}") from error
    return found


def _text(value: Item, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 64 or not value.isprintable():
        raise BadMessage(f"{name}: expected a name of 1 to 64 printable characters, found {in_brief(value)}")
    return value
