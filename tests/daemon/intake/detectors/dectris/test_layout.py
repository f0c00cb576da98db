"""The short way through messages that are laid out alike says what the general reader says, of any bytes."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from helpers.dectris import LARGEST, RECORDED, noise
from livestrain_daemon.intake.detectors.dectris.layout import layout_of
from livestrain_daemon.intake.detectors.dectris.stream2 import MessageDecoder, decode_message
from livestrain_daemon.intake.detectors.dectris.told import BadMessage, Image, Images, Told
from livestrain_simulator.emulators.dectris import stream2
from livestrain_simulator.emulators.dectris.cbor import Tag, encode
from livestrain_simulator.emulators.dectris.packing import Compression
from livestrain_simulator.emulators.dectris.series import Series

SHAPE = (16, 12)
CHANNELS = ("threshold_1", "threshold_2")


def series(compression: Compression) -> Series:
    mask = np.zeros(SHAPE, np.uint32)
    return Series(5, "01GRXWT80JSDY2FNW8SGCCDZD9", 9, SHAPE, "uint16", compression, "basic", CHANNELS, mask, {})


def message(number: int, compression: Compression = "bslz4", channels: int = 1, seed: int = 0) -> bytes:
    told = series(compression)
    images = dict(zip(CHANNELS[:channels], noise(channels, *SHAPE, seed=seed), strict=True))
    return stream2.image_message(told, number, stream2.packed(told, images))[0]


def without_addresses(error: BadMessage) -> str:
    return re.sub("0x[0-9a-f]+", "", str(error))


def general(packed: bytes) -> Told | str:
    try:
        return decode_message(memoryview(packed), LARGEST)
    except BadMessage as error:
        return without_addresses(error)


def sized(told: Told | str, size: int) -> Told | str:
    """The same, but for its size: that of images that are told together is known of all of them only."""
    return replace(told, size=size) if isinstance(told, Image) else told


def after(example: bytes, packed: bytes) -> Told | str:
    """What a decoder says of a message that comes after an example."""
    decoder = MessageDecoder(LARGEST)
    decoder.take(memoryview(example))
    try:
        return decoder.take(memoryview(packed))
    except BadMessage as error:
        return without_addresses(error)


def the_short_way(example: bytes, packed: bytes) -> Image | None:
    image = decode_message(memoryview(example), LARGEST)
    assert isinstance(image, Image)
    layout = layout_of(memoryview(example), image)
    assert layout is not None
    return layout.image(memoryview(packed))


@pytest.mark.parametrize("compression", ["none", "lz4", "bslz4"])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_next_image_is_read_the_short_way(compression: Compression, channels: int) -> None:
    example, following = (message(70_000 + at, compression, channels, seed=at) for at in range(2))
    found = the_short_way(example, following)
    assert found is not None
    assert found == general(following)
    assert (found.first, list(found.channels)) == (70_001, list(CHANNELS[:channels]))


@pytest.mark.parametrize("numbers", [(22, 23), (23, 24), (255, 256), (65_535, 65_536), (0, 1 << 40)])
def test_numbers_of_another_length_are_read_too(numbers: tuple[int, int]) -> None:
    example, following = (message(at) for at in numbers)
    assert after(example, following) == general(following)


@pytest.mark.parametrize("compression", ["none", "bslz4"])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_changed_byte_means_what_it_means_to_the_general_reader(compression: Compression, channels: int) -> None:
    example = message(70_000, compression, channels)
    following = message(70_001, compression, channels, seed=1)
    rng = np.random.default_rng(2)
    for at in range(len(following)):
        for value in {0, 255, following[at] ^ 1, following[at] ^ 0x80, int(rng.integers(256))}:
            changed = following[:at] + bytes([value]) + following[at + 1 :]
            assert after(example, changed) == general(changed), (at, value)


def test_bytes_that_are_missing_or_too_many_are_noticed() -> None:
    example, following = message(70_000), message(70_001, seed=1)
    for end in range(len(following)):
        assert after(example, following[:end]) == general(following[:end])
        assert the_short_way(example, following[:end]) is None
        without = following[:end] + following[end + 1 :]
        assert after(example, without) == general(without)
    for more in (b"\0", b"\xff", following):
        assert after(example, following + more) == general(following + more)


def fields(**changes: object) -> bytes:
    pixels = Tag(40, [[2, 3], Tag(69, bytes(range(100, 112)) * 3)])
    told: dict[str, Any] = {"type": "image", "series_id": 5, "image_id": 70_000, "data": {"threshold_1": pixels}}
    return encode({**told, **changes})


@pytest.mark.parametrize(
    "unusual",
    [
        fields(image_id=3),
        fields(data={"threshold_1": Tag(40, [[1, 1], Tag(69, b"\1\2")])}),
        fields(data={1: Tag(40, [[2, 3], Tag(69, bytes(24))])}),
        b"\xbf" + fields()[1:] + b"\xff",
        fields(user_data="x" * 10_000),
    ],
)
def test_messages_of_another_form_have_no_layout(unusual: bytes) -> None:
    image = Image("5", 5, 70_000, {}, 0)
    told = general(unusual)
    assert layout_of(memoryview(unusual), told if isinstance(told, Image) else image) is None


def test_a_decoder_looks_for_a_layout_again_after_some_messages() -> None:
    decoder = MessageDecoder(LARGEST)
    for at in (3, 4, 70_000, 70_001, 70_002, 70_003, 5, 70_004, 70_005):
        packed = message(at, seed=at)
        assert decoder.take(memoryview(packed)) == general(packed)


def test_messages_tell_together_what_they_tell_one_by_one() -> None:
    rng = np.random.default_rng(3)
    for channels in (1, 2):
        packed = [message(at, channels=channels, seed=at) for at in (*range(250, 262), 300, 299, 298, *range(299, 400))]
        for at in rng.integers(len(packed), size=12).tolist():
            packed[at] = packed[at][:100] + bytes([packed[at][100] ^ 1]) + packed[at][101:]
        found: list[Told | str] = []
        together = 0
        parts = [(memoryview(one),) for one in packed]
        for told in MessageDecoder(LARGEST).take_all(parts):
            if isinstance(told, Images):
                each = list(told.one_by_one())
                together += len(each)
                assert told.size == sum(len(packed[len(found) + at]) for at in range(len(each)))
                found += each
            else:
                found.append(without_addresses(told) if isinstance(told, BadMessage) else told)
        assert [sized(one, 0) for one in found] == [sized(general(one), 0) for one in packed]
        assert (together > 50) == (channels == 1)


def test_a_message_of_several_parts_is_told_of_and_the_next_is_read() -> None:
    parts = [(memoryview(message(at)),) for at in range(70_000, 70_004)]
    wrong = (*parts[2], memoryview(b""))
    first, run, error, last = MessageDecoder(LARGEST).take_all([parts[0], parts[1], wrong, parts[3]])
    assert isinstance(error, BadMessage)
    assert "expected one part, found 2" in str(error)
    assert [one.first for one in (first, run, last) if isinstance(one, Image)] == [70_000, 70_001, 70_003]


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded messages (shared/data/dectris_stream2) are not here")
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_real_images_are_laid_out_alike(bits: int) -> None:
    folder = RECORDED / f"r500k_bm_bslz4_{bits}bit"
    first, second = ((folder / name).read_bytes() for name in ("000001.cbor", "000002.cbor"))
    assert general(second) == after(first, second)
