from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.merlin import KINDS, LAYOUTS, frames_of, kind_name
from livestrain_recordings.merlin.errors import WrongMessage
from livestrain_recordings.merlin.header import Geometry, depth_in_header, frame_header
from livestrain_recordings.merlin.pixels import depth_of_size, pixel_format
from livestrain_simulator.emulators.merlin.headers import frame_header as written_frame
from livestrain_simulator.emulators.merlin.pixels import PixelKind

AT = datetime(2026, 4, 15, tzinfo=UTC)
QUAD = Geometry(768, 4, 1024, 256, "R64", (2, 2), gap=False)


def geometry_of(kind: PixelKind, shape: tuple[int, int]) -> Geometry:
    return frame_header(memoryview(written_frame(1, kind, kind.sent_shape(shape), AT, 1.0)))[1]


@pytest.mark.parametrize("kind", KINDS, ids=kind_name)
def test_every_kind_of_frame_is_decoded_to_the_last_bit(kind: PixelKind) -> None:
    frames = frames_of(kind, 3)
    geometry = geometry_of(kind, LAYOUTS[kind.layout])
    raw = np.frombuffer(b"".join(map(kind.encoded, frames)), np.uint8).reshape(3, -1)
    depth = depth_of_size(geometry, raw.shape[1])
    layout = pixel_format(geometry, depth)
    if kind.code == "R64":
        assert depth == kind.depth
    assert (layout.size, layout.frame_shape) == (raw.shape[1], LAYOUTS[kind.layout])
    decoded = layout.decoded(raw)
    assert decoded.dtype == layout.dtype
    np.testing.assert_array_equal(decoded, frames)
    # rows of bytes with something between them
    apart = np.zeros((3, raw.shape[1] + 387), np.uint8)
    apart[:, 387:] = raw
    np.testing.assert_array_equal(layout.decoded(apart[:, 387:]), frames)


def raw_bytes(values: list[int], width: int) -> bytes:
    return b"".join(value.to_bytes(width, "big") for value in values)


def test_in_one_bit_words_bit_k_is_pixel_k() -> None:
    pixels = np.zeros((1, 256), bool)
    pixels[0, [0, 5, 63, 64, 200]] = True
    words = [sum(1 << bit for bit in range(64) if pixels[0, 64 * word + bit]) for word in range(4)]
    layout = pixel_format(replace(QUAD, chips=1, width=256, height=1, layout=(1, 1)), 1)
    decoded = layout.decoded(np.frombuffer(raw_bytes(words, 8), np.uint8)[np.newaxis])
    np.testing.assert_array_equal(decoded[0], pixels)


def test_four_counts_of_twelve_bits_come_last_first() -> None:
    layout = pixel_format(replace(QUAD, chips=1, width=256, height=1, layout=(1, 1)), 12)
    sent = raw_bytes([4 * (at // 4) + 3 - at % 4 for at in range(256)], 2)
    np.testing.assert_array_equal(layout.decoded(np.frombuffer(sent, np.uint8)[np.newaxis])[0, 0], np.arange(256))


@pytest.mark.parametrize("width", [256, 512])
def test_counts_of_24_bits_are_two_frames_of_12_whatever_width_their_header_has(width: int) -> None:
    geometry = replace(QUAD, chips=1, width=width, height=4, layout=(1, 1))
    frames = frames_of(PixelKind("R64", 24, "1x1"), 1)[:, :4]
    raw = np.frombuffer(PixelKind("R64", 24, "1x1").encoded(frames[0]), np.uint8)[np.newaxis]
    assert depth_of_size(geometry, raw.shape[1]) == 24
    np.testing.assert_array_equal(pixel_format(geometry, 24).decoded(raw), frames)


def test_a_quad_is_put_together_with_its_lower_chips_upside_down() -> None:
    layout = pixel_format(QUAD, 6)
    chips: NDArray[Any] = np.zeros((256, 4, 256), np.uint8)
    for chip in range(4):
        # Q4 | Q3 | Q2 | Q1, each with its first pixel marked
        chips[:, chip] = 10 * (4 - chip)
        chips[0, chip, 0] += 1
    sent = chips.reshape(-1, 8)[:, ::-1].reshape(1, -1)
    frame = layout.decoded(np.ascontiguousarray(sent))[0]
    assert frame[0, 0] == 11
    assert frame[0, 256] == 21
    assert frame[511, 255] == 31
    assert frame[511, 511] == 41
    assert [frame[row, column] for row, column in [(9, 9), (9, 300), (300, 9), (300, 300)]] == [10, 20, 30, 40]


def test_the_cross_between_the_chips_is_not_usable() -> None:
    unusable = pixel_format(replace(QUAD, gap=True), 12).unusable()
    assert unusable is not None
    expected = np.zeros((514, 514), np.uint8)
    expected[256:258] = 1
    expected[:, 256:258] = 1
    np.testing.assert_array_equal(unusable, expected)
    assert pixel_format(QUAD, 12).unusable() is None


@pytest.mark.parametrize(
    ("geometry", "depth", "expected"),
    [
        (replace(QUAD, code="I16"), 12, "expected pixels of type U01, U08, U16, U32, U64, R64, found 'I16'"),
        (QUAD, None, "expected raw frames of depth 1, 6, 12 or 24 bit, found None"),
        (QUAD, 13, "expected raw frames of depth 1, 6, 12 or 24 bit, found 13"),
        (replace(QUAD, width=512, height=512), 12, "expected raw rows of 256 pixels of 4 chips, found 512 pixels"),
        (replace(QUAD, width=1000), 12, "expected raw rows of 256 pixels of 4 chips, found 1000 pixels"),
        (replace(QUAD, chips=2, width=512), 12, "expected raw frames of one chip, a row of chips or a quad"),
    ],
)
def test_a_format_that_does_not_exist_is_refused(geometry: Geometry, depth: int | None, expected: str) -> None:
    with pytest.raises(WrongMessage, match=expected):
        pixel_format(geometry, depth)


def test_the_depth_in_the_header_is_the_one_sent() -> None:
    for kind in KINDS:
        assert depth_in_header(written_frame(1, kind, (256, 256), AT, 1.0)) == kind.depth
