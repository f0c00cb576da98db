"""Stream v1 of a DECTRIS detector: several parts, of JSON and of bytes, in each ZeroMQ message."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from livestrain_daemon.intake.detectors.dectris.counts import dectris_frames
from livestrain_daemon.intake.detectors.dectris.pixels import Packed, Packing
from livestrain_daemon.intake.detectors.dectris.told import (
    DTYPES,
    MOST_PARTS,
    BadMessage,
    End,
    Header,
    Image,
    Mask,
    Told,
    image_shape,
    in_brief,
    positive,
    whole_number,
)
from livestrain_daemon.intake.detectors.plain import plain_values
from livestrain_daemon.intake.noting import LONGEST_NOTE, note

LARGEST_JSON_BYTES = 1 << 20
CHANNEL = "image"
"""Stream v1 has one channel without a name."""

_ENCODING = re.compile(r"(?:bs(?P<bits>8|16|32))?(?P<lz4>-?lz4)?(?P<order>[<>])")
_PARTS = {"none": 1, "basic": 2, "all": 8}
"""Of a header without an appendix."""


class LegacyDecoder:
    """
    Makes series and images of parts; remembers a header whose parts come one by one.

    Parameters
    ----------
    largest
        Refuse a larger header [bytes].
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._parts: list[memoryview] = []
        self._appendix = False

    def take_all(self, messages: Iterable[Sequence[memoryview]]) -> Iterator[Told | BadMessage]:
        """
        What messages tell, in their order.

        Parameters
        ----------
        messages
            The parts of each.
        """
        for parts in messages:
            try:
                yield from self.take(parts)
            except BadMessage as error:
                yield error
            except Exception as error:
                note(error, "the message begins", bytes(parts[0][:LONGEST_NOTE]))
                raise

    def take(self, parts: Sequence[memoryview]) -> list[Told]:
        """
        What a message tells, and what it completes.

        Raises
        ------
        BadMessage
            If it is no message of this stream; what it interrupts is given up.
        """
        if self._parts:
            return self._more_of_header(parts)
        # a single part after a header may be its appendix, which can be anything
        appendix, self._appendix = self._appendix and len(parts) == 1, False
        try:
            first = _json(parts[0])
        except BadMessage:
            if appendix:
                return []
            raise
        kind = first.get("htype")
        if kind == "dheader-1.0":
            return self._header(list(parts))
        if kind == "dimage-1.0":
            return [_image(first, parts)]
        if kind == "dseries_end-1.0":
            return [End(*_series(first))]
        if appendix:
            return []
        raise BadMessage(f"stream v1: expected a header, an image or an end, found htype {in_brief(kind)}")

    def _more_of_header(self, parts: Sequence[memoryview]) -> list[Told]:
        if _begins(parts[0]):
            # the detector has given the header up: what there is of it must do
            held, self._parts = self._parts, []
            return [_read_header(held), *self.take(parts)]
        held, self._parts = self._parts, []
        return self._header([*held, *parts])

    def _header(self, parts: list[memoryview]) -> list[Told]:
        if len(parts) > MOST_PARTS or sum(len(part) for part in parts) > self._largest:
            text = f"stream v1: expected a header of at most {MOST_PARTS} parts and {self._largest} bytes, found more"
            raise BadMessage(text)
        detail = _json(parts[0]).get("header_detail")
        if not isinstance(detail, str) or detail not in _PARTS:
            raise BadMessage(f"header_detail: expected all, basic or none, found {in_brief(detail)}")
        if len(parts) < _PARTS[detail]:
            self._parts = [memoryview(bytes(part)) for part in parts]
            return []
        self._appendix = len(parts) == _PARTS[detail]
        return [_read_header(parts)]


def _begins(part: memoryview) -> bool:
    """A message of its own begins with this part."""
    try:
        kind = _json(part).get("htype")
    except BadMessage:
        return False
    return kind in ("dheader-1.0", "dimage-1.0", "dseries_end-1.0")


def _json(part: memoryview) -> dict[str, object]:
    if len(part) > LARGEST_JSON_BYTES:
        raise BadMessage(f"stream v1: expected at most {LARGEST_JSON_BYTES} bytes of JSON, found {len(part)}")
    try:
        value = json.loads(bytes(part))
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"stream v1: expected JSON, found {bytes(part[:40])!r:.60}") from error
    if not isinstance(value, dict):
        raise BadMessage(f"stream v1: expected a JSON object, found {in_brief(value)}")
    return value


def _series(fields: Mapping[str, object]) -> tuple[str, int]:
    number = whole_number(fields.get("series"), "series")
    return str(number), number


def _read_header(parts: Sequence[memoryview]) -> Header:
    first = _json(parts[0])
    header = Header(*_series(first))
    if len(parts) < 2 or first.get("header_detail") == "none":
        return header
    config = _json(parts[1])
    corrected = config.get("countrate_correction_applied") is True
    energy = positive(config.get("incident_energy")) or positive(config.get("photon_energy"))
    return replace(
        header,
        frames=_frames(config),
        energy_kev=energy / 1000 if energy else None,
        saturation=positive(config.get("countrate_correction_count_cutoff") if corrected else None),
        channels=(CHANNEL,),
        masks=_masks(parts[2:]),
        metadata=plain_values(config.items()),
    )


def _frames(config: Mapping[str, object]) -> int | None:
    """Images in the series; an external trigger of each image counts triggers only."""
    images, triggers = config.get("nimages"), config.get("ntrigger")
    if images is None and triggers is None:
        return None
    of_image = whole_number(1 if images is None else images, "nimages", 1 << 31)
    of_trigger = whole_number(1 if triggers is None else triggers, "ntrigger", 1 << 31)
    return dectris_frames(of_image, of_trigger, config.get("trigger_mode"))


def _masks(parts: Sequence[memoryview]) -> dict[str, Mask]:
    """Of the pairs of JSON and bytes, the pixel mask."""
    for described, blob in pairwise(parts):
        try:
            fields = _json(described)
        except BadMessage:
            continue
        if fields.get("htype") == "dpixelmask-1.0" and len(blob):
            shape = _shape(fields, "pixel mask")
            if fields.get("type") != "uint32" or len(blob) != 4 * math.prod(shape):
                found = in_brief(fields.get("type"))
                text = f"pixel mask: expected {shape} of uint32, found {found}, {len(blob)} bytes"
                raise BadMessage(text)
            return {CHANNEL: np.frombuffer(bytes(blob), "<u4").reshape(shape)}
    return {}


def _image(first: Mapping[str, object], parts: Sequence[memoryview]) -> Image:
    if not 3 <= len(parts) <= MOST_PARTS:
        raise BadMessage(f"stream v1: expected an image of 4 parts, found {len(parts)}")
    described = _json(parts[1])
    if described.get("htype") != "dimage_d-1.0":
        raise BadMessage(f"stream v1: expected htype dimage_d-1.0, found {in_brief(described.get('htype'))}")
    number = whole_number(first.get("frame"), "frame")
    packed = _packed(described, parts[2])
    return Image(*_series(first), number, {CHANNEL: packed}, sum(len(part) for part in parts))


def _packed(described: Mapping[str, object], blob: memoryview) -> Packed:
    dtype, encoding = described.get("type"), described.get("encoding")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise BadMessage(f"type: expected {', '.join(DTYPES)}, found {in_brief(dtype)}")
    match = _ENCODING.fullmatch(encoding) if isinstance(encoding, str) else None
    if match is None:
        raise BadMessage(f"encoding: expected [bs<BIT>][[-]lz4][<|>], found {in_brief(encoding)}")
    bits, lz4 = match["bits"], match["lz4"]
    packing: Packing = ("bslz4" if lz4 else "bitshuffle") if bits else ("lz4" if lz4 else "raw")
    shape = _shape(described, "image")
    return Packed(shape, DTYPES[dtype], packing, blob, match["order"] == ">", int(bits or 0) // 8)


def _shape(fields: Mapping[str, object], name: str) -> tuple[int, int]:
    """(rows, columns) of what is described as [columns, rows]."""
    shape = fields.get("shape")
    if not isinstance(shape, list) or len(shape) != 2:
        raise BadMessage(f"{name}: expected a shape of [columns, rows], found {in_brief(shape)}")
    return image_shape(shape[1], shape[0], f"{name} shape")
