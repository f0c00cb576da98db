"""Accidents and rivals: files that are held or gone, medians that come too late, names that come again."""

import fcntl
import os
import shutil
from pathlib import Path

import numpy as np

from daemon import small_scan
from daemon.desk import EVERYTHING, Desk
from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.messages import TaskDone
from livestrain_daemon.plan import DIFFRACTION, REDUCTION, stages_for
from livestrain_daemon.scan.scans import ScanInHand
from livestrain_daemon.scanfolder.results_layout import results_path
from livestrain_wire.messages import ReferenceInfo, ReferenceRequest


def _hand(desk: Desk) -> ScanInHand:
    hand = desk.scans.find("small")
    assert hand is not None
    return hand


def _median_in_hand(desk: Desk) -> Job:
    """The last median, given to a worker and not answered yet."""
    desk.planned()
    desk.store(*EVERYTHING)
    desk.end()
    desk.work()
    _hand(desk).step()
    job = desk.next_job()
    assert job is not None
    assert job.task(1).type == "median"
    return job


def test_a_late_median_does_not_undo_what_a_user_has_chosen_meanwhile(desk: Desk) -> None:
    median = _median_in_hand(desk)
    hand = _hand(desk)
    before = hand.scan.references.current
    assert before is not None
    chosen: list[ReferenceInfo | str] = []
    values = (before.vectors[0] * 1.01, *before.vectors[1:])
    hand.referencer.request(ReferenceRequest(id="a", values=values), chosen.append, chosen.append)
    desk.do(median)
    desk.finish()
    assert hand.scan.references.current == chosen[0]


def test_a_late_median_holds_where_nobody_has_chosen(desk: Desk) -> None:
    median = _median_in_hand(desk)
    desk.do(median)
    desk.finish()
    current = _hand(desk).scan.references.current
    assert current is not None
    assert current.kind == "median"


def test_a_scan_whose_name_comes_again_after_its_folder_was_deleted_is_a_new_one(desk: Desk, tmp_path: Path) -> None:
    first = desk.planned()
    desk.store(*EVERYTHING)
    desk.end()
    desk.finish()
    desk.heard()
    shutil.rmtree(tmp_path / "small")
    second = desk.planned()
    desk.store(*EVERYTHING)
    desk.end()
    desk.finish()
    assert second is not first
    assert second.revision is not None
    assert second.revision.counts(second.seen.states)[DIFFRACTION].analysed == small_scan.POSITIONS
    assert {heard.topic.kind for heard in desk.heard()} >= {"scan", "plan", "map", "progress"}


def test_a_results_file_that_somebody_holds_costs_the_plan_not_the_daemon(desk: Desk) -> None:
    scan = desk.planned()
    desk.store(*EVERYTHING)
    desk.end()
    desk.finish()
    told: list[str] = []
    _hand(desk).planner.change({}, lambda: told.append("done"), told.append)
    job = desk.next_job()
    assert job is not None
    desk.tasks.run(job.task(1), b"")
    held = os.open(results_path(scan.folder, 2), os.O_RDWR)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        job.done(TaskDone(number=1, seconds=0.01), b"")
    finally:
        os.close(held)
    assert len(told) == 1
    assert told[0] != "done"
    assert scan.revision is not None
    assert scan.revision.plan.revision == 1
    desk.finish()


def test_a_block_of_which_frames_were_overwritten_has_no_sum(desk: Desk) -> None:
    scan = desk.planned()
    half = small_scan.POSITIONS // 2
    desk.store(*EVERYTHING)
    desk.recycle((0, half))
    desk.end()
    desk.finish()
    assert scan.revision is not None
    counts = scan.revision.counts(scan.seen.states)
    assert (counts[DIFFRACTION].dropped, counts[DIFFRACTION].analysed) == (half, small_scan.POSITIONS - half)
    whole = small_scan.POSITIONS - 256
    assert half <= 256
    assert (counts[REDUCTION].dropped, counts[REDUCTION].analysed) == (256, whole)
    total = scan.revision.results.read_block("sum", 1)
    assert np.array_equal(total, small_scan.frames()[256:].sum(axis=0, dtype=total.dtype))


def test_a_user_s_plan_does_not_wait_for_an_attempt_that_nobody_asked_for(desk: Desk) -> None:
    # a dark beginning gives a plan without a lattice; the next attempt is in a worker when the user acts
    hand = desk.open()
    desk.store((0, 16))
    dark = small_scan.known_calibration().model_copy(update={"g1": None, "g2": None, "hk": (), "reason": "dark"})
    hand.planner.open(small_scan.known_plan(calibration=dark, stages=stages_for(dark)))
    desk.work()
    desk.store((16, small_scan.POSITIONS - 16))
    hand.planner.step()
    attempt = desk.next_job()
    assert attempt is not None
    assert attempt.task(1).type == "calibrate_on"
    told: list[str] = []
    changes = {"calibration": small_scan.known_calibration().model_dump(mode="json")}
    hand.planner.change(changes, lambda: told.append("done"), told.append)
    desk.work()
    assert told == ["done"]
    desk.do(attempt)
    desk.work()
    assert hand.scan.revision is not None
    assert hand.scan.revision.plan.calibration.g1 == small_scan.known_calibration().g1
    assert hand.scan.revision.has_lattice


def test_a_scan_whose_results_are_damaged_is_given_up_and_the_next_one_is_analysed(desk: Desk) -> None:
    scan = desk.planned()
    desk.store(*EVERYTHING)
    desk.turn()
    desk.heard()
    os.truncate(results_path(scan.folder, 1), 100)
    current = scan.references.current
    assert current is not None
    # the maps are to go out again, and cannot be read
    scan.adopt_reference(ReferenceInfo(revision=0, kind="values", vectors=(10.0, 0.0, 0.0, 10.0)))
    desk.turn()
    assert desk.scans.find("small") is None
    assert [heard.topic.name for heard in desk.heard() if heard.topic.kind == "event"] == ["scan_unusable"]
    following = desk.planned(scan_id="next")
    desk.store(*EVERYTHING, scan_id="next")
    desk.end("next")
    desk.finish()
    assert following.revision is not None
    assert following.revision.counts(following.seen.states)[DIFFRACTION].analysed == small_scan.POSITIONS
