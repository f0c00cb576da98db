"""Messages of the TPX3 in a stream of bytes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.asi import sparse
from livestrain_daemon.intake.detectors.asi.inbox import FIRST_BYTES, ROOM_BYTES, Inbox
from livestrain_daemon.intake.detectors.asi.messages import CutShort, Lost, MessageSplitter, Whole
from livestrain_daemon.intake.detectors.asi.tpx3 import Chunk
from livestrain_simulator.emulators.asi import tpx3
from livestrain_simulator.emulators.asi.forms import Kind

FRAMES = sparse(8)
KIND = Kind.of("tpx3", FRAMES[0])
CHUNKS = [tpx3.chunk(KIND, list(FRAMES[first : first + 2])) for first in range(0, 8, 2)]
MESSAGES = [
    tpx3.acquisition_start(3, (2, 4), KIND.shape),
    tpx3.scan_start(1, {"dwell": 1e-6}),
    *CHUNKS,
    tpx3.scan_end(1),
    tpx3.scan_start(2, {}),
    *CHUNKS,
    tpx3.scan_end(2),
    tpx3.acquisition_end(3),
]
NAMES = [
    "AcquisitionStart",
    "ScanStart",
    *["Chunk"] * 4,
    "ScanEnd",
    "ScanStart",
    *["Chunk"] * 4,
    "ScanEnd",
    "AcquisitionEnd",
]


def split(data: bytes, at_once: int = 1 << 16, largest: int = 1 << 24) -> list[str]:
    """What is found: names of headers, and what is wrong."""
    inbox = Inbox()
    splitter = MessageSplitter(inbox, largest)
    found: list[str] = []

    def take(quiet: bool) -> None:
        while (one := splitter.next(quiet)) is not None:
            match one:
                case Whole():
                    assert len(one.body) == one.header.body_bytes
                    found.append(type(one.header).__name__)
                case CutShort():
                    found.append(f"cut {type(one.header).__name__}")
                case Lost():
                    found.append(f"lost {one.kind}")

    for first in range(0, len(data), at_once):
        inbox.put(data[first : first + at_once])
        take(quiet=False)
    take(quiet=True)
    return found


@pytest.mark.parametrize("at_once", [1, 7, 1000, 1 << 20])
def test_messages_come_out_as_they_went_in_however_the_bytes_are_cut(at_once: int) -> None:
    assert split(b"".join(MESSAGES), at_once) == NAMES


@pytest.mark.parametrize("at_once", [1, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda one: one[: len(one) // 2], ["Chunk", "cut Chunk"]),
        (lambda one: one[:-1], ["Chunk", "cut Chunk"]),
        (lambda one: one[:32], ["Chunk", "cut Chunk"]),
        (lambda one: one[:20], ["Chunk", "cut Chunk"]),
        (lambda one: b"\x09" + one[1:], ["Chunk", "lost bad_message"]),
        (lambda one: one[:6] + b"\xff\xff\xff\xff" + one[10:], ["Chunk", "lost bad_message"]),
        (lambda one: b"", ["Chunk"]),
        # where no header has ever been, the message before may have lost its end
        (lambda one: one + b"\x07" * 9, ["Chunk", "cut Chunk", "lost bad_message"]),
        (lambda one: one[:10], ["cut Chunk", "lost bad_message"]),
        (lambda one: one[40:], ["cut Chunk", "lost bad_message"]),
        (lambda one: b"\xff" * 20_000, ["cut Chunk", "lost bad_message"]),
    ],
    ids=[
        "half",
        "one byte short",
        "header only",
        "half a header",
        "other kind",
        "huge",
        "none",
        "too long",
        "a third of a header",
        "no header",
        "junk",
    ],
)
def test_the_stream_is_taken_up_again_behind_a_damaged_message(at_once: int, change: Any, expected: list[str]) -> None:
    messages = list(MESSAGES)
    messages[3] = change(messages[3])
    assert split(b"".join(messages), at_once) == [*NAMES[:2], *expected, *NAMES[4:]]


def test_the_last_message_of_a_scan_may_be_cut_short() -> None:
    messages = list(MESSAGES)
    messages[5] = messages[5][:-20]
    assert split(b"".join(messages)) == [*NAMES[:5], "cut Chunk", *NAMES[6:]]


@pytest.mark.parametrize(
    ("begin", "kind"),
    [
        (b"\x00\x08" + MESSAGES[0][2:], "bad_encoding"),
        (b"\x00\x07\x01" + MESSAGES[0][3:], "bad_encoding"),
        (b"P5 100 100 65535\n" * 4, "bad_message"),
    ],
)
def test_another_version_or_form_or_stream_is_told_once_and_skipped(begin: bytes, kind: str) -> None:
    assert split(begin + MESSAGES[1] + b"\x55" * 100_000, 1000) == [f"lost {kind}", "ScanStart", "lost bad_message"]


def test_who_has_paused_begins_with_a_message() -> None:
    inbox = Inbox()
    splitter = MessageSplitter(inbox, 1 << 20)
    odd = MESSAGES[0][:-1] + b"\x01"
    inbox.put(b"\xff" * 100 + odd)
    assert isinstance(splitter.next(), Lost)
    assert splitter.next() is None
    assert splitter.next(quiet=True) is None
    inbox.put(odd)
    assert isinstance(splitter.next(quiet=True), Whole)


def test_memory_is_bounded_whatever_is_announced_and_sent() -> None:
    inbox = Inbox()
    splitter = MessageSplitter(inbox, 3 * ROOM_BYTES)
    inbox.put(MESSAGES[0] + MESSAGES[1] + tpx3.chunk(KIND, list(FRAMES))[:32])
    noise = np.random.default_rng(1).bytes(1 << 16)
    for _ in range(200):
        inbox.put(noise)
        while splitter.next() is not None:
            pass
        assert len(inbox) <= 4 * ROOM_BYTES
        assert len(inbox.space()) <= FIRST_BYTES + 8 * ROOM_BYTES


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(st.binary(max_size=70), st.sampled_from([*MESSAGES[:3], *MESSAGES[-2:]])), max_size=10),
    st.integers(1, 300),
)
def test_any_bytes_are_cut_into_messages_and_junk(parts: list[bytes], at_once: int) -> None:
    split(b"".join(parts), at_once, largest=1 << 14)


def test_a_chunk_before_any_start_can_be_passed_over() -> None:
    inbox = Inbox()
    splitter = MessageSplitter(inbox, 1 << 20)
    inbox.put(CHUNKS[0] + CHUNKS[1])
    first = splitter.next()
    assert isinstance(first, Whole)
    assert isinstance(first.header, Chunk)
    assert first.header.frames == 2
