"""What a DECTRIS detector tells in either of its streams, in one form."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.intake.detectors.dectris.cbor import Tag
from livestrain_daemon.intake.detectors.dectris.pixels import Packed
from livestrain_daemon.intake.detectors.plain import Plain
from livestrain_wire.messages import FrameDtype

LARGEST_SIDE = 1 << 16
"""Pixels along a side of an image."""
MOST_CHANNELS = 16
MOST_PARTS = 16
"""Of a message, or of a header in several; what follows is thrown away."""

DTYPES: dict[str, FrameDtype] = {"uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "float32": "float32"}
"""Types that frames can have, by the names that both streams give them."""
Mask: TypeAlias = NDArray[np.uint32]
"""(rows, columns), 0 where a pixel is good."""


class BadMessage(ValueError):
    """A message that is not what the stream's description says; the text says what was expected and found."""


@dataclass(frozen=True, slots=True)
class Header:
    """A series begins."""

    series: str
    """Its name."""
    number: int
    """Of the series, as the REST interface counts them."""
    unique: bool = False
    """No other series will ever have this name. Numbers begin again when a detector is switched on."""
    frames: int | None = None
    frame_shape: tuple[int, int] | None = None
    """(rows, columns), where it is known before the first image."""
    dtype: FrameDtype | None = None
    channels: tuple[str, ...] = ()
    energy_kev: float | None = None
    """Of the beam [keV]."""
    saturation: float | None = None
    """Counts from which on a pixel says nothing [counts]."""
    masks: dict[str, Mask] = field(default_factory=dict)
    """By channel."""
    metadata: dict[str, Plain] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """One exposure, in all channels."""

    series: str
    number: int
    first: int
    """Its number in the series, from 0."""
    channels: dict[str, Packed]
    size: int
    """Bytes that came over the wire."""


@dataclass(frozen=True, slots=True)
class Images:
    """Consecutive exposures that differ in their pixels only."""

    first: Image
    """With one channel."""
    further: tuple[memoryview, ...]
    """What the pixels of the others are packed in."""
    size: int
    """Bytes that came over the wire, all together."""

    def one_by_one(self) -> Iterator[Image]:
        """The same, each for itself."""
        yield self.first
        ((name, packed),) = self.first.channels.items()
        size = (self.size - self.first.size) // len(self.further) if self.further else 0
        for number, payload in enumerate(self.further, self.first.first + 1):
            channels = {name: replace(packed, payload=payload)}
            yield replace(self.first, first=number, channels=channels, size=size)


@dataclass(frozen=True, slots=True)
class End:
    """A series has ended."""

    series: str
    number: int


Message: TypeAlias = Header | Image | End
"""What one message says."""
Told: TypeAlias = Message | Images


def whole_number(value: object, name: str, largest: int = 1 << 62) -> int:
    """
    A value that must be a count.

    Raises
    ------
    BadMessage
        If it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise BadMessage(f"{name}: expected a whole number from 0 to {largest}, found {in_brief(value)}")
    return value


def positive(value: object) -> float | None:
    """A number above zero, or none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e30:
        return None
    return float(value)


def image_shape(rows: object, columns: object, name: str) -> tuple[int, int]:
    """
    Pixels of an image (rows, columns).

    Raises
    ------
    BadMessage
        If they are no size that an image can have.
    """
    shape = whole_number(rows, name, LARGEST_SIDE), whole_number(columns, name, LARGEST_SIDE)
    if not all(shape):
        raise BadMessage(f"{name}: expected at least one pixel, found {shape}")
    return shape


def in_brief(value: object) -> str:
    """What was found, in a few words: a value can be a million bytes."""
    if isinstance(value, Tag):
        return f"tag {value.number}"
    if isinstance(value, list | dict | memoryview):
        return f"{type(value).__name__} of {len(value)}"
    return repr(value[:40] if isinstance(value, str) else value)[:40]
