"""Messages of stream v2: one CBOR map each."""

from functools import lru_cache

from livestrain_simulator.emulators.dectris.cbor import Encoded, Tag, encode
from livestrain_simulator.emulators.dectris.packing import Compression, Image, bslz4, little_endian, lz4_blocks
from livestrain_simulator.emulators.dectris.series import IMAGE_NS, Images, Series

_TYPED_ARRAYS = {"uint8": 64, "uint16": 69, "uint32": 70, "float32": 85}
_SELF_DESCRIBED = 55799
_ROW_MAJOR = 40
_COMPRESSED = 56500
_DATE = Tag(0, "2026-01-01T00:00:00.000+00:00")
_SECOND = 10**9
_PAIR = b"\x82"
_PER_SECOND = encode(_SECOND)
_START = encode("start_time") + _PAIR
_STOP = encode("stop_time") + _PAIR
_DATA = encode("data")
_BEGINNING = encode(Tag(_SELF_DESCRIBED, {}))
"""As long as the beginning of every message: tag, and how many fields there are."""


def start_message(series: Series) -> list[bytes]:
    """The start of a series."""
    rows, columns = series.frame_shape
    fields: dict[str, object] = {
        **_head("start", series),
        "arm_date": _DATE,
        "beam_center_x": columns / 2,
        "beam_center_y": rows / 2,
        "channels": list(series.channels),
        "count_time": series.config["count_time"],
        "countrate_correction_enabled": False,
        "detector_description": series.config["description"],
        "detector_serial_number": series.config["detector_number"],
        "detector_translation": [0.0, 0.0, 0.0],
        "flatfield_enabled": False,
        "frame_time": series.config["frame_time"],
        "goniometer": {"omega": {"increment": 0.0, "start": 0.0}},
        "image_dtype": series.dtype,
        "image_size_x": columns,
        "image_size_y": rows,
        "incident_energy": series.config["incident_energy"],
        "number_of_images": series.frames,
        "pixel_mask_enabled": True,
        "saturation_value": series.saturation,
        "sensor_material": "Si",
        "threshold_energy": dict.fromkeys(series.channels, 1000.0),
        "user_data": None,
    }
    if series.detail == "all":
        fields["pixel_mask"] = {name: _array(series.mask, "none") for name in series.channels}
    return [_message(fields)]


def packed(series: Series, images: Images) -> Encoded:
    """The channels of an exposure, which are the same whenever it is sent."""
    return Encoded(encode({name: _array(image, series.compression) for name, image in images.items()}))


def image_message(series: Series, number: int, content: Encoded) -> list[bytes]:
    """One exposure in all channels."""
    before, after = _around(series.number, series.unique_id)
    start, stop = encode(number * IMAGE_NS), encode((number + 1) * IMAGE_NS)
    message = (before, encode(number), after, _START, start, _PER_SECOND, _STOP, stop, _PER_SECOND, _DATA)
    return [b"".join((*message, content.content))]


@lru_cache(maxsize=16)
def _around(number: int, unique_id: str) -> tuple[bytes, bytes]:
    """What is the same in all images of a series: all before its number, and what follows it."""
    fields = {"type": "image", "series_id": number, "series_unique_id": unique_id, "image_id": 0}
    rest = {"real_time": [IMAGE_NS, _SECOND], "series_date": _DATE, "user_data": None}
    # start, stop and data come after these
    whole = encode(Tag(_SELF_DESCRIBED, {**fields, **rest, "start": 0, "stop": 0, "data": 0}))
    before = encode(Tag(_SELF_DESCRIBED, fields))[len(_BEGINNING) : -len(encode(0))]
    after = b"".join(encode(item) for pair in rest.items() for item in pair)
    return whole[: len(_BEGINNING)] + before, after


def end_message(series: Series) -> list[bytes]:
    """The end of a series."""
    return [_message(_head("end", series))]


def _head(kind: str, series: Series) -> dict[str, object]:
    return {"type": kind, "series_id": series.number, "series_unique_id": series.unique_id}


def _message(fields: dict[str, object]) -> bytes:
    return encode(Tag(_SELF_DESCRIBED, fields))


def _array(image: Image, compression: Compression) -> Tag:
    typed = Tag(_TYPED_ARRAYS[image.dtype.name], _values(image, compression))
    return Tag(_ROW_MAJOR, [list(image.shape), typed])


def _values(image: Image, compression: Compression) -> bytes | Tag:
    if compression == "none":
        return little_endian(image).tobytes()
    if compression == "lz4":
        return Tag(_COMPRESSED, ["lz4", 0, lz4_blocks(image)])
    return Tag(_COMPRESSED, ["bslz4", image.itemsize, bslz4(image)])
