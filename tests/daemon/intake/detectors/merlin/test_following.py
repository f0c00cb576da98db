"""Frames whose headers need not be read, because they are like the one before."""

from datetime import UTC, datetime

import pytest

from livestrain_daemon.intake.detectors.merlin.following import alike
from livestrain_recordings.merlin.header import frame_header as read
from livestrain_simulator.emulators.merlin.headers import frame_header
from livestrain_simulator.emulators.merlin.pixels import PixelKind

KIND = PixelKind("U16", 12, "1x1")
AT = datetime(2026, 4, 15, 14, 44, 41, tzinfo=UTC)
PIXELS = bytes(2 * 4 * 256)


def message(number: int) -> bytes:
    return frame_header(number, KIND, (4, 256), AT, 1.0) + PIXELS


def test_the_next_frame_is_known_by_its_bytes() -> None:
    """The frame of the next number is known without reading it, and no other is taken for it."""
    like = alike(memoryview(message(41)))
    assert like is not None
    assert like.is_frame(42, memoryview(message(42)))
    assert not like.is_frame(42, memoryview(message(41)))
    assert not like.is_frame(42, memoryview(message(142)))


@pytest.mark.parametrize(("old", "new"), [(b"0256", b"0128"), (b"U16", b"U08"), (b"1x1", b"2x2"), (b"MQ1", b"MQ2")])
def test_another_header_is_read(old: bytes, new: bytes) -> None:
    """A header that differs anywhere in its geometry is left to be read."""
    like = alike(memoryview(message(1)))
    assert like is not None
    assert not like.is_frame(2, memoryview(message(2).replace(old, new, 1)))


def test_another_size_is_read() -> None:
    """A message of another size is left to be read, whatever its header says."""
    like = alike(memoryview(message(1)))
    assert like is not None
    assert not like.is_frame(2, memoryview(message(2)[:-1]))
    assert not like.is_frame(2, memoryview(message(2) + b"\0"))


def test_numbers_beyond_six_digits_are_read() -> None:
    """Behind the last number of six digits they begin again, which only who reads them knows."""
    like = alike(memoryview(message(999_998)))
    assert like is not None
    assert like.is_frame(999_999, memoryview(message(999_999)))
    assert not like.is_frame(1_000_000, memoryview(b"MQ1,1000000" + message(1)[10:]))


def test_what_is_compared_holds_the_geometry() -> None:
    """The bytes that are compared are all that the reader looks at, so that it would find the same in them."""
    whole = memoryview(message(7))
    like = alike(whole)
    assert like is not None
    cut = bytes(whole[: like.header_bytes]) + b"x" * 80
    assert read(memoryview(cut)) == read(whole)


def test_an_unusual_header_is_always_read() -> None:
    """A number of other than six digits, or a header with long fields, is read each time."""
    assert alike(memoryview(message(1).replace(b"000001", b"1", 1))) is None
    assert alike(memoryview(b"MQ1,000001," + b"1" * 100 + b",")) is None
