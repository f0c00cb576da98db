"""Stream v2: real messages of a detector, and what is refused."""

from typing import Any

import numpy as np
import pytest

from helpers.dectris import LARGEST, RECORDED
from livestrain_daemon.intake.detectors.dectris.pixels import unpack
from livestrain_daemon.intake.detectors.dectris.stream2 import decode_message
from livestrain_daemon.intake.detectors.dectris.told import BadMessage, End, Header, Image
from livestrain_simulator.emulators.dectris.cbor import Tag, encode

SUMS = [(8, 908_237), (16, 909_218), (32, 7_414_309)]

recorded = pytest.mark.skipif(
    not RECORDED.exists(), reason="the recorded messages (shared/data/dectris_stream2) are not here"
)


def image_of(bits: int) -> Image:
    message = (RECORDED / f"r500k_bm_bslz4_{bits}bit" / "000001.cbor").read_bytes()
    told = decode_message(memoryview(message), LARGEST)
    assert isinstance(told, Image)
    return told


@recorded
@pytest.mark.parametrize(("bits", "total"), SUMS)
def test_the_sum_of_a_real_image_is_the_known_one(bits: int, total: int) -> None:
    image = image_of(bits)
    counts = unpack(image.channels["threshold_1"], LARGEST)
    assert (counts.shape, counts.dtype) == ((514, 1030), np.dtype(f"uint{bits}"))
    masked = counts == (1 << bits) - 1
    assert total in (int(counts.sum()), int(counts[~masked].sum()))


@recorded
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_real_messages_tell_series_number_and_channels(bits: int) -> None:
    image = image_of(bits)
    assert list(image.channels) == ["threshold_1", "threshold_2", "difference"]
    assert image.first == 0
    end = decode_message(memoryview((RECORDED / f"r500k_bm_bslz4_{bits}bit" / "000011.cbor").read_bytes()), LARGEST)
    assert end == End(image.series, image.number)


def start(**changes: object) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "type": "start",
        "series_id": 7,
        "series_unique_id": "01GRXWT80JSDY2FNW8SGCCDZD9",
        "channels": ["threshold_1"],
        "image_dtype": "uint16",
        "image_size_x": 3,
        "image_size_y": 2,
        "number_of_images": 5,
        "incident_energy": 200_000.0,
        "saturation_value": 60_000,
    }
    return fields | changes


def array(values: object = bytes(12), shape: object = (2, 3), tag: int = 69) -> Tag:
    return Tag(40, [list(shape) if isinstance(shape, tuple) else shape, Tag(tag, values)])


def image(**changes: object) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": "image", "series_id": 7, "image_id": 0, "data": {"threshold_1": array()}}
    return fields | changes


def told(fields: object) -> Header | Image | End:
    return decode_message(memoryview(encode(fields)), LARGEST)


def test_a_start_tells_what_the_intake_needs() -> None:
    header = told(start())
    assert isinstance(header, Header)
    assert header.series == "7-01GRXWT80JSDY2FNW8SGCCDZD9"
    assert (header.frames, header.frame_shape, header.dtype) == (5, (2, 3), "uint16")
    assert (header.energy_kev, header.saturation) == (200.0, 60_000.0)


def test_a_start_without_a_type_leaves_it_to_the_first_image() -> None:
    header = told({name: value for name, value in start().items() if name != "image_dtype"})
    assert isinstance(header, Header)
    assert (header.frame_shape, header.dtype) == ((2, 3), None)


def test_a_packed_pixel_mask_is_unpacked() -> None:
    mask = np.arange(6, dtype="<u4").reshape(2, 3)
    header = told(start(pixel_mask={"threshold_1": array(mask.tobytes(), tag=70)}))
    assert isinstance(header, Header)
    np.testing.assert_array_equal(header.masks["threshold_1"], mask)


def test_the_self_description_may_be_missing() -> None:
    bare, described = told(image()), told(Tag(55799, image()))
    assert isinstance(bare, Image)
    assert isinstance(described, Image)
    assert bare.channels == described.channels


@pytest.mark.parametrize(
    ("tag", "dtype"),
    [
        (64, "u1"),
        (68, "u1"),
        (65, ">u2"),
        (69, "<u2"),
        (66, ">u4"),
        (70, "<u4"),
        (81, ">f4"),
        (85, "<f4"),
    ],
)
def test_every_typed_array_that_frames_can_be_made_of_is_read(tag: int, dtype: str) -> None:
    expected = np.array([[0, 1, 2], [3, 200, 255]], dtype)
    found = told(image(data={"threshold_1": array(expected.tobytes(), tag=tag)}))
    assert isinstance(found, Image)
    np.testing.assert_array_equal(unpack(found.channels["threshold_1"], LARGEST), expected)


DATES = [
    Tag(0, "2026-11-21T00:13:52Z"),
    Tag(1, 1_795_000_000),
    Tag(1, 1_795_000_000.25),
    Tag(100, 7),
    Tag(32, "http://a"),
]


@pytest.mark.parametrize(
    "value",
    [
        *DATES,
        *(array(tag=tag) for tag in range(64, 88)),
        array(Tag(56500, ["bszstd", 4, bytes(64)]), tag=85),
        Tag(1040, [[2, 3], Tag(69, bytes(12))]),
        Tag(41, [1, 2]),
        {"nested": [Tag(64, bytes(3)), None, {"more": 1.5}]},
        [1, 3],
    ],
    ids=lambda value: f"{value!r:.60}",
)
def test_fields_that_are_not_used_may_be_of_any_tag(value: object) -> None:
    header = told(start(arm_date=value, flatfield={"threshold_1": value}, user_data=value))
    assert header == told(start())
    assert told(image(start_time=value, user_data=value)).series == told(image()).series


REFUSED = [
    ([1, 2], "expected a CBOR map, found list"),
    ({"type": "picture"}, "the type start, image or end, found 'picture'"),
    (start(series_id=-1), "series_id: expected a whole number"),
    (start(series_id=True), "series_id: expected a whole number"),
    (start(channels=[]), "channels: expected a list"),
    (start(channels=["a"] * 17), "channels: expected a list of 1 to 16"),
    (start(channels=["a" * 65]), "a channel: expected a name"),
    (start(image_dtype="complex64"), "image_dtype: expected uint8, uint16, uint32, float32, found 'complex64'"),
    (start(image_size_x=1 << 40), "image_size_y, image_size_x: expected a whole number"),
    (start(image_size_x=0), "expected at least one pixel"),
    (start(number_of_images="many"), "number_of_images: expected a whole number"),
    (start(channels=["a\nb"]), "a channel: expected a name of 1 to 64 printable characters, found 'a\\\\nb'"),
    (image(data={"a\nb": array()}), "a channel: expected a name of 1 to 64 printable characters"),
    ({"type": "\U0001f600" + "\0" * 100_000}, "the type start, image or end, found '"),
    (start(pixel_mask={"a\nb": 5}), "a channel: expected a name of 1 to 64 printable characters"),
    (start(pixel_mask=[]), "pixel_mask: expected a map"),
    (start(pixel_mask={"threshold_1": array(bytes(11))}), "pixel_mask: expected 12 bytes"),
    (start(pixel_mask={"threshold_1": array(shape=(60_000, 60_000))}), "pixel_mask: expected at most"),
    (image(image_id=-1), "image_id: expected a whole number"),
    (image(data={}), "data: expected a map of 1 to 16 channels, found dict of 0"),
    (image(data={"threshold_1": 5}), "data.threshold_1: expected an array with tag 40, found 5"),
    (image(data={"threshold_1": Tag(40, [1])}), "expected dimensions and values"),
    (image(data={"threshold_1": array(shape=(2, 3, 4))}), "expected two dimensions"),
    (image(data={"threshold_1": array(shape=(1 << 40, 3))}), "expected a whole number from 0 to 65536"),
    (
        image(data={"threshold_1": array(tag=78)}),
        "uint8, uint16, uint32 or float32, found tag 78",
    ),
    (image(data={"threshold_1": array(5)}), "expected bytes or tag 56500, found 5"),
    (image(data={"threshold_1": array(Tag(56500, ["bszstd", 2, b""]))}), "compression bslz4 or lz4, found 'bszstd'"),
    (image(data={"threshold_1": array(Tag(56500, ["bslz4", 2]))}), "expected algorithm, element size and bytes"),
]


@pytest.mark.parametrize(("fields", "text"), REFUSED)
def test_a_wrong_message_is_refused_in_a_line(fields: object, text: str) -> None:
    with pytest.raises(BadMessage, match=text.replace("(", r"\(")) as caught:
        told(fields)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)
