import numpy as np
import pytest
from numpy.typing import NDArray

from livestrain_daemon.plan import stages_for
from livestrain_daemon.scan.calibration import CalibrationSchedule, calibration_from, most_frames, nominal_calibration
from livestrain_daemon.scanfolder import FrameState
from livestrain_wire.messages import Order, ScanStart


def schedule(rows: int, columns: int, count: int = 64, order: Order = "raster") -> CalibrationSchedule:
    start = ScanStart(scan_id="s", scan_shape=(rows, columns), frame_shape=(8, 8), dtype="uint16", order=order)
    return CalibrationSchedule(start, count)


def states(positions: int, stored: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
    found = np.full(positions, FrameState.EXPECTED, np.uint8)
    found[stored] = FrameState.STORED
    return found


def test_the_first_attempt_waits_for_the_first_positions() -> None:
    one = schedule(40, 40)
    assert one.due(states(1600, slice(0, 63)), closed=False) is None
    assert one.due(states(1600, slice(0, 64)), closed=False) == tuple(range(64))
    assert not one.exhausted


def test_large_frames_are_calibrated_on_as_many_as_fit_into_a_gibibyte() -> None:
    start = ScanStart(scan_id="s", scan_shape=(40, 40), frame_shape=(4096, 4096), dtype="uint32")
    assert most_frames(start) == 16
    assert most_frames(start.model_copy(update={"frame_shape": (65536, 65536)})) == 1
    assert most_frames(start.model_copy(update={"frame_shape": (8, 8)})) == 1024
    assert CalibrationSchedule(start, 64).due(states(1600, slice(0, 16)), closed=False) == tuple(range(16))


def test_further_attempts_spread_over_four_times_more_until_the_scan_is_covered() -> None:
    one = schedule(40, 40)
    everything = states(1600, slice(None))
    attempts = []
    while not one.exhausted:
        attempts.append(one.due(everything, closed=False))
    assert [positions and (len(positions), positions[1], positions[-1]) for positions in attempts] == [
        (64, 1, 63),
        (64, 4, 63 * 4),
        (64, 16, 63 * 16),
        (64, 25, 63 * 25),
    ]
    assert one.due(everything, closed=True) is None


def test_the_second_attempt_waits_for_its_own_positions() -> None:
    one = schedule(40, 40)
    first = states(1600, slice(0, 64))
    assert one.due(first, closed=False)
    assert one.due(first, closed=False) is None
    assert one.due(states(1600, slice(0, 253)), closed=False) == tuple(range(0, 256, 4))


def test_frames_that_never_come_are_not_waited_for_for_ever() -> None:
    one = schedule(40, 40)
    without_five = np.setdiff1d(np.arange(128), [5])
    assert one.due(states(1600, without_five), closed=False) is None
    assert one.due(states(1600, np.append(without_five, 128)), closed=False) == tuple(
        position for position in range(64) if position != 5
    )


def test_a_scan_that_is_closed_early_is_calibrated_on_what_has_come() -> None:
    one = schedule(40, 40)
    assert one.due(states(1600, slice(0, 10)), closed=False) is None
    assert one.due(states(1600, slice(0, 10)), closed=True) == tuple(range(10))
    assert one.exhausted


def test_a_scan_without_a_frame_is_calibrated_on_nothing() -> None:
    one = schedule(40, 40)
    assert one.due(states(1600, slice(0, 0)), closed=True) == ()
    assert one.exhausted


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 5), (8, 8)])
def test_a_scan_smaller_than_the_count_is_calibrated_on_all_of_it(rows: int, columns: int) -> None:
    positions = rows * columns
    one = schedule(rows, columns)
    if positions > 1:
        assert one.due(states(positions, slice(0, positions - 1)), closed=False) is None
    assert one.due(states(positions, slice(None)), closed=False) == tuple(range(positions))
    assert one.exhausted


def test_explicit_positions_are_taken_wherever_they_have_come() -> None:
    one = schedule(40, 40, order="explicit")
    scattered = np.arange(700, 700 + 3 * 63, 3)
    assert one.due(states(1600, scattered), closed=False) is None
    assert one.due(states(1600, np.append(scattered, 5)), closed=False) == (5, *scattered.tolist())
    assert one.exhausted


def test_overwritten_frames_are_not_calibrated_on() -> None:
    one = schedule(40, 40)
    known = states(1600, slice(0, 200))
    known[:10] = FrameState.RECYCLED
    assert one.due(known, closed=False) == tuple(range(10, 64))


def test_without_disks_the_middle_of_the_detector_must_do() -> None:
    found = nominal_calibration((128, 64), (1, 2), "dark")
    assert (found.centre, found.radius_px, found.reason) == ((63.5, 31.5), 8.0, "dark")
    assert stages_for(found) == {"diffraction": ("virtual",), "reduction": ("patterns",)}
    assert nominal_calibration((1, 1), (), "tiny").radius_px == 1.0


def test_what_a_worker_found_becomes_the_plan() -> None:
    found = calibration_from(
        {"calibration": {"centre": [3.0, 4.0], "radius_px": 2.0, "edge_px": 0.5, "reason": "no peaks"}}, (8, 8), (1,)
    )
    assert (found.centre, found.radius_px, found.reason) == ((3.0, 4.0), 2.0, "no peaks")


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"reason": "no disk"},
        {"calibration": {}},
        {"calibration": 7},
        {"calibration": {"centre": [-3.0, 4.0], "radius_px": 2.0, "edge_px": 0.5}},
        {"calibration": {"centre": [3.0, 4.0], "radius_px": float("nan"), "edge_px": 0.5}},
        {"calibration": {"centre": [3, 4], "radius_px": 2, "edge_px": 0.5, "g1": [1, 0], "g2": [1, 0], "hk": []}},
    ],
)
def test_an_answer_that_makes_no_sense_is_a_calibration_that_found_nothing(result: dict[str, object]) -> None:
    found = calibration_from(result, (8, 8), (1, 2))
    assert found.g1 is None
    assert (found.centre, found.positions) == ((3.5, 3.5), (1, 2))
