"""Another life of the daemon on the same scan, whole or damaged."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.desk import EVERYTHING, Desk, only
from daemon.small_scan import POSITIONS, known_plan
from livestrain_daemon.analyses.disks import TrackedDisks
from livestrain_daemon.scanfolder import Output, read_journal
from livestrain_wire.messages import Event, ScanEnded

Other = Callable[[Sequence[Output]], Sequence[Output]]


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
        names = [event.name for event in only(second.heard(), Event)]
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
        heard = only(second.heard(), Event)
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
