"""Stream v1: headers in one message or in several, encodings, and what is refused."""

import json
from typing import Any

import numpy as np
import pytest

from helpers.dectris import LARGEST
from livestrain_daemon.intake.detectors.dectris.legacy import CHANNEL, LARGEST_JSON_BYTES, LegacyDecoder
from livestrain_daemon.intake.detectors.dectris.told import MOST_PARTS, BadMessage, End, Header, Image, Told

CONFIG = {"nimages": 3, "ntrigger": 2, "trigger_mode": "exts", "incident_energy": 300_000.0, "description": "EIGER2"}


def views(*parts: object) -> list[memoryview]:
    return [memoryview(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in parts]


def header(detail: str, series: int = 3) -> list[memoryview]:
    parts: list[object] = [{"htype": "dheader-1.0", "series": series, "header_detail": detail}]
    if detail != "none":
        parts.append(CONFIG)
    if detail == "all":
        mask = np.array([[0, 1, 2], [3, 4, 5]], "<u4")
        parts += [
            {"htype": "dflatfield-1.0", "shape": [3, 2], "type": "float32"},
            np.ones((2, 3), "<f4").tobytes(),
            {"htype": "dpixelmask-1.0", "shape": [3, 2], "type": "uint32"},
            mask.tobytes(),
            {"htype": "dcountrate_table-1.0", "shape": [], "type": "float32"},
            b"",
        ]
    return views(*parts)


def image(**changes: Any) -> list[memoryview]:
    fields = {"series": 3, "frame": 4, "shape": [3, 2], "type": "uint16", "encoding": "<", "blob": bytes(12)} | changes
    described = {"htype": "dimage_d-1.0", **{name: fields[name] for name in ("shape", "type", "encoding")}}
    first = {"htype": "dimage-1.0", "series": fields["series"], "frame": fields["frame"], "hash": "wrong"}
    return views(first, described, fields["blob"], {"htype": "dconfig-1.0", "real_time": 1})


def take(*messages: list[memoryview]) -> list[Told]:
    decoder = LegacyDecoder(LARGEST)
    return [told for parts in messages for told in decoder.take(parts)]


@pytest.mark.parametrize("split", [False, True], ids=["one message", "single messages"])
@pytest.mark.parametrize("appendix", [False, True], ids=["bare", "appendix"])
@pytest.mark.parametrize("detail", ["all", "basic", "none"])
def test_a_header_is_understood_in_every_detail_and_framing(detail: str, appendix: bool, split: bool) -> None:
    parts = header(detail) + (views(b"said by a user") if appendix else [])
    messages = [[part] for part in parts] if split else [parts]
    (found, after) = take(*messages, image())
    assert isinstance(found, Header)
    assert isinstance(after, Image)
    assert (found.series, found.number) == ("3", 3)
    assert found.frames == (None if detail == "none" else 6)
    assert found.energy_kev == (None if detail == "none" else 300.0)
    assert list(found.masks) == ([CHANNEL] if detail == "all" else [])
    if detail == "all":
        np.testing.assert_array_equal(found.masks[CHANNEL], [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(("mode", "frames"), [("exts", 6), ("ints", 6), ("exte", 2), ("inte", 2)])
def test_the_trigger_mode_decides_on_the_number_of_images(mode: str, frames: int) -> None:
    parts = header("none")[:0] + views(
        {"htype": "dheader-1.0", "series": 1, "header_detail": "basic"}, CONFIG | {"trigger_mode": mode}
    )
    (found,) = take(parts)
    assert isinstance(found, Header)
    assert found.frames == frames


def test_an_image_ends_a_header_whose_parts_did_not_all_come() -> None:
    first, after = take([header("all")[0]], [header("all")[1]], image())
    assert isinstance(first, Header)
    assert first.frames == 6
    assert isinstance(after, Image)


def test_a_wrong_hash_does_not_matter() -> None:
    (found,) = take(image())
    assert isinstance(found, Image)
    assert (found.series, found.first, found.channels[CHANNEL].shape) == ("3", 4, (2, 3))


def test_an_end_is_understood() -> None:
    assert take(views({"htype": "dseries_end-1.0", "series": 9})) == [End("9", 9)]


@pytest.mark.parametrize(
    ("encoding", "packing", "element_bytes", "big_endian"),
    [
        ("<", "raw", 0, False),
        (">", "raw", 0, True),
        ("lz4<", "lz4", 0, False),
        ("lz4>", "lz4", 0, True),
        ("bs8-lz4<", "bslz4", 1, False),
        ("bs16-lz4<", "bslz4", 2, False),
        ("bs32-lz4<", "bslz4", 4, False),
        ("bs16lz4<", "bslz4", 2, False),
        ("bs16<", "bitshuffle", 2, False),
    ],
)
def test_encodings_are_understood(encoding: str, packing: str, element_bytes: int, big_endian: bool) -> None:
    (found,) = take(image(encoding=encoding))
    assert isinstance(found, Image)
    packed = found.channels[CHANNEL]
    assert (packed.packing, packed.element_bytes, packed.big_endian) == (packing, element_bytes, big_endian)


REFUSED = [
    (views(b"\xff\xfe"), "expected JSON"),
    (views(b"[" * 100_000), "expected JSON"),
    (views([1]), "expected a JSON object"),
    (views(b'{"htype": "' + b"x" * LARGEST_JSON_BYTES + b'"}'), "bytes of JSON"),
    (views({"htype": "dpicture-1.0"}), "expected a header, an image or an end, found htype 'dpicture-1.0'"),
    (
        views({"htype": "dheader-1.0", "series": 1, "header_detail": "some"}),
        "header_detail: expected all, basic or none",
    ),
    (views({"htype": "dheader-1.0", "series": -1, "header_detail": "none"}), "series: expected a whole number"),
    (header("basic") + views(*[{}] * MOST_PARTS), "expected a header of at most 16 parts"),
    (image()[:2], "expected an image of 4 parts, found 2"),
    (image(frame=-1), "frame: expected a whole number"),
    (image(shape=[3]), "expected a shape of .columns, rows."),
    (image(shape=[1 << 40, 2]), "image shape: expected a whole number from 0 to 65536"),
    (image(type="int64"), "type: expected uint8, uint16, uint32, float32, found 'int64'"),
    (image(encoding="zip"), "encoding: expected"),
    (image(encoding=5), "encoding: expected"),
    (image(encoding="bs64-lz4<"), "encoding: expected"),
]


@pytest.mark.parametrize(("parts", "text"), REFUSED)
def test_a_wrong_message_is_refused_in_a_line_and_the_next_is_taken(parts: list[memoryview], text: str) -> None:
    decoder = LegacyDecoder(LARGEST)
    with pytest.raises(BadMessage, match=text) as caught:
        decoder.take(parts)
    assert len(str(caught.value)) < 300
    assert len(decoder.take(image())) == 1


def test_an_endless_header_is_given_up() -> None:
    decoder = LegacyDecoder(1 << 20)
    decoder.take([header("all")[0]])
    parts = iter(views(*[bytes(1 << 18)] * 10))
    with pytest.raises(BadMessage, match="found more"):
        all(decoder.take([part]) == [] for part in parts)
    assert len(decoder.take(image())) == 1
