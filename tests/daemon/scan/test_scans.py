"""Whole scans, from the first hint to the last message, with tasks done in this process."""

import numpy as np
import pytest

from daemon.desk import EVERYTHING, Desk, entries, kinds, only
from daemon.small_scan import CAMERA, POSITIONS, frames, known_calibration
from livestrain_daemon.plan import parse_plan
from livestrain_wire.messages import Event, MapPatch, MapWhole, PlanChanged, Progress, ScanEnded


def test_a_scan_is_calibrated_analysed_referenced_and_ended(desk: Desk) -> None:
    desk.open()
    desk.store((0, 100))
    desk.turn()
    desk.store((100, POSITIONS - 100))
    desk.end()
    desk.finish()
    heard = desk.heard()
    order = kinds(heard)
    assert order[0] == "scan_started"
    assert order.index("scan_started") < order.index("plan") < order.index("map_patch") < order.index("scan_ended")
    (ended,) = only(heard, ScanEnded)
    assert (ended.reason, ended.positions, ended.stored, ended.missing) == ("complete", POSITIONS, POSITIONS, 0)
    assert {name: counts.analysed for name, counts in ended.stages.items()} == {
        "diffraction": POSITIONS,
        "reduction": POSITIONS,
    }
    assert ended.faults == {"late": 2}
    last = only(heard, Progress)[-1]
    assert (last.final, last.lag_positions, last.stages) == (True, 0, ended.stages)
    newest = desk.scans.newest
    assert newest is not None
    reference = newest.scan.references.current
    assert reference is not None
    assert (reference.kind, reference.positions) == ("median", POSITIONS)
    (plan,) = only(heard, PlanChanged)
    assert parse_plan(plan.plan).calibration.positions == tuple(range(64))
    assert entries(desk, "plan")[-1]["plan"] == plan.plan
    (end,) = entries(desk, "scan_ended")
    assert end["stages"] == {name: counts.model_dump() for name, counts in ended.stages.items()}


def test_the_whole_maps_after_the_last_reference_are_what_the_file_derives(desk: Desk) -> None:
    desk.open()
    desk.store(*EVERYTHING)
    desk.end()
    desk.finish()
    latest = np.full(POSITIONS, np.nan, np.float32)
    for topic, message, payload in desk.heard():
        if isinstance(message, MapPatch | MapWhole) and topic.name == "e_xx":
            if isinstance(message, MapWhole) and message.first:
                latest[:] = np.nan
            values = np.frombuffer(payload, "<f4")
            for first, count in message.runs:
                latest[first : first + count], values = values[:count], values[count:]
            assert len(values) == 0
    newest = desk.scans.newest
    assert newest is not None
    assert newest.scan.revision is not None
    from livestrain_daemon.scan.values import read_maps

    expected = read_maps(["e_xx"], newest.scan.revision.results, newest.scan.references.current, 0, POSITIONS)["e_xx"]
    np.testing.assert_array_equal(latest, expected)


def test_positions_that_never_come_are_missing_and_counts_add_up(desk: Desk) -> None:
    desk.planned()
    desk.store((0, 50), (60, 200))
    desk.turn()
    desk.end()
    desk.finish()
    (ended,) = only(desk.heard(), ScanEnded)
    assert (ended.stored, ended.missing) == (250, POSITIONS - 250)
    for counts in ended.stages.values():
        assert sum(counts.model_dump().values()) == POSITIONS
        assert (counts.analysed, counts.missing, counts.pending) == (250, POSITIONS - 250, 0)


def test_a_scan_without_a_frame_ends(desk: Desk) -> None:
    desk.open()
    desk.end()
    desk.finish()
    (ended,) = only(desk.heard(), ScanEnded)
    assert (ended.stored, ended.missing) == (0, POSITIONS)
    assert ended.stages["diffraction"].missing == ended.stages["reduction"].missing == POSITIONS


def test_a_hint_that_is_lost_is_made_good_by_the_ledger(desk: Desk) -> None:
    scan = desk.planned()
    desk.write([(0, 40)])
    assert scan.seen.stored == 0
    desk.turn()
    assert scan.seen.stored == 40
    assert scan.revision is not None
    assert scan.revision.positions_done.counts().analysed == 40


def test_frames_overwritten_before_their_analysis_are_dropped(desk: Desk) -> None:
    scan = desk.planned()
    desk.store((0, 100))
    desk.recycle((0, 30))
    desk.turn()
    assert scan.revision is not None
    counts = scan.revision.positions_done.counts()
    assert (counts.analysed, counts.dropped) == (70, 30)
    assert scan.seen.stored == 100
    desk.store((100, POSITIONS - 100))
    desk.end()
    desk.finish()
    assert sum(scan.revision.positions_done.counts().model_dump().values()) == POSITIONS


def test_no_lattice_in_a_dark_scan_is_told_and_the_scan_is_analysed_all_the_same(desk: Desk) -> None:
    hand = desk.open()
    writer = desk._writers["small"]
    writer.write_run(0, np.zeros((POSITIONS, *CAMERA.shape), np.uint16))
    desk.end()
    desk.finish()
    heard = desk.heard()
    assert "no_lattice" in [event.name for event in only(heard, Event)]
    assert hand.scan.revision is not None
    assert hand.scan.references.current is None
    assert hand.scan.revision.positions_done.counts().analysed == POSITIONS


def test_calibration_and_known_truth_agree(desk: Desk) -> None:
    hand = desk.open()
    desk.store(*EVERYTHING)
    desk.turn()
    assert hand.scan.revision is not None
    found, known = hand.scan.revision.plan.calibration, known_calibration()
    assert found.radius_px == pytest.approx(known.radius_px, abs=0.3)
    assert found.g1 is not None
    total = hand.scan.revision.results.read("total", 0, POSITIONS)
    np.testing.assert_array_equal(total, frames().sum(axis=(1, 2), dtype=np.float64))
