"""Whole scans, from the first hint to the last message, with tasks done in this process."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon import small_scan
from daemon.desk import EVERYTHING, Desk, Heard
from daemon.small_scan import CAMERA, POSITIONS, frames, known_calibration, known_plan, lay_out
from helpers.waiting import wait_until
from livestrain_daemon.analyses.disks import TrackedDisks
from livestrain_daemon.messages import FaultSeen, IntakeCounts, ScanRefused, Synced
from livestrain_daemon.plan import parse_plan
from livestrain_daemon.scan.calibration import Wish
from livestrain_daemon.scan.derived import COMPONENTS, DERIVED_NAMES, ERRORS
from livestrain_daemon.scan.surroundings import GivenImages
from livestrain_daemon.scanfolder import Output, ResultsFile, open_results, read_journal, revisions
from livestrain_daemon.scanfolder.detector_images import DetectorImage, load_image, store_image
from livestrain_wire.messages import (
    Event,
    MapPatch,
    MapWhole,
    PlanChanged,
    Progress,
    ReferenceInfo,
    ReferenceRequest,
    ScanEnded,
    ScanStarted,
)

Other = Callable[[Sequence[Output]], Sequence[Output]]


def kinds(heard: list[Heard]) -> list[str]:
    return [one.message.type for one in heard]


def only(heard: list[Heard], kind: type) -> list[object]:
    return [one.message for one in heard if isinstance(one.message, kind)]


def entries(desk: Desk, kind: str, scan_id: str = "small") -> list[dict[str, object]]:
    return [entry for entry in read_journal(desk.folder / scan_id) if entry["kind"] == kind]


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
    assert isinstance(ended, ScanEnded)
    assert (ended.reason, ended.positions, ended.stored, ended.missing) == ("complete", POSITIONS, POSITIONS, 0)
    assert {name: counts.analysed for name, counts in ended.stages.items()} == {
        "diffraction": POSITIONS,
        "reduction": POSITIONS,
    }
    assert ended.faults == {"late": 2}
    last = [message for message in only(heard, Progress) if isinstance(message, Progress)][-1]
    assert (last.final, last.lag_positions, last.stages) == (True, 0, ended.stages)
    newest = desk.scans.newest
    assert newest is not None
    reference = newest.scan.references.current
    assert reference is not None
    assert (reference.kind, reference.positions) == ("median", POSITIONS)
    (plan,) = only(heard, PlanChanged)
    assert isinstance(plan, PlanChanged)
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
    from livestrain_daemon.scan.derived import read_maps

    expected = read_maps(["e_xx"], newest.scan.revision.results, newest.scan.references.current, 0, POSITIONS)["e_xx"]
    np.testing.assert_array_equal(latest, expected)


def test_positions_that_never_come_are_missing_and_counts_add_up(desk: Desk) -> None:
    desk.planned()
    desk.store((0, 50), (60, 200))
    desk.turn()
    desk.end()
    desk.finish()
    (ended,) = only(desk.heard(), ScanEnded)
    assert isinstance(ended, ScanEnded)
    assert (ended.stored, ended.missing) == (250, POSITIONS - 250)
    for counts in ended.stages.values():
        assert sum(counts.model_dump().values()) == POSITIONS
        assert (counts.analysed, counts.missing, counts.pending) == (250, POSITIONS - 250, 0)


def test_a_scan_without_a_frame_ends(desk: Desk) -> None:
    desk.open()
    desk.end()
    desk.finish()
    (ended,) = only(desk.heard(), ScanEnded)
    assert isinstance(ended, ScanEnded)
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
    assert "no_lattice" in [event.name for event in only(heard, Event) if isinstance(event, Event)]
    assert hand.scan.revision is not None
    assert hand.scan.references.current is None
    assert hand.scan.revision.positions_done.counts().analysed == POSITIONS


def test_a_given_plan_is_used_as_it_is(tmp_path: Path) -> None:
    plan = known_plan(revision=17)
    with Desk(tmp_path, GivenImages(plan=plan)) as desk:
        hand = desk.open()
        desk.store((0, 10))
        desk.turn()
        assert hand.scan.revision is not None
        assert hand.scan.revision.plan == plan.model_copy(update={"revision": 1})
        assert "calibrate_on" not in desk.done


def test_a_given_dark_is_kept_with_the_scan_and_named_by_its_plan(tmp_path: Path) -> None:
    dark, small = np.full(CAMERA.shape, 2.0, np.float32), DetectorImage.of(np.ones((3, 3), np.float32))
    with Desk(tmp_path, GivenImages(dark=DetectorImage.of(dark), gain=small)) as desk:
        hand = desk.open()
        desk.store((0, POSITIONS))
        desk.end()
        wait_until(lambda: hand.planner.given_corrections.stored, what="the dark in the scan folder")
        desk.finish()
        assert hand.scan.revision is not None
        corrections = hand.scan.revision.plan.corrections
        assert corrections.dark is not None
        np.testing.assert_array_equal(load_image(hand.scan.folder, corrections.dark, CAMERA.shape), dark)
        # the gain was for another detector
        assert corrections.gain is None
        assert "gain_not_used" in [event.name for event in only(desk.heard(), Event) if isinstance(event, Event)]
        with ResultsFile(open_results(hand.scan.folder, 1)) as results:
            total = results.read("total", 0, POSITIONS)
        expected = frames().sum(axis=(1, 2), dtype=np.float64) - dark.sum()
        np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_no_plan_names_a_dark_before_it_is_stored_and_the_loop_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    threads: set[threading.Thread] = set()

    def slowly(folder: Path, image: DetectorImage) -> None:
        threads.add(threading.current_thread())
        assert go_on.wait(20)
        store_image(folder, image)

    monkeypatch.setattr("livestrain_daemon.scan.corrections.store_image", slowly)
    with Desk(tmp_path, GivenImages(dark=DetectorImage.of(np.ones(CAMERA.shape, np.float32)))) as desk:
        hand = desk.open()
        desk.store(*EVERYTHING)
        desk.turn()
        assert (hand.planner.settled, desk.done) == (False, [])
        told: list[object] = []
        hand.planner.calibrator.calibrate(Wish((0,)), told.append, told.append)
        assert told == ["dark and gain are being stored with the scan; try again"]
        go_on.set()
        wait_until(lambda: hand.planner.given_corrections.stored, what="the dark in the scan folder")
        desk.turn()
        assert hand.scan.revision is not None
        assert hand.scan.revision.plan.corrections.dark is not None
    assert threading.main_thread() not in threads


def test_a_dark_that_cannot_be_stored_is_told_and_not_used(tmp_path: Path) -> None:
    dark = DetectorImage.of(np.ones(CAMERA.shape, np.float32))
    with Desk(tmp_path, GivenImages(dark=dark)) as desk:
        # a folder where the file would be made
        small_scan.new_folder(tmp_path / "small")
        (tmp_path / "small" / f"image-{dark.digest}.npy.partial").mkdir()
        hand = desk.open(resumed=True)
        desk.store(*EVERYTHING)
        wait_until(lambda: hand.planner.given_corrections.stored, what="the failure")
        desk.turn()
        assert hand.scan.revision is not None
        assert hand.scan.revision.plan.corrections.dark is None
        assert "dark_not_used" in [event.name for event in only(desk.heard(), Event) if isinstance(event, Event)]


# --- changes of the plan ---


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
    patches = [message for message in only(desk.heard(), MapPatch) if isinstance(message, MapPatch)]
    assert {(message.revision, message.runs) for message in patches} == {(2, ((0, 40),))}


# --- references ---


def test_the_median_follows_at_the_fixed_counts_and_at_the_end(desk: Desk) -> None:
    scan = desk.planned()
    found = []
    for first in range(0, POSITIONS, 20):
        desk.store((first, 20))
        desk.turn()
        desk.turn()
        assert scan.references.current is not None
        found.append((scan.references.current.kind, scan.references.current.positions))
    desk.end()
    desk.finish()
    assert [one for place, one in enumerate(found) if place == 0 or one != found[place - 1]] == [
        ("plan", 0),
        ("median", 260),
    ]
    assert scan.references.current is not None
    assert scan.references.current.positions == POSITIONS
    assert [entry["reference"]["positions"] for entry in entries(desk, "reference")] == [0, 260, POSITIONS]  # type: ignore[index]


def ask(desk: Desk, **fields: object) -> list[ReferenceInfo | str]:
    """What came of a request for a reference."""
    hand = desk.scans.newest
    assert hand is not None
    told: list[ReferenceInfo | str] = []
    hand.referencer.request(ReferenceRequest.model_validate({"id": "1", **fields}), told.append, told.append)
    desk.work()
    assert len(told) == 1
    return told


@pytest.fixture
def analysed(desk: Desk) -> Desk:
    desk.planned()
    desk.store(*EVERYTHING)
    desk.end()
    desk.finish()
    desk.heard()
    return desk


def test_a_region_of_a_user_becomes_the_reference_and_the_maps_go_out_again(analysed: Desk) -> None:
    (told,) = ask(analysed, region=(2, 3, 5, 7))
    assert isinstance(told, ReferenceInfo)
    assert (told.kind, told.region, told.positions) == ("region", (2, 3, 5, 7), 12)
    analysed.finish()
    heard = analysed.heard()
    wholes = [message for message in only(heard, MapWhole) if isinstance(message, MapWhole)]
    assert {message.name for message in wholes} >= {*COMPONENTS, *ERRORS}
    assert {message.name for message in wholes} <= DERIVED_NAMES
    assert all(message.runs == EVERYTHING and message.reference_revision == told.revision for message in wholes)


def test_values_of_a_user_hold_until_the_user_goes_back(analysed: Desk) -> None:
    hand = analysed.scans.newest
    assert hand is not None
    before = hand.scan.references.current
    assert before is not None
    (given,) = ask(analysed, values=(14.0, 0.0, 0.0, 14.0))
    assert isinstance(given, ReferenceInfo)
    analysed.finish()
    assert hand.scan.references.current == given
    (back,) = ask(analysed, revert_to=before.revision)
    assert isinstance(back, ReferenceInfo)
    assert back.vectors == before.vectors
    (again,) = ask(analysed, revert_to=before.revision)
    assert again == back


def test_a_median_that_comes_while_the_scan_runs_is_not_taken_for_a_request(desk: Desk) -> None:
    scan = desk.planned()
    desk.store((0, 100))
    desk.turn()
    (chosen,) = ask(desk, region=(0, 0, 3, 20))
    desk.store((100, POSITIONS - 100))
    desk.turn()
    desk.turn()
    followed = scan.references.current
    assert isinstance(chosen, ReferenceInfo)
    assert followed is not None
    assert followed.kind == chosen.kind == "region"
    (moved,) = ask(desk, axes="g1")
    assert isinstance(moved, ReferenceInfo)
    desk.end()
    desk.finish()
    assert (chosen.source, chosen.undo_to, moved.undo_to) == ("command", 1, followed.revision)
    (back,) = ask(desk, revert_to=moved.undo_to)
    assert isinstance(back, ReferenceInfo)
    assert (back.axes, back.undo_to) == ("detector", 1)
    (first,) = ask(desk, revert_to=back.undo_to)
    assert isinstance(first, ReferenceInfo)
    assert (first.kind, first.undo_to) == ("plan", None)


@pytest.mark.parametrize(
    "values", [(0.0, 0.0, 0.0, 0.0), (1e6, 0.0, 0.0, 1e-5), (float("inf"), 0.0, 0.0, 1.0), (float("nan"),) * 4]
)
def test_values_that_are_no_lattice_are_refused_and_do_no_harm(
    analysed: Desk, values: tuple[float, float, float, float]
) -> None:
    (told,) = ask(analysed, values=values)
    assert isinstance(told, str)
    assert "span an area" in told
    analysed.finish()
    assert only(analysed.heard(), MapWhole) == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"region": (0, 0, 0, 0)}, "no good position in rows 0:0, columns 0:0 yet"),
        ({"region": (1 << 60, 0, 1 << 61, 5)}, "expected a region within 18 x 20 positions"),
        ({"revert_to": 99}, "there is no reference revision 99"),
    ],
)
def test_a_reference_that_cannot_be_had_is_refused(analysed: Desk, fields: dict[str, object], reason: str) -> None:
    (told,) = ask(analysed, **fields)
    assert isinstance(told, str)
    assert reason in told


def test_a_scan_without_a_lattice_has_no_reference(desk: Desk) -> None:
    desk.open()
    assert ask(desk, median=True) == ["the scan has no lattice"]


# --- restarts and accidents ---


def restarted(folder: Path) -> Desk:
    """Another life of the daemon on the same scans."""
    sockets = folder / "second"
    sockets.mkdir()
    desk = Desk(sockets)
    desk.folder = folder
    return desk


def test_a_restarted_daemon_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    with Desk(tmp_path) as first:
        first.planned()
        first.store((0, 300))
        first.turn()
        first.turn()
        hand = first.scans.newest
        assert hand is not None
        reference, revision = hand.scan.references.current, hand.scan.revision
        assert revision is not None
    with restarted(tmp_path) as second:
        hand = second.open(resumed=True)
        assert hand.scan.references.current == reference
        assert hand.scan.revision is not None
        assert hand.scan.revision.plan == revision.plan
        assert hand.scan.revision.positions_done.counts().analysed == 300
        second.store((300, POSITIONS - 300))
        second.end()
        second.finish()
        assert "calibrate_on" not in second.done
        (ended,) = only(second.heard(), ScanEnded)
        assert isinstance(ended, ScanEnded)
        assert ended.stages["diffraction"].analysed == POSITIONS
    assert [entry["kind"] for entry in read_journal(tmp_path / "small")][:1] == ["scan_started"]
    assert len([entry for entry in read_journal(tmp_path / "small") if entry["kind"] == "scan_resumed"]) == 1


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        json.dumps({"kind": "reference"}),
        json.dumps({"kind": "reference", "reference": {"revision": 1, "kind": "plan", "vectors": [None] * 4}}),
        json.dumps({"kind": "plan", "plan": {"revision": 1}}),
        json.dumps({"kind": "plan", "plan": 7}),
        json.dumps({"kind": "plan"}),
    ],
)
def test_a_damaged_journal_costs_the_old_plan_not_the_daemon(tmp_path: Path, line: str) -> None:
    with Desk(tmp_path) as first:
        first.planned()
        first.store((0, 300))
        first.turn()
    with (tmp_path / "small" / "journal.jsonl").open("a") as journal:
        journal.write(line + "\n")
    with restarted(tmp_path) as second:
        hand = second.open(resumed=True)
        second.store((300, POSITIONS - 300))
        second.end()
        second.finish()
        assert hand.scan.revision is not None
        assert hand.scan.revision.plan.revision == 2
        assert hand.scan.revision.positions_done.counts().analysed == POSITIONS


def test_damaged_results_are_made_anew(tmp_path: Path) -> None:
    with Desk(tmp_path) as first:
        first.planned()
        first.store((0, 300))
        first.turn()
    (tmp_path / "small" / "results-0001.h5").write_bytes(b"damaged")
    with restarted(tmp_path) as second:
        hand = second.open(resumed=True)
        second.store((300, POSITIONS - 300))
        second.end()
        second.finish()
        assert hand.scan.revision is not None
        assert hand.scan.revision.plan.revision == 2
        names = [event.name for event in only(second.heard(), Event) if isinstance(event, Event)]
        assert "results_unusable" in names


def laid_out_by_another_version(folder: Path, monkeypatch: pytest.MonkeyPatch, change: Other) -> None:
    """The first 300 frames of a scan and their results, by a version whose results have other outputs."""
    ours = TrackedDisks.outputs
    with monkeypatch.context() as patched:
        patched.setattr(TrackedDisks, "outputs", lambda self, plan, kind: change(ours(self, plan, kind)))
        with Desk(folder) as first:
            first.planned()
            first.store((0, 300))


OTHERS: dict[str, tuple[Other, str]] = {
    "lacks two": (
        lambda found: [one for one in found if one.name not in {"noise_covariance", "tracking"}],
        "lacks noise_covariance, tracking",
    ),
    "has one more": (lambda found: [*found, Output("older")], "has in addition older"),
    "another shape": (
        lambda found: [replace(one, shape=(3,)) if one.name == "tracking" else one for one in found],
        "has otherwise tracking",
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_scan_begun_by_another_version_is_analysed_under_the_same_plan_in_a_new_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    change, said = OTHERS[kind]
    laid_out_by_another_version(tmp_path, monkeypatch, change)
    before = (tmp_path / "small" / "results-0001.h5").read_bytes()
    with restarted(tmp_path) as second:
        hand = second.open(resumed=True)
        second.store((300, POSITIONS - 300))
        second.end()
        second.finish()
        assert hand.scan.revision is not None
        assert hand.scan.revision.plan == known_plan(2)
        assert hand.scan.revision.positions_done.counts().analysed == POSITIONS
        assert [name for name in second.done if name.endswith("failed") or name == "calibrate_on"] == []
        assert hand.scan.references.current is not None
        assert hand.scan.references.current.positions == POSITIONS
        heard = [event for event in only(second.heard(), Event) if isinstance(event, Event)]
        assert [event.name for event in heard] == ["results_of_another_version"]
        assert f"the file {said}; revision 2" in heard[0].text
    assert (tmp_path / "small" / "results-0001.h5").read_bytes() == before


def test_a_plan_whose_analysis_is_gone_is_made_anew(tmp_path: Path) -> None:
    with Desk(tmp_path) as first:
        first.planned()
    journal = tmp_path / "small" / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"disks"]', '"alchemy"]'))
    with restarted(tmp_path) as second:
        hand = second.open(resumed=True)
        second.store(*EVERYTHING)
        second.end()
        second.finish()
        assert hand.scan.revision is not None
        assert hand.scan.revision.plan.revision == 2
        assert hand.scan.revision.positions_done.counts().analysed == POSITIONS


def test_a_lost_line_of_the_journal_does_not_leave_a_lattice_without_reference(tmp_path: Path) -> None:
    with Desk(tmp_path) as first:
        first.planned()
        first.store((0, 300))
        first.turn()
    path = tmp_path / "small" / "journal.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"kind": "reference"' not in line))
    with restarted(tmp_path) as second:
        hand = second.open(resumed=True)
        second.store((300, POSITIONS - 300))
        second.end()
        second.finish()
        assert hand.scan.references.current is not None


def test_a_folder_that_is_gone_is_told_and_the_next_scan_is_taken(desk: Desk) -> None:
    from livestrain_daemon.messages import ScanOpened

    opened = desk.open("first").scan.opened
    desk.scans.take(ScanOpened.model_validate(opened.model_dump() | {"scan_id": "gone", "folder": "/nowhere/gone"}))
    assert desk.scans.find("gone") is None
    assert [event.name for event in only(desk.heard(), Event) if isinstance(event, Event)] == ["scan_unusable"]
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
    names = [event.name for event in only(desk.heard(), Event) if isinstance(event, Event)]
    assert names == ["bad_message", "late", "scan_refused"]


def test_synced_positions_and_faults_get_into_the_journal(desk: Desk) -> None:
    scan = desk.planned()
    desk.scans.take(Synced(scan_id="small", runs=((0, 5),)))
    desk.scans.take(FaultSeen(scan_id="small", kind="duplicate", text="seen twice"))
    desk.scans.take(IntakeCounts(scan_id="small", stored=5, queued=3, faults={"duplicate": 4}))
    assert entries(desk, "synced")[0]["runs"] == [[0, 5]]
    assert entries(desk, "event")[0]["name"] == "duplicate"
    assert (scan.faults, desk.scans.queued_frames) == ({"duplicate": 4}, 3)


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
