"""What opens a scan, what closes it, and what a restart makes of it."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.frames_out import FramesOut
from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_daemon.messages import (
    CloseScan,
    FaultSeen,
    ResumeScan,
    ScanClosed,
    ScanOpened,
    ScanRefused,
    Stored,
)
from livestrain_daemon.scanfolder.layout import open_frames

STORED, MISSING = 1, 2
SHAPE = (3, 4)
PIXELS: NDArray[Any] = np.random.default_rng(1).integers(1, 200, (12, 4, 5)).astype("uint16")


def stored_frames(intake: IntakeProcess, scan: str) -> int:
    return sum(count for message in intake.of(Stored) if message.scan_id == scan for _, count in message.runs)


@pytest.mark.parametrize("reason", ["complete", "aborted"])
def test_a_scan_that_stops_short_has_missing_frames(shared: IntakeProcess, out: FramesOut, reason: str) -> None:
    scan = f"short-{reason}"
    out.start(scan, SHAPE, PIXELS)
    out.frames(scan, 0, PIXELS[:5])
    out.end(scan, reason=reason)
    closed = shared.closed()
    assert (closed.reason, closed.stored, closed.missing, closed.faults) == (reason, 5, 7, {})
    assert shared.on_disk(scan)[0].tolist() == [STORED] * 5 + [MISSING] * 7


def test_the_next_scan_ends_the_one_before(shared: IntakeProcess, out: FramesOut) -> None:
    out.start("before", SHAPE, PIXELS)
    out.frames("before", 0, PIXELS[:5])
    out.start("after", SHAPE, PIXELS)
    out.frames("before", 5, PIXELS[5:])
    out.frames("after", 0, PIXELS)
    out.end("before")
    out.end("after")
    closed = shared.closed()
    assert (closed.scan_id, closed.reason, closed.stored, closed.missing) == ("before", "superseded", 5, 7)
    closed = shared.closed()
    assert (closed.scan_id, closed.reason, closed.stored, closed.faults) == ("after", "complete", 12, {"late": 7})
    np.testing.assert_array_equal(shared.on_disk("after")[1], PIXELS)


def test_the_same_start_twice_is_one_scan(shared: IntakeProcess, out: FramesOut) -> None:
    out.start("twice", SHAPE, PIXELS)
    out.start("twice", SHAPE, PIXELS)
    out.frames("twice", 0, PIXELS[:5])
    out.start("twice", SHAPE, PIXELS)
    out.frames("twice", 5, PIXELS[5:])
    out.end("twice")
    closed = shared.closed()
    assert (closed.scan_id, closed.reason, closed.stored, closed.faults) == ("twice", "complete", 12, {})
    np.testing.assert_array_equal(shared.on_disk("twice")[1], PIXELS)


def test_the_same_start_and_the_same_frames_again_are_a_new_scan(shared: IntakeProcess, out: FramesOut) -> None:
    out.start("again", SHAPE, PIXELS)
    out.frames("again", 0, PIXELS[:5])
    out.start("again", SHAPE, PIXELS)
    out.frames("again", 0, PIXELS + np.uint16(1))
    out.end("again")
    first, second = shared.opened(), shared.opened()
    assert (first.scan_id, second.scan_id, second.start.scan_id) == ("again", "again-2", "again-2")
    closed = shared.closed()
    assert (closed.scan_id, closed.stored, closed.faults) == ("again-2", 12, {})
    (before,) = [message for message in shared.of(ScanClosed) if message.scan_id == "again"]
    assert (before.reason, before.stored, before.missing) == ("superseded", 5, 7)
    np.testing.assert_array_equal(shared.on_disk("again")[1][:5], PIXELS[:5])
    np.testing.assert_array_equal(shared.on_disk("again-2")[1], PIXELS + np.uint16(1))


def test_another_start_under_the_same_id_is_a_new_scan(shared: IntakeProcess, out: FramesOut) -> None:
    out.start("reused", SHAPE, PIXELS)
    out.frames("reused", 0, PIXELS[:5])
    out.start("reused", (2, 2), PIXELS)
    out.frames("reused", 0, PIXELS[:4])
    out.end("reused")
    closed = shared.closed()
    assert (closed.scan_id, closed.reason, closed.stored) == ("reused", "superseded", 5)
    closed = shared.closed()
    assert (closed.scan_id, closed.reason, closed.stored, closed.missing) == ("reused-2", "complete", 4, 0)


def test_an_ended_id_can_be_used_again(shared: IntakeProcess, out: FramesOut) -> None:
    for folder in ("daily", "daily-2", "daily-3"):
        out.start("daily", (1, 2), PIXELS)
        out.frames("daily", 0, PIXELS[:2])
        out.end("daily")
        assert (shared.closed().scan_id, shared.of(ScanClosed)[-1].stored) == (folder, 2)
        assert shared.on_disk(folder)[0].tolist() == [STORED] * 2


def test_the_longest_id_can_be_used_again(shared: IntakeProcess, out: FramesOut) -> None:
    long = "x" * 64
    for folder in (long, long[:58], long[:58] + "-2"):
        out.start(long, (1, 2), PIXELS)
        out.frames(long, 0, PIXELS[:2])
        out.end(long)
        assert shared.closed().scan_id == folder


def test_main_can_end_a_scan(shared: IntakeProcess, out: FramesOut) -> None:
    out.start("ended-by-main", SHAPE, PIXELS)
    out.frames("ended-by-main", 0, PIXELS[:5])
    wait_until(lambda: stored_frames(shared, "ended-by-main") == 5)
    shared.command(CloseScan())
    closed = shared.closed()
    assert (closed.reason, closed.stored, closed.missing) == ("stopped", 5, 7)


def test_a_refused_start_leaves_the_scan_in_progress_alone(shared: IntakeProcess, out: FramesOut) -> None:
    out.start("goes-on", SHAPE, PIXELS)
    out.frames("goes-on", 0, PIXELS[:5])
    out.start("too-large", (60000, 60000), PIXELS)
    out.frames("too-large", 0, PIXELS[:3])
    out.frames("goes-on", 5, PIXELS[5:])
    out.end("goes-on")
    assert shared.next(ScanRefused).text == "expected at most 67108864 scan positions, found 3600000000"
    closed = shared.closed()
    assert (closed.scan_id, closed.stored, closed.faults) == ("goes-on", 12, {"refused": 3})


def test_silence_ends_a_scan(tmp_path: Path) -> None:
    with (
        IntakeProcess(tmp_path, intake={"silence_seconds": 0.3}) as intake,
        FramesOut(intake.endpoint) as out,
    ):
        out.start("silent", SHAPE, PIXELS)
        out.frames("silent", 0, PIXELS[:5])
        closed = intake.closed()
        assert (closed.reason, closed.stored, closed.missing) == ("silence", 5, 7)


@pytest.mark.parametrize(("order", "by_command"), [("raster", False), ("explicit", True)])
def test_a_killed_intake_loses_nothing_stored_and_goes_on(tmp_path: Path, order: str, by_command: bool) -> None:
    permutation = np.random.default_rng(3).permutation(12)
    more: dict[str, Any] = {"positions": permutation} if order == "explicit" else {}
    places = permutation if order == "explicit" else np.arange(12)
    with IntakeProcess(tmp_path) as intake, FramesOut(intake.endpoint) as out:
        out.start("interrupted", SHAPE, PIXELS, **more)
        out.frames("interrupted", 0, PIXELS[:5])
        wait_until(lambda: stored_frames(intake, "interrupted") == 5)
        intake.process.kill()
        intake.process.wait()
        ledger, stored = intake.on_disk("interrupted")
        assert np.flatnonzero(ledger == STORED).tolist() == sorted(places[:5])
    with IntakeProcess(tmp_path) as intake, FramesOut(intake.endpoint) as out:
        if by_command:
            intake.command(ResumeScan(folder=str(intake.spool / "interrupted")))
            opened = intake.opened()
            assert (opened.scan_id, opened.resumed) == ("interrupted", True)
        out.frames("interrupted", 7, PIXELS[7:])
        out.frames("interrupted", 3, 0 * PIXELS[3:6])
        out.end("interrupted")
        closed = intake.closed()
        assert len(intake.of(ScanOpened)) == 1
        assert (closed.reason, closed.stored, closed.missing) == ("complete", 11, 1)
        assert closed.faults == {"duplicate": 2}
        ledger, stored = intake.on_disk("interrupted")
    expected = PIXELS.copy()
    expected[5:7] = 0
    np.testing.assert_array_equal(stored[places], expected)
    assert ledger[places].tolist() == [STORED] * 6 + [MISSING] + [STORED] * 5


def test_a_scan_that_was_complete_before_the_restart_is_closed_at_once(tmp_path: Path) -> None:
    with IntakeProcess(tmp_path) as intake, FramesOut(intake.endpoint) as out:
        out.start("whole", SHAPE, PIXELS)
        out.frames("whole", 0, PIXELS)
        wait_until(lambda: stored_frames(intake, "whole") == 12)
        intake.process.kill()
        intake.process.wait()
    with IntakeProcess(tmp_path) as intake, FramesOut(intake.endpoint) as out:
        # a late frame alone does not bring it back
        out.frames("whole", 0, PIXELS)
        assert intake.next(FaultSeen).kind == "late"
        assert intake.of(ScanOpened) == []
        intake.command(ResumeScan(folder=str(intake.spool / "whole")))
        closed = intake.closed()
        assert intake.of(ScanOpened)[0].resumed
        assert (closed.reason, closed.stored, closed.missing) == ("complete", 12, 0)


@pytest.mark.parametrize("rebooted", [True, False])
def test_frames_that_a_loss_of_power_took_are_expected_again(tmp_path: Path, rebooted: bool) -> None:
    with IntakeProcess(tmp_path) as intake, FramesOut(intake.endpoint) as out:
        out.start("power", SHAPE, PIXELS)
        out.frames("power", 0, PIXELS[:10])
        wait_until(lambda: stored_frames(intake, "power") == 10)
        intake.process.kill()
        intake.process.wait()
        layout = open_frames(intake.spool / "power")
        with layout.path.open("r+b") as file:
            file.seek(layout.frames_offset + 4 * layout.frame_bytes)
            file.write(bytes(2 * layout.frame_bytes))
        if rebooted:
            with h5py.File(layout.path, "r+") as file:
                file.attrs["boot_id"] = "another"
    with IntakeProcess(tmp_path) as intake, FramesOut(intake.endpoint) as out:
        out.frames("power", 4, PIXELS[4:5])
        out.end("power")
        closed = intake.closed()
        assert intake.of(ScanOpened)[0].resumed
    assert (closed.stored, closed.missing) == ((9, 3) if rebooted else (10, 2))
    assert closed.faults == ({} if rebooted else {"duplicate": 1})
    states = [STORED] * 5 + [MISSING if rebooted else STORED] + [STORED] * 4 + [MISSING] * 2
    assert intake.on_disk("power")[0].tolist() == states


def test_a_folder_that_is_no_scan_is_not_resumed(shared: IntakeProcess, out: FramesOut) -> None:
    (shared.spool / "damaged").mkdir()
    (shared.spool / "damaged" / "frames.h5").write_bytes(b"nothing")
    shared.command(ResumeScan(folder=str(shared.spool / "damaged")))
    refused = shared.next(ScanRefused)
    assert refused.scan_id == "damaged"
    assert "frames.h5" in refused.text


@pytest.mark.parametrize("seed", range(30))
def test_any_mixture_of_faults_leaves_exactly_the_right_frames(
    shared: IntakeProcess, out: FramesOut, seed: int
) -> None:
    random = np.random.default_rng(seed)
    shape = (int(random.integers(1, 8)), int(random.integers(1, 9)))
    positions = shape[0] * shape[1]
    flyback = int(random.integers(0, 3))
    serpentine = bool(random.integers(2))
    scan = f"mixture-{seed}"
    out.start(scan, shape, PIXELS, order="serpentine" if serpentine else "raster", flyback_frames=flyback)
    ledger = np.full(positions, MISSING)
    expected = np.zeros((positions, 4, 5), "uint16")
    faults: dict[str, int] = {}
    total = shape[0] * (shape[1] + flyback)
    first_frames = [*range(0, total + 2, 3), *random.integers(0, total, 5)]
    for first in random.permutation(first_frames).tolist():
        block = random.integers(1, 999, (int(random.integers(1, 6)), 4, 5)).astype("uint16")
        kind = str(random.choice(["good"] * 6 + ["wrong_size", "wrong_dtype", "bad_encoding", "unknown_scan", "junk"]))
        if _send(out, scan, first, block, kind):
            kinds = [kind] * len(block) if kind != "junk" else ["bad_message"]
        else:
            kinds = [
                _place(ledger, expected, shape, flyback, serpentine, first + index, pixels)
                for index, pixels in enumerate(block)
            ]
        for found in kinds:
            faults[found] = faults.get(found, 0) + 1
    faults.pop("stored", 0)
    out.end(scan)
    closed = shared.closed()
    found_ledger, found_frames = shared.on_disk(scan)
    assert (closed.scan_id, closed.faults) == (scan, faults)
    assert found_ledger.tolist() == ledger.tolist()
    np.testing.assert_array_equal(found_frames[ledger == STORED], expected[ledger == STORED])
    assert (closed.stored, closed.missing) == (np.sum(ledger == STORED), np.sum(ledger == MISSING))
    seen = [message.kind for message in shared.of(FaultSeen) if message.scan_id == scan]
    assert sorted(seen) == sorted(set(faults) - {"flyback"})


def _send(out: FramesOut, scan: str, first: int, block: NDArray[Any], kind: str) -> bool:
    """Send frames with a fault of this kind; false if there is none."""
    match kind:
        case "wrong_size":
            out.frames(scan, first, block[:, :-1])
        case "wrong_dtype":
            out.frames(scan, first, block.astype("uint32"))
        case "bad_encoding":
            out.frames(scan, first, block, "lz4", payload=b"\xff" * 40)
        case "unknown_scan":
            out.frames("nobody", first, block)
        case "junk":
            out.parts(b"junk", b"junk")
        case _:
            out.frames(scan, first, block, "raw" if first % 2 else "bslz4")
            return False
    return True


def _place(
    ledger: NDArray[Any],
    expected: NDArray[Any],
    shape: tuple[int, int],
    flyback: int,
    serpentine: bool,
    frame: int,
    pixels: NDArray[Any],
) -> str:
    """What becomes of one good frame, and its place in the truth."""
    row, column = divmod(frame, shape[1] + flyback)
    if row >= shape[0]:
        return "wrong_index"
    if column >= shape[1]:
        return "flyback"
    position = row * shape[1] + (shape[1] - 1 - column if serpentine and row % 2 else column)
    if ledger[position] == STORED:
        return "duplicate"
    ledger[position] = STORED
    expected[position] = pixels
    return "stored"
