"""Images in a stream of bytes."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from helpers.asi import LARGEST, sparse
from livestrain_daemon.intake.detectors.asi.image import LONGEST_HEADER, ImageHeader
from livestrain_daemon.intake.detectors.asi.images import MOST_TRIED, Image, ImageSplitter, Junk
from livestrain_daemon.intake.detectors.asi.inbox import FIRST_BYTES, ROOM_BYTES, Inbox

FRAMES = sparse(8)
ROWS, COLUMNS = FRAMES.shape[1:]


def sent(frame: NDArray[Any]) -> bytes:
    return b"P5 %d %d 65535\n" % (COLUMNS, ROWS) + frame.astype(">u2").tobytes()


def split(data: bytes, at_once: int = 1 << 16, largest: int = LARGEST) -> list[Image | Junk]:
    inbox = Inbox()
    splitter = ImageSplitter(inbox, largest)
    found: list[Image | Junk] = []

    def take(quiet: bool) -> None:
        while (one := splitter.next(quiet)) is not None:
            found.append(Image(one.header, memoryview(bytes(one.pixels))) if isinstance(one, Image) else one)

    for first in range(0, len(data), at_once):
        inbox.put(data[first : first + at_once])
        take(quiet=False)
    take(quiet=True)
    rest = splitter.reset()
    return [*found, rest] if rest else found


def numbers(found: list[Image | Junk]) -> list[int | str]:
    """Which frames they are; a letter and how many for what is none."""
    known = {frame.astype(">u2").tobytes(): number for number, frame in enumerate(FRAMES)}
    return [known[bytes(one.pixels)] if isinstance(one, Image) else f"lost {one.frames}" for one in found]


@pytest.mark.parametrize("at_once", [1, 7, 1000, 1 << 20])
def test_images_come_out_as_they_went_in_however_the_bytes_are_cut(at_once: int) -> None:
    assert numbers(split(b"".join(map(sent, FRAMES)), at_once)) == list(range(8))


@pytest.mark.parametrize("at_once", [1, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda one: one, [0, 1, 2, 3, 4, 5, 6, 7]),
        (lambda one: one[: len(one) // 2], [0, 1, 2, "lost 1", 4, 5, 6, 7]),
        (lambda one: one[:-1], [0, 1, 2, "lost 1", 4, 5, 6, 7]),
        (lambda one: one[:15], [0, 1, 2, "lost 1", 4, 5, 6, 7]),
        (lambda one: one + b"\x00" * 9, [0, 1, 2, 3, "lost 0", 4, 5, 6, 7]),
        (lambda one: b"\xff" + one[1:], [0, 1, 2, "lost 1", 4, 5, 6, 7]),
        (lambda one: b"P5 99999 99999 65535\n" + one[15:], [0, 1, 2, "lost 1", 4, 5, 6, 7]),
        (lambda one: b"P5 320 240 65535\n" + one[15:], [0, 1, 2, "lost 1", 4, 5, 6, 7]),
        (lambda one: one[20:], [0, 1, 2, "lost 1", 4, 5, 6, 7]),
        (lambda one: b"", [0, 1, 2, 4, 5, 6, 7]),
    ],
    ids=[
        "whole",
        "half",
        "one byte short",
        "header only",
        "too long",
        "damaged",
        "huge",
        "larger",
        "no header",
        "none",
    ],
)
def test_a_damaged_image_costs_itself_only(at_once: int, change: Any, expected: list[int | str]) -> None:
    parts = [sent(frame) for frame in FRAMES]
    parts[3] = change(parts[3])
    assert numbers(split(b"".join(parts), at_once)) == expected


def test_several_damaged_ones_in_a_row_are_counted_by_their_bytes() -> None:
    parts = [sent(frame) for frame in FRAMES]
    for number in (3, 4, 5):
        parts[number] = b"\xff\xff" + parts[number][2:]
    assert numbers(split(b"".join(parts))) == [0, 1, 2, "lost 3", 6, 7]


def test_an_image_whose_end_is_missing_is_not_filled_with_the_next_one_whose_header_is_damaged() -> None:
    parts = [sent(frame) for frame in FRAMES]
    parts[3] = parts[3][: len(parts[3]) // 2]
    parts[4] = b"\xff\xff" + parts[4][2:]
    assert numbers(split(b"".join(parts))) == [0, 1, 2, "lost 2", 5, 6, 7]
    assert numbers(split(b"".join(parts[:5]))) == [0, 1, 2, "lost 2"]


def test_an_image_whose_end_never_comes_is_told_at_the_end() -> None:
    whole = b"".join(map(sent, FRAMES))
    assert numbers(split(whole[:-10])) == [0, 1, 2, 3, 4, 5, 6, "lost 1"]


def test_a_header_among_the_counts_of_a_whole_image_changes_nothing() -> None:
    frames = FRAMES.copy()
    text = b"P5 %d %d 65535\n" % (COLUMNS, ROWS) + b" "
    frames[2].reshape(-1)[100 : 100 + len(text) // 2] = np.frombuffer(text, ">u2")
    found = split(b"".join(map(sent, frames)))
    assert [
        np.array_equal(np.frombuffer(one.pixels, ">u2").reshape(ROWS, COLUMNS), frame)
        for one, frame in zip(found, frames, strict=True)
        if isinstance(one, Image)
    ] == [True] * 8


def test_what_follows_an_image_is_searched_once_however_many_parts_it_comes_in() -> None:
    searched: list[int] = []

    class Watched(Inbox):
        def find(self, pattern: re.Pattern[bytes], first: int, is_right: Callable[[int], bool]) -> int | None:
            searched.append(len(self) - first)
            return super().find(pattern, first, is_right)

    inbox = Watched()
    splitter = ImageSplitter(inbox, LARGEST)
    inbox.put(b"P5 512 512 65535\n" + bytes(2 * 512 * 512))
    part, parts = b"\xff" * (1 << 14), 32
    for _ in range(parts):
        inbox.put(part)
        assert splitter.next() is None
    assert sum(searched) < 2 * (2 * 512 * 512 + parts * len(part))


@pytest.mark.parametrize("text", [b'{"A', b'{"A":', b"P5#", b'{"A":' * 800 + b"\n"])
def test_few_of_many_beginnings_are_read_as_headers_and_the_next_image_is_found(text: bytes) -> None:
    read: list[int] = []

    class Watched(ImageSplitter):
        def _header(self, at: int) -> ImageHeader | None:
            read.append(at)
            return super()._header(at)

    inbox = Inbox()
    splitter = Watched(inbox, LARGEST)
    noise = text * ((1 << 18) // len(text))
    inbox.put(b"x" + noise)
    assert splitter.next() is None
    assert len(read) <= 2 * MOST_TRIED * len(noise) // LONGEST_HEADER
    inbox.put(bytes(LONGEST_HEADER) + sent(FRAMES[0]))
    assert isinstance(splitter.next(), Junk)
    image = splitter.next(quiet=True)
    assert isinstance(image, Image)
    assert bytes(image.pixels) == FRAMES[0].astype(">u2").tobytes()


def test_memory_is_bounded_whatever_is_announced_and_sent() -> None:
    inbox = Inbox()
    splitter = ImageSplitter(inbox, 3 * ROOM_BYTES)
    inbox.put(b"P5 1400 1400 65535\n")
    noise = np.random.default_rng(1).bytes(1 << 16).replace(b"P5", b"P4").replace(b"{", b"[")
    for _ in range(400):
        inbox.put(noise)
        while splitter.next() is not None:
            pass
        assert len(inbox) <= 4 * ROOM_BYTES
        assert len(inbox.space()) <= FIRST_BYTES + 8 * ROOM_BYTES


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40), st.sampled_from([b"P5 ", b"2 2 255\n", b"\x01\x02\x03\x04", b'{"width":1}\n'])
        ),
        max_size=12,
    ),
    st.integers(1, 30),
)
def test_any_bytes_are_cut_into_images_and_junk(parts: list[bytes], at_once: int) -> None:
    data = b"".join(parts)
    found = split(data, at_once, largest=1 << 12)
    assert sum(one.header.length + one.header.size for one in found if isinstance(one, Image)) <= len(data)


def test_images_of_changing_shape_are_each_read_by_their_own_header() -> None:
    """Also where the header is that of the image before but for one digit."""
    shapes = [(8, 8), (8, 8), (8, 9), (8, 8), (9, 8), (9, 8)]
    images = [np.full(shape, number, np.uint16) for number, shape in enumerate(shapes)]
    data = b"".join(b"P5 %d %d 65535\n%b" % (*image.shape[::-1], image.astype(">u2").tobytes()) for image in images)
    found = [one for one in split(data) if isinstance(one, Image)]
    assert [one.header.shape for one in found] == shapes
    assert [bytes(one.pixels) for one in found] == [image.astype(">u2").tobytes() for image in images]
