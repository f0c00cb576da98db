"""A new plan over the frames that are stored already."""

from daemon.desk import Desk, entries, only
from daemon.small_scan import known_plan, lay_out
from livestrain_daemon.plan import parse_plan
from livestrain_daemon.scanfolder import ResultsFile, open_results, revisions
from livestrain_wire.messages import MapPatch


def test_a_new_plan_is_filled_in_over_the_stored_frames(desk: Desk) -> None:
    scan = desk.planned()
    hand = desk.scans.newest
    assert hand is not None
    desk.store((0, 200))
    desk.turn()
    told: list[str] = []
    hand.planner.change({"detectors": []}, lambda: told.append("done"), told.append)
    assert not hand.planner.settled
    desk.work()
    assert told == ["done"]
    assert scan.revision is not None
    assert scan.revision.plan.revision == 2
    assert scan.revision.positions_done.counts().analysed == 200
    assert "bright_field" not in [info.name for info in scan.revision.maps]
    assert entries(desk, "plan")[-1]["plan"] == scan.revision.plan.model_dump(mode="json")


def test_only_one_change_is_made_at_a_time(desk: Desk) -> None:
    desk.planned()
    hand = desk.scans.newest
    assert hand is not None
    told: list[str] = []
    hand.planner.change({"detectors": []}, lambda: told.append("first"), told.append)
    hand.planner.change({"detectors": []}, lambda: told.append("second"), told.append)
    desk.work()
    assert told == ["another plan is being laid out; try again when it is in force", "first"]


def test_a_plan_that_fails_leaves_the_old_one_and_the_way_free_for_the_next(desk: Desk) -> None:
    scan = desk.planned()
    hand = desk.scans.newest
    assert hand is not None
    told: list[str] = []
    # the file can be laid out, but no worker can prepare the search
    broken = {"calibration": {"g1": None, "g2": None}, "stages": known_plan().stages}
    hand.planner.change(broken, lambda: told.append("done"), told.append)
    desk.work()
    assert len(told) == 1
    assert "disks need a lattice" in told[0]
    assert scan.revision is not None
    assert scan.revision.plan.revision == 1
    assert revisions(scan.folder) == [1, 2]
    hand.planner.change({"detectors": []}, lambda: told.append("done"), told.append)
    desk.work()
    assert told[1:] == ["done"]
    assert scan.revision.plan.revision == 3
    with ResultsFile(open_results(scan.folder, 3)) as results:
        assert parse_plan(results.layout.plan) == scan.revision.plan


def test_late_answers_under_an_old_plan_are_not_published_under_the_new_one(desk: Desk) -> None:
    scan = desk.planned()
    desk.store((0, 40))
    late = desk.next_job()
    assert late is not None
    lay_out(scan.folder, known_plan(2))
    scan.begin_revision(known_plan(2))
    scan.flush()
    desk.heard()
    desk.do(late)
    scan.flush()
    assert only(desk.heard(), MapPatch) == []
    desk.work()
    scan.flush()
    patches = only(desk.heard(), MapPatch)
    assert {(message.revision, message.runs) for message in patches} == {(2, ((0, 40),))}
