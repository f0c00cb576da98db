"""Each fault with its twin: the same scan without the fault, which counts nothing."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.frames_out import FramesOut, packed
from helpers.intake_process import IntakeProcess
from livestrain_daemon.messages import FaultSeen, IntakeCounts, ScanClosed

SHAPE = (3, 4)
POSITIONS = 12
STORED, MISSING = 1, 2
PIXELS: NDArray[Any] = np.random.default_rng(1).integers(1, 200, (POSITIONS, 4, 5)).astype("uint16")

Fault = Callable[[FramesOut, str], None]
"""Sends something instead of frames 4 and 5."""


def wrong_pixels(out: FramesOut, scan: str) -> None:
    out.frames(scan, 4, PIXELS[4:6, :3])


def wrong_bytes(out: FramesOut, scan: str) -> None:
    out.frames(scan, 4, PIXELS[4:6], payload=PIXELS[4:6].tobytes()[:-1])


def wrong_dtype(out: FramesOut, scan: str) -> None:
    out.frames(scan, 4, PIXELS[4:6].astype("uint8"))


def wrong_index(out: FramesOut, scan: str) -> None:
    out.frames(scan, POSITIONS, PIXELS[4:6])


def index_beyond_all(out: FramesOut, scan: str) -> None:
    out.frames(scan, 1 << 62, PIXELS[4:6])


def unknown_scan(out: FramesOut, scan: str) -> None:
    out.frames(f"other-{scan}", 4, PIXELS[4:6])


def no_lz4(out: FramesOut, scan: str) -> None:
    out.frames(scan, 4, PIXELS[4:6], "lz4", payload=b"\xff" * 60)


def no_bslz4(out: FramesOut, scan: str) -> None:
    out.frames(scan, 4, PIXELS[4:6], "bslz4", payload=packed(PIXELS[4:6], "bslz4")[:-9] + b"\xff" * 9)


def unheard_encoding(out: FramesOut, scan: str) -> None:
    header = f'{{"{scan}"}}'.encode()
    out.parts(header, PIXELS[4:6].tobytes())


def newer(out: FramesOut, scan: str) -> None:
    out.frames(scan, 4, PIXELS[4:6], v=2)


def repeated(out: FramesOut, scan: str) -> None:
    out.frames(scan, 2, 0 * PIXELS[2:4])


FAULTS: list[tuple[Fault, str, int, str]] = [
    (wrong_pixels, "wrong_size", 2, r"expected frames of 4 x 5 pixels, found 3 x 5 pixels, in frames 4 to 5"),
    (wrong_bytes, "wrong_size", 2, r"expected 80 bytes of frames, found 79, in frames 4 to 5"),
    (wrong_dtype, "wrong_dtype", 2, r"expected uint16, found uint8, in frames 4 to 5"),
    (wrong_index, "wrong_index", 2, r"expected frames below number 12, found frames 12 to 13"),
    (index_beyond_all, "wrong_index", 2, r"expected frames below number 12, found frames 4611686018427387904 to .*"),
    (unknown_scan, "unknown_scan", 2, r"expected frames of scan .*, found scan other-.*, which has not been started"),
    (no_lz4, "bad_encoding", 2, r"expected an LZ4 block of 80 bytes, found 60 other bytes .*, in frames 4 to 5"),
    (no_bslz4, "bad_encoding", 2, r"expected .*, in frames 4 to 5"),
    (unheard_encoding, "bad_message", 1, r"expected .*"),
    (newer, "newer_protocol", 1, r"expected protocol version 1 or older, found 2"),
    (repeated, "duplicate", 2, r"expected each frame once, found 2 that are stored already, in frames 2 to 3"),
]


def run(shared: IntakeProcess, out: FramesOut, scan: str, fault: Fault) -> ScanClosed:
    out.start(scan, SHAPE, PIXELS)
    out.frames(scan, 0, PIXELS[:4])
    fault(out, scan)
    # once more: every frame counts, but only the first is told of
    fault(out, scan)
    out.frames(scan, 6, PIXELS[6:])
    out.end(scan)
    assert shared.opened().scan_id == scan
    return shared.closed()


@pytest.mark.parametrize(("fault", "kind", "frames", "text"), FAULTS, ids=[fault.__name__ for fault, *_ in FAULTS])
def test_a_fault_is_counted_told_once_and_harms_nothing_else(
    shared: IntakeProcess, out: FramesOut, fault: Fault, kind: str, frames: int, text: str
) -> None:
    scan = f"fault-{fault.__name__}"
    closed = run(shared, out, scan, fault)
    assert (closed.scan_id, closed.faults, closed.stored, closed.missing) == (scan, {kind: 2 * frames}, 10, 2)
    seen = [message for message in shared.of(FaultSeen) if message.scan_id == scan]
    assert [message.kind for message in seen] == [kind]
    assert re.fullmatch(text, seen[0].text), seen[0].text
    ledger, stored = shared.on_disk(scan)
    assert ledger.tolist() == [STORED] * 4 + [MISSING] * 2 + [STORED] * 6
    np.testing.assert_array_equal(stored[:4], PIXELS[:4])
    np.testing.assert_array_equal(stored[6:], PIXELS[6:])


@pytest.mark.parametrize("encoding", ["raw", "lz4", "bslz4"])
def test_the_same_scan_without_a_fault_counts_nothing(shared: IntakeProcess, out: FramesOut, encoding: str) -> None:
    scan = f"twin-{encoding}"
    out.start(scan, SHAPE, PIXELS)
    out.frames(scan, 0, PIXELS[:4], encoding)
    out.frames(scan, 4, PIXELS[4:6], encoding)
    out.frames(scan, 6, PIXELS[6:], encoding)
    out.end(scan, frames_sent=12)
    closed = shared.closed()
    assert (closed.scan_id, closed.faults, closed.stored, closed.missing) == (scan, {}, 12, 0)
    assert [message for message in shared.of(FaultSeen) if message.scan_id == scan] == []
    ledger, stored = shared.on_disk(scan)
    assert ledger.tolist() == [STORED] * 12
    np.testing.assert_array_equal(stored, PIXELS)


def test_a_run_that_leaves_the_scan_is_stored_up_to_its_end(shared: IntakeProcess, out: FramesOut) -> None:
    out.start("edge", SHAPE, PIXELS)
    out.frames("edge", 8, PIXELS[:6])
    out.end("edge")
    closed = shared.closed()
    assert (closed.faults, closed.stored, closed.missing) == ({"wrong_index": 2}, 4, 8)
    np.testing.assert_array_equal(shared.on_disk("edge")[1][8:], PIXELS[:4])


def test_the_first_copy_of_each_frame_wins_within_a_run(shared: IntakeProcess, out: FramesOut) -> None:
    out.start("first-copy", SHAPE, PIXELS)
    for first, count in ((4, 2), (0, 4), (7, 1), (2, 8), (0, 12)):
        out.frames("first-copy", first, PIXELS[first : first + count] + np.uint16(first))
    out.end("first-copy")
    closed = shared.closed()
    assert (closed.faults, closed.stored) == ({"duplicate": 2 + 3 + 10}, 12)
    offsets = [0, 0, 0, 0, 4, 4, 2, 7, 2, 2, 0, 0]
    np.testing.assert_array_equal(shared.on_disk("first-copy")[1], PIXELS + np.array(offsets, "uint16")[:, None, None])


def test_what_was_sent_and_did_not_come_is_lost(shared: IntakeProcess, out: FramesOut) -> None:
    out.start("lost", SHAPE, PIXELS)
    out.frames("lost", 0, PIXELS[:4])
    out.end("lost", frames_sent=7)
    closed = shared.closed()
    assert (closed.faults, closed.stored, closed.missing) == ({"lost": 3}, 4, 8)


def test_frames_outside_any_scan_count_for_none(shared: IntakeProcess, out: FramesOut) -> None:
    def count(kind: str) -> int:
        counts = [message.faults.get(kind, 0) for message in shared.of(IntakeCounts) if message.scan_id == ""]
        return counts[-1] if counts else 0

    before = count("unknown_scan")
    out.frames("never-started", 0, PIXELS[:3])
    shared.next(IntakeCounts)
    assert count("unknown_scan") == before + 3
    out.start("ends", SHAPE, PIXELS)
    out.end("ends")
    assert shared.closed().faults == {}
    late = count("late")
    out.frames("ends", 0, PIXELS[:5])
    while count("late") == late:
        shared.next(IntakeCounts)
    assert count("late") == late + 5
    assert shared.on_disk("ends")[0].tolist() == [MISSING] * 12
