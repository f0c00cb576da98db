"""Scans beside and after each other, and what is said of scans that nobody knows."""

from structlog.testing import capture_logs

from daemon.desk import Desk, entries, only
from daemon.small_scan import POSITIONS
from livestrain_daemon.messages import FaultSeen, IntakeCounts, ScanRefused, Synced
from livestrain_wire.messages import Event, ReferenceRequest, ScanStarted


def test_a_folder_that_is_gone_is_told_and_the_next_scan_is_taken(desk: Desk) -> None:
    from livestrain_daemon.messages import ScanOpened

    opened = desk.open("first").scan.opened
    desk.scans.take(ScanOpened.model_validate(opened.model_dump() | {"scan_id": "gone", "folder": "/nowhere/gone"}))
    assert desk.scans.find("gone") is None
    assert [event.name for event in only(desk.heard(), Event)] == ["scan_unusable"]
    desk.open("next")
    assert desk.scans.find("next") is not None


def test_a_finished_scan_is_forgotten_when_the_next_one_begins_and_its_counts_stay(analysed: Desk) -> None:
    analysed.open("next")
    assert analysed.scans.find("small") is None
    counts = analysed.scans.finished_counts
    assert counts["livestrain_frames_stored_total"] == {"": POSITIONS}
    assert counts["livestrain_positions_analysed_total"] == {"diffraction": POSITIONS, "reduction": POSITIONS}
    assert not [topic for topic in analysed.publisher.sequences if topic.startswith("small/")]


def test_an_unfinished_scan_stays_while_the_next_one_runs_and_the_next_comes_first(desk: Desk) -> None:
    first = desk.planned()
    desk.store((0, 100))
    second = desk.planned(scan_id="second")
    desk.store((0, 100), scan_id="second")
    assert desk.scans.find("small") is not None
    job = desk.next_job()
    assert job is not None
    assert job.task(1).folder == str(second.folder)
    desk.do(job)
    desk.end()
    desk.end("second")
    desk.finish()
    assert first.final
    assert second.final


def test_a_plan_that_is_ready_only_after_its_scan_was_forgotten_is_let_go(analysed: Desk) -> None:
    hand = analysed.scans.newest
    assert hand is not None
    told: list[str] = []
    hand.planner.change({"detectors": []}, lambda: told.append("done"), told.append)
    job = analysed.next_job()
    assert job is not None
    analysed.open("next")
    analysed.do(job)
    assert told == ["the scan is no longer in memory"]


def test_a_median_that_is_ready_only_after_its_scan_was_forgotten_is_let_go(analysed: Desk) -> None:
    hand = analysed.scans.newest
    assert hand is not None
    told: list[object] = []
    hand.referencer.request(ReferenceRequest(id="1", region=(0, 0, 3, 3)), told.append, told.append)
    job = analysed.next_job()
    assert job is not None
    analysed.open("next")
    analysed.do(job)
    assert told == ["the scan is no longer in memory"]


def test_a_scan_opened_twice_is_one_scan(desk: Desk) -> None:
    scan = desk.planned()
    desk.scans.take(scan.opened.model_copy(update={"resumed": True}))
    assert [hand.scan for hand in desk.scans.all()] == [scan]
    assert len(only(desk.heard(), ScanStarted)) == 1


def test_what_the_intake_says_of_unknown_scans_harms_nobody(desk: Desk) -> None:
    for message in (
        IntakeCounts(scan_id="", stored=0, queued=0, faults={"unknown_scan": 3}),
        IntakeCounts(scan_id="unknown", stored=0, queued=7, faults={"late": 3}),
        FaultSeen(scan_id="", kind="bad_message", text="junk"),
        FaultSeen(scan_id="unknown", kind="late", text="late"),
        ScanRefused(scan_id="unknown", text="no space"),
        Synced(scan_id="unknown", runs=((0, 5),)),
    ):
        desk.scans.take(message)
    desk.turn()
    assert desk.scans.orphan_faults == {"unknown_scan": 3}
    names = [event.name for event in only(desk.heard(), Event)]
    assert names == ["bad_message", "late", "scan_refused"]


def test_synced_positions_and_faults_get_into_the_journal(desk: Desk) -> None:
    scan = desk.planned()
    desk.scans.take(Synced(scan_id="small", runs=((0, 5),)))
    desk.scans.take(FaultSeen(scan_id="small", kind="duplicate", text="seen twice"))
    desk.scans.take(IntakeCounts(scan_id="small", stored=5, queued=3, faults={"duplicate": 4}))
    assert entries(desk, "synced")[0]["runs"] == [[0, 5]]
    event = entries(desk, "event")[0]
    assert (event["name"], event["text"]) == ("duplicate", "seen twice (the first of its kind; status counts all)")
    assert (scan.faults, desk.scans.queued_frames) == ({"duplicate": 4}, 3)


def test_the_first_scan_of_another_type_is_told_that_it_may_wait(desk: Desk) -> None:
    with capture_logs() as logs:
        desk.open("a")
        desk.open("b", dtype="float32")
        desk.open("c", dtype="float32")
    told = [(line["scan"], line["event"]) for line in logs if "kernels" in line["event"]]
    assert [scan for scan, _ in told] == ["b"]
    assert told[0][1].startswith("first scan of float32 since the start")
