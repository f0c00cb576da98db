"""A scan ends when it has all its frames, whether anybody says so or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.frames_out import FramesOut
from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_daemon.messages import FaultSeen, IntakeCounts, ScanClosed, ScanOpened
from livestrain_simulator.emulators.faults import FaultPlan, always, no_faults
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind, from_iterable

SHAPE = (3, 4)
PIXELS: NDArray[Any] = np.random.default_rng(2).integers(1, 200, (12, 4, 5)).astype("uint16")
KIND = PixelKind("U16", 12, "1x1")
STORED, MISSING = 1, 2


def test_a_scan_with_all_its_frames_ends_without_an_end(shared: IntakeProcess, out: FramesOut) -> None:
    out.start("whole", SHAPE, PIXELS)
    out.frames("whole", 0, PIXELS)
    closed = shared.closed()
    assert (closed.scan_id, closed.reason, closed.stored, closed.faults) == ("whole", "complete", 12, {})
    # the end that comes late says nothing new
    out.end("whole", frames_sent=12)
    out.start("next", SHAPE, PIXELS)
    out.frames("next", 0, PIXELS[:11])
    out.end("next")
    closed = shared.closed()
    assert (closed.scan_id, closed.stored, closed.missing, closed.faults) == ("next", 11, 1, {})


def test_a_list_of_positions_is_complete_without_those_that_it_does_not_name(
    shared: IntakeProcess, out: FramesOut
) -> None:
    out.start("listed", SHAPE, PIXELS, positions=[0, 5, 11, 5])
    out.frames("listed", 0, PIXELS[:4])
    closed = shared.closed()
    assert (closed.reason, closed.stored, closed.missing, closed.faults) == ("complete", 3, 9, {"duplicate": 1})


@contextmanager
def acquired(
    folder: Path, frames: NDArray[Any], scan: dict[str, Any], plan: FaultPlan = no_faults
) -> Iterator[IntakeProcess]:
    """An intake that has taken an endless acquisition of a Merlin to its last frame."""
    with MerlinEmulator(from_iterable(frames), KIND, plans=always(plan)) as emulator:
        merlin = {"host": "127.0.0.1", "data_port": emulator.data_port}
        with IntakeProcess(folder, intake={"merlin": merlin, "scan": scan, "silence_seconds": 60}) as intake:
            wait_until(lambda: emulator.listeners == 1, what="a listener")
            emulator.ask("SET,NUMFRAMESTOACQUIRE,0")
            emulator.ask("CMD,STARTACQUISITION")
            wait_until(lambda: emulator.acquisitions == 1, 30, "the last frame")
            yield intake


def frames_of(count: int) -> NDArray[Any]:
    """Frames that are all different."""
    frames = np.random.default_rng(count).integers(0, 1 << 12, (count, 64, 256)).astype("uint16")
    frames[:, 0, 0] = np.arange(count)
    return frames


@pytest.mark.parametrize("dropped", [set(), {13, 14, 15, 16, 17, 18}], ids=["none dropped", "dropped at the border"])
def test_scan_after_scan_of_an_endless_acquisition_has_its_own_folder(tmp_path: Path, dropped: set[int]) -> None:
    geometry = {
        "shape": [2, 3],
        "order": "serpentine",
        "flyback_frames": 1,
        "flyback_frames_per_scan": 2,
        "skip_frames": 5,
        "repeat": True,
    }
    frames = frames_of(5 + 3 * 10 - 1)

    def plan(number: int) -> tuple[Any, ...]:
        return ("drop",) if number in dropped else ()

    with acquired(tmp_path, frames, geometry, plan) as intake:
        wait_until(lambda: len(intake.of(ScanClosed)) == 3, 60, "the end of three scans")
        closed, opened = intake.of(ScanClosed), intake.of(ScanOpened)
        stem = opened[0].scan_id.removesuffix(".1")
        assert [one.scan_id for one in opened] == [one.scan_id for one in closed] == [f"{stem}.{n}" for n in (1, 2, 3)]
        assert {one.reason for one in closed} == {"complete"}
        for scan, one in enumerate(closed):
            first = 5 + 10 * scan
            # the second row runs back, after one frame in between
            numbers = [first, first + 1, first + 2, first + 6, first + 5, first + 4]
            states, stored = intake.on_disk(one.scan_id)
            assert states.tolist() == [MISSING if number in dropped else STORED for number in numbers]
            for number, state, frame in zip(numbers, states, stored, strict=True):
                assert state == MISSING or np.array_equal(frame, frames[number])
        assert not [fault for fault in intake.of(FaultSeen) if fault.kind != "connection"]


def test_what_an_endless_acquisition_sends_after_its_scan_is_said_once(tmp_path: Path) -> None:
    frames = frames_of(12 + 8)
    with acquired(tmp_path, frames, {"shape": [3, 4]}) as intake:
        closed = intake.closed()
        assert (closed.reason, closed.stored, closed.missing) == ("complete", 12, 0)

        def counted() -> int:
            """Frames that belong nowhere, of the scan and of none."""
            idle = [one.faults.get("wrong_index", 0) for one in intake.of(IntakeCounts) if not one.scan_id]
            return closed.faults["wrong_index"] + max(idle, default=0)

        wait_until(lambda: counted() == 8, what="all frames")
        np.testing.assert_array_equal(intake.on_disk(closed.scan_id)[1], frames[:12])
        told = wait_until(lambda: [one for one in intake.of(FaultSeen) if one.kind == "wrong_index"])
        assert "intake.scan.repeat = true" in told[0].text


def test_a_list_from_a_file_places_the_frames_of_a_detector(tmp_path: Path) -> None:
    frames = frames_of(7)
    table = np.array([[1, 2], [0, 0], [1, 0], [0, 2], [0, 1], [1, 1]])
    np.save(tmp_path / "list.npy", table)
    scan = {"shape": [2, 3], "positions": str(tmp_path / "list.npy"), "skip_frames": 1}
    with acquired(tmp_path, frames, scan) as intake:
        closed = intake.closed()
        assert (closed.reason, closed.stored, closed.faults) == ("complete", 6, {"flyback": 1})
        stored = intake.on_disk(closed.scan_id)[1].reshape(2, 3, 64, 256)
        for (row, column), frame in zip(table, frames[1:], strict=True):
            np.testing.assert_array_equal(stored[row, column], frame)
