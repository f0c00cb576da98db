"""Scans of a CheeTah TPX3."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.asi import LARGEST, fed, sparse
from helpers.merlin import Heard
from livestrain_daemon.intake.detectors.asi.scans import ScanReading
from livestrain_daemon.intake.detectors.events import SeriesEnd, SeriesFrames, SeriesStart, Trouble
from livestrain_daemon.intake.detectors.patience import Patience
from livestrain_simulator.emulators.asi import tpx3
from livestrain_simulator.emulators.asi.forms import Kind
from livestrain_simulator.emulators.faults import Action

FRAMES = sparse(12)
KIND = Kind.of("tpx3", FRAMES[0])
PATIENCE = Patience(silence_seconds=10, settle_seconds=1)
ACQUISITION = tpx3.acquisition_start(3, (3, 4), KIND.shape)
START = tpx3.scan_start(1, {})
CHUNKS = [tpx3.chunk(KIND, list(FRAMES[first : first + 3])) for first in range(0, 12, 3)]
END = tpx3.scan_end(1)
SCAN = [START, *CHUNKS, END]
LAST = tpx3.acquisition_end(3)


def reading() -> ScanReading:
    return ScanReading(PATIENCE, LARGEST)


def heard_of(*messages: bytes, at_once: int = 1 << 20) -> Heard:
    told = reading()
    heard = fed(told, b"".join(messages), at_once=at_once, quiet=True)
    heard.events += told.closed(0.0)
    return heard


def damaged(chunk: int, *actions: Action) -> list[bytes]:
    """A scan in which something has happened to a chunk."""
    parts = list(SCAN)
    parts[1 + chunk] = tpx3.chunk(KIND, list(FRAMES[3 * chunk : 3 * chunk + 3]), actions)
    return parts


def kinds(heard: Heard) -> list[tuple[str, int]]:
    return [(trouble.kind, trouble.frames) for trouble in heard.troubles]


def check(heard: Heard, missing: Sequence[int] = (), series: str = "3-1") -> None:
    """All frames are there and in their places, but those."""
    found = heard.frames(series)
    assert sorted(found) == sorted(set(range(12)) - set(missing))
    for number, frame in found.items():
        np.testing.assert_array_equal(frame, FRAMES[number])


@pytest.mark.parametrize("at_once", [1, 1000, 1 << 20])
def test_a_scan_becomes_dense_frames_in_their_order(at_once: int) -> None:
    heard = heard_of(ACQUISITION, *SCAN, LAST, at_once=at_once)
    check(heard)
    assert heard.starts == [SeriesStart("3-1", (24, 32), "uint16", 12, (3, 4))]
    assert [event.count for event in heard.of(SeriesFrames)] == [3, 3, 3, 3]
    assert sum(event.size for event in heard.of(SeriesFrames)) == sum(map(len, CHUNKS))
    assert heard.ends == [SeriesEnd("3-1")]
    assert not heard.troubles


@pytest.mark.parametrize(("largest", "expected"), [(255, []), (256, [("wrong_dtype", 3)])])
def test_counts_too_large_for_the_type_of_the_first_chunk_are_told_and_not_made_smaller(
    largest: int, expected: list[tuple[str, int]]
) -> None:
    frames = np.minimum(FRAMES, 255)
    narrow = Kind.of("tpx3", frames.astype("u1")[0])
    wide = frames[3:6].copy()
    wide[1, 2, 3] = largest
    chunks = [tpx3.chunk(narrow, list(frames[first : first + 3].astype("u1"))) for first in (0, 6, 9)]
    chunks.insert(1, tpx3.chunk(KIND, list(wide)))
    heard = heard_of(ACQUISITION, START, *chunks, END)
    assert heard.starts[0].dtype == "uint8"
    assert kinds(heard) == expected
    assert sorted(heard.frames("3-1")) == [number for number in range(12) if not expected or not 3 <= number < 6]


def test_a_pixel_with_the_largest_count_there_is_says_nothing() -> None:
    frames = FRAMES.astype("u4")
    heard = heard_of(ACQUISITION, START, tpx3.chunk(Kind.of("tpx3", frames[0]), list(frames)), END)
    assert [start.saturation for start in heard.starts] == [(1 << 32) - 1]
    assert [start.saturation for start in heard_of(ACQUISITION, *SCAN).starts] == [None]


def test_what_is_told_with_the_start_is_kept_if_it_can_be() -> None:
    told = {
        "dwell": 1e-6,
        "name": "a",
        "on": True,
        "big": 1 << 80,
        "bad": "\ud800",
        "list": [1],
        "long": "x" * 500,
        "inf": float("inf"),
    }
    start = tpx3.scan_start(1, told)
    assert heard_of(ACQUISITION, start, *SCAN[1:]).starts[0].metadata == {"dwell": 1e-6, "name": "a", "on": True}


def test_an_acquisition_has_several_scans() -> None:
    heard = heard_of(ACQUISITION, *SCAN, tpx3.scan_start(2, {}), *CHUNKS, tpx3.scan_end(2), LAST)
    assert heard.ends == [SeriesEnd("3-1"), SeriesEnd("3-2")]
    check(heard, series="3-2")


def test_the_same_numbers_again_are_another_series() -> None:
    heard = heard_of(ACQUISITION, *SCAN, LAST, ACQUISITION, *SCAN, LAST)
    assert heard.ends == [SeriesEnd("3-1"), SeriesEnd("3-1-2")]
    check(heard, series="3-1-2")


@pytest.mark.parametrize(
    ("messages", "aborted"),
    [([LAST], True), ([ACQUISITION], True), ([START, *CHUNKS], True), ([], True), ([END], False)],
    ids=["end of the acquisition", "the next acquisition", "the next scan", "closed", "end of the scan"],
)
def test_a_scan_may_be_short(messages: list[bytes], aborted: bool) -> None:
    heard = heard_of(ACQUISITION, START, *CHUNKS[:2], *messages)
    check(heard, missing=range(6, 12))
    assert heard.ends[0] == SeriesEnd("3-1", aborted)
    assert kinds(heard)[0] == ("wrong_count", 0)
    assert "3-1: expected 12 frames, found 6; they have no numbers" in heard.troubles[0].text


def test_a_scan_ends_by_silence_sooner_if_all_of_it_has_come() -> None:
    told = reading()
    assert not fed(told, b"".join([ACQUISITION, *SCAN[:-1]]), now=100.0, quiet=True).ends
    assert [*told.events(101.5, quiet=True)] == [SeriesEnd("3-1")]
    fed(told, b"".join([ACQUISITION, *SCAN[:-2]]), now=200.0, quiet=True)
    assert not [*told.events(209.0, quiet=True)]
    assert [*told.events(210.5, quiet=True)][-1] == SeriesEnd("3-1-2", aborted=True)


@pytest.mark.parametrize("chunk", [0, 1, 3])
@pytest.mark.parametrize(("action", "kind"), [("corrupt", "bad_encoding"), ("truncate", "bad_message")])
def test_a_damaged_chunk_costs_its_frames_only(action: Action, kind: str, chunk: int) -> None:
    lost = range(3 * chunk, 3 * chunk + 3)
    heard = heard_of(ACQUISITION, *damaged(chunk, action), LAST)
    check(heard, missing=lost)
    assert kinds(heard) == [(kind, 3)]
    assert heard.ends == [SeriesEnd("3-1")]


@pytest.mark.parametrize("chunk", [0, 1, 3])
def test_behind_a_header_that_cannot_be_read_no_frame_is_guessed_until_the_next_scan(chunk: int) -> None:
    heard = heard_of(
        ACQUISITION, *damaged(chunk, "bad_length"), tpx3.scan_start(2, {}), *CHUNKS, tpx3.scan_end(2), LAST
    )
    found = heard.frames("3-1")
    assert sorted(found) == list(range(3 * chunk))
    assert kinds(heard) == [("bad_message", 0), *[("bad_message", 3)] * (3 - chunk)]
    check(heard, series="3-2")


def test_frames_that_came_before_the_start_of_their_scan_belong_to_it() -> None:
    heard = heard_of(ACQUISITION, CHUNKS[0], CHUNKS[1], START, *CHUNKS[2:], END, LAST)
    check(heard)
    assert not heard.troubles


@pytest.mark.parametrize(("action", "kind"), [("corrupt", "bad_encoding"), ("truncate", "bad_message")])
def test_a_damaged_chunk_before_the_start_of_its_scan_costs_its_frames_only(action: Action, kind: str) -> None:
    first = damaged(0, action)[1]
    heard = heard_of(ACQUISITION, first, CHUNKS[1], START, *CHUNKS[2:], END, LAST)
    check(heard, missing=range(3))
    assert kinds(heard) == [(kind, 3)]


def test_behind_a_header_that_cannot_be_read_no_frame_is_guessed_before_the_start_of_its_scan_either() -> None:
    lost = damaged(1, "bad_length")[2]
    heard = heard_of(ACQUISITION, CHUNKS[0], lost, CHUNKS[2], START, CHUNKS[3], END, LAST)
    check(heard, missing=range(3, 12))
    assert kinds(heard) == [("bad_message", 0), ("bad_message", 3), ("bad_message", 3)]


def test_frames_behind_the_end_of_a_scan_belong_to_the_next_if_it_was_whole() -> None:
    second = [tpx3.scan_start(2, {}), *CHUNKS[1:], tpx3.scan_end(2), LAST]
    heard = heard_of(ACQUISITION, *SCAN, CHUNKS[0], *second)
    check(heard, series="3-2")
    assert not heard.troubles


def test_frames_behind_the_end_of_a_scan_that_was_short_are_nobodys() -> None:
    second = [tpx3.scan_start(2, {}), *CHUNKS, tpx3.scan_end(2), LAST]
    heard = heard_of(ACQUISITION, START, *CHUNKS[:3], END, CHUNKS[3], *second)
    assert kinds(heard) == [("wrong_count", 0), ("unknown_scan", 3)]
    check(heard, series="3-2")


def test_frames_whose_start_never_comes_are_given_up() -> None:
    told = reading()
    heard = fed(told, ACQUISITION + CHUNKS[0] + CHUNKS[1], now=100.0, quiet=True)
    assert not heard.events
    assert [(event.kind, event.frames) for event in told.events(102.0, quiet=True) if isinstance(event, Trouble)] == [
        ("unknown_scan", 6)
    ]


def test_who_connects_in_the_middle_of_a_scan_waits_for_the_next_acquisition() -> None:
    heard = heard_of(*CHUNKS[2:], END, tpx3.scan_start(2, {}), *CHUNKS, tpx3.scan_end(2), LAST, ACQUISITION, *SCAN)
    check(heard)
    assert [start.series for start in heard.starts] == ["3-1"]
    assert {kind for kind, _ in kinds(heard)} == {"unknown_scan"}


def test_after_a_lost_connection_the_next_scan_is_taken() -> None:
    told = reading()
    heard = fed(told, ACQUISITION + START + CHUNKS[0])
    assert told.cut
    heard.events += told.closed(0.0)
    rest = [CHUNKS[2], CHUNKS[3], END, tpx3.scan_start(2, {}), *CHUNKS, tpx3.scan_end(2)]
    heard.events += fed(told, b"".join(rest), quiet=True).events
    check(heard, missing=range(3, 12))
    check(heard, series="3-2")
    assert heard.ends == [SeriesEnd("3-1", aborted=True), SeriesEnd("3-2")]


@pytest.mark.parametrize(
    ("begin", "text"), [(b"\x00\x08", "expected version 7"), (b"\x00\x07\x01", "expected format 0 (CSR)")]
)
def test_another_version_or_form_is_refused_with_one_line(begin: bytes, text: str) -> None:
    heard = heard_of(begin + ACQUISITION[len(begin) :], *SCAN, LAST)
    assert not heard.starts
    first, *others = heard.troubles
    assert (first.kind, text in first.text) == ("bad_encoding", True)
    assert {other.kind for other in others} <= {"unknown_scan", "bad_message"}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([ACQUISITION, *SCAN, LAST])), max_size=12),
    st.integers(1, 3000),
)
def test_any_bytes_become_events(parts: list[bytes], at_once: int) -> None:
    heard = heard_of(*parts, at_once=at_once)
    assert all(isinstance(event, SeriesStart | SeriesFrames | SeriesEnd | Trouble) for event in heard.events)
    assert all(
        len(event.payload) == event.count * 24 * 32 * 2 for event in heard.of(SeriesFrames) if event.dtype == "uint16"
    )
