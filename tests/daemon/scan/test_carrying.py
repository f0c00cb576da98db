"""A change of what is only derived keeps the results; any other change makes them anew."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from daemon.desk import EVERYTHING, Desk
from daemon.small_scan import POSITIONS, bits, known_plan
from livestrain_daemon.plan import changed, only_derives_otherwise
from livestrain_daemon.scan.scans import ScanInHand
from livestrain_daemon.scanfolder import ResultState
from livestrain_wire.messages import MapPatch, MapWhole

TURNED: dict[str, Any] = {"calibration": {"scan_axes": {"rotation_deg": 30.0}}}


def change(desk: Desk, changes: dict[str, Any]) -> ScanInHand:
    hand = desk.scans.newest
    assert hand is not None
    told: list[str] = []
    done: Callable[[], None] = lambda: told.append("done")  # noqa: E731
    hand.planner.change(changes, done, told.append)
    desk.work(1)
    assert told == ["done"]
    return hand


def analysed(desk: Desk, count: int = POSITIONS) -> Desk:
    desk.planned()
    desk.store((0, count))
    if count == POSITIONS:
        desk.end()
        desk.finish()
    else:
        desk.turn()
        desk.turn()
    desk.heard()
    return desk


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        (TURNED, True),
        ({"calibration": {"ellipse": {"ratio": 1.01, "angle_deg": 3.0}}}, True),
        ({"calibration": {"pixel_size": {"size": 0.2, "unit": "mrad"}}}, True),
        ({}, False),
        ({"detectors": []}, False),
        ({"calibration": {"radius_px": 4.5}}, False),
        ({"calibration": {"descan": {"origin": [1, 1], "per_row": [0, 0], "per_column": [0, 0]}}}, False),
    ],
)
def test_only_what_no_analysis_reads_may_differ(changes: dict[str, Any], same: bool) -> None:
    plan = known_plan()
    assert only_derives_otherwise(plan, changed(plan, changes, 2)) is same


def test_a_rotation_of_the_scan_keeps_every_bit_and_looks_at_no_frame(desk: Desk) -> None:
    analysed(desk)
    work = len(desk.done)
    hand = change(desk, TURNED)
    desk.finish()
    assert "analyse" not in desk.done[work:]
    assert bits(hand.scan.folder, 2) == bits(hand.scan.folder, 1)
    assert hand.scan.revision is not None
    assert hand.scan.revision.positions_done.counts().analysed == POSITIONS
    published = [one.message for one in desk.heard() if isinstance(one.message, MapPatch | MapWhole)]
    runs = {message.name: message.runs for message in published if message.revision == 2}
    assert runs["total"] == runs["e_xx"] == EVERYTHING


def test_frames_that_the_ring_has_overwritten_keep_their_results(desk: Desk) -> None:
    analysed(desk)
    desk.recycle((0, 100))
    hand = change(desk, TURNED)
    desk.finish()
    assert hand.scan.revision is not None
    assert hand.scan.revision.positions_done.counts().analysed == POSITIONS
    # the twin: another radius needs the frames
    again = change(desk, {"calibration": {"radius_px": 4.5}})
    desk.finish()
    assert again.scan.revision is not None
    assert again.scan.revision.positions_done.counts().dropped == 100


def test_a_scan_in_progress_goes_on_where_it_was(desk: Desk) -> None:
    analysed(desk, 300)
    work = len(desk.done)
    hand = change(desk, TURNED)
    assert hand.scan.revision is not None
    states = hand.scan.revision.positions_done.states()
    assert (states[:300] == ResultState.ANALYSED).all()
    desk.store((300, POSITIONS - 300))
    desk.end()
    desk.finish()
    assert hand.scan.revision.positions_done.counts().analysed == POSITIONS
    assert "analyse" in desk.done[work:]
    values = hand.scan.revision.results.read("total", 0, POSITIONS)
    assert np.isfinite(values).all()


def test_the_same_plan_again_makes_everything_anew(desk: Desk) -> None:
    analysed(desk)
    work = len(desk.done)
    change(desk, {})
    desk.finish()
    assert "analyse" in desk.done[work:]
