"""Messages of stream v1: parts of JSON and of bytes."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from livestrain_simulator.emulators.dectris.packing import Image, bslz4, little_endian, lz4_block
from livestrain_simulator.emulators.dectris.series import IMAGE_NS, Images, Series


@dataclass(frozen=True, slots=True)
class Content:
    """What an image is made of, whichever number it has."""

    described: bytes
    blob: bytes
    hashed: str


def start_message(series: Series) -> list[bytes]:
    """The header of a series, with as much as its detail asks for."""
    parts = [_json(htype="dheader-1.0", series=series.number, header_detail=series.detail)]
    if series.detail == "none":
        return parts
    parts.append(_json(**series.config))
    if series.detail == "basic":
        return parts
    rows, columns = series.frame_shape
    flat_field = np.ones(series.frame_shape, "<f4")
    return [
        *parts,
        _json(htype="dflatfield-1.0", shape=[columns, rows], type="float32"),
        flat_field.tobytes(),
        _json(htype="dpixelmask-1.0", shape=[columns, rows], type="uint32"),
        little_endian(series.mask).tobytes(),
        # detectors without such a table send it like this
        _json(htype="dcountrate_table-1.0", shape=[], type="float32"),
        b"",
    ]


def packed(series: Series, images: Images) -> Content:
    """An image, which is the same whenever it is sent; this stream has the first channel only."""
    image = next(iter(images.values()))
    rows, columns = image.shape
    encoding, blob = _encoded(image, series)
    size = len(blob)
    described = _json(htype="dimage_d-1.0", shape=[columns, rows], type=image.dtype.name, encoding=encoding, size=size)
    return Content(described, blob, hashlib.sha256(blob).hexdigest()[:32])


def image_message(series: Series, number: int, content: Content) -> list[bytes]:
    """One image."""
    return [
        _json(htype="dimage-1.0", series=series.number, frame=number, hash=content.hashed),
        content.described,
        content.blob,
        _json(
            htype="dconfig-1.0",
            start_time=number * IMAGE_NS,
            stop_time=(number + 1) * IMAGE_NS,
            real_time=IMAGE_NS,
        ),
    ]


def end_message(series: Series) -> list[bytes]:
    """The end of a series."""
    return [_json(htype="dseries_end-1.0", series=series.number)]


def _encoded(image: Image, series: Series) -> tuple[str, bytes]:
    if series.compression == "none":
        return "<", little_endian(image).tobytes()
    if series.compression == "lz4":
        return "lz4<", lz4_block(image)
    return f"bs{8 * image.itemsize}-lz4<", bslz4(image)


def _json(**fields: object) -> bytes:
    return json.dumps(fields).encode()
