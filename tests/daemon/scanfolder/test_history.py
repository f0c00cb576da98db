"""The list of scans is what their journals and files say."""

import os
from pathlib import Path
from typing import Any

import pytest

from daemon.scanfolder.scans import new_scan, scan_start
from livestrain_daemon.scanfolder import Journal
from livestrain_daemon.scanfolder.history import History, scans_in, size_on_disk

COUNTS = {"analysed": 18, "failed": 1, "dropped": 0, "missing": 1, "pending": 0}


def told(folder: Path, *lines: tuple[str, dict[str, Any]]) -> Path:
    new_scan(folder)
    start = scan_start(scan_id=folder.name).model_dump(mode="json")
    with Journal(folder) as journal:
        journal.append("scan_started", provenance={}, recording=True, start=start)
        for kind, fields in lines:
            journal.append(kind, **fields)
    return folder


def ended(folder: Path) -> Path:
    return told(
        folder,
        ("intake_closed", {"reason": "aborted", "stored": 19, "missing": 1}),
        (
            "scan_ended",
            {"reason": "aborted", "stored": 19, "missing": 1, "seconds": 2.5, "stages": {"diffraction": COUNTS}},
        ),
    )


def test_a_scan_that_ended_is_told_with_its_counts(tmp_path: Path) -> None:
    folder = ended(tmp_path / "a")
    (entry,) = History(tmp_path).entries()
    assert (entry.scan_id, entry.folder, entry.state, entry.reason) == ("a", str(folder), "ended", "aborted")
    assert (entry.scan_shape, entry.frame_shape, entry.dtype) == ((4, 5), (6, 7), "uint16")
    assert (entry.stored, entry.missing, entry.analysed, entry.failed, entry.dropped) == (19, 1, 18, 1, 0)
    assert (entry.seconds, entry.retained, entry.recording) == (2.5, False, True)
    assert entry.size_bytes == size_on_disk(folder) >= 20 * 6 * 7 * 2


@pytest.mark.parametrize("faults", [{}, {"duplicate": 2, "wrong_count": 1}])
@pytest.mark.parametrize("over", [False, True])
def test_faults_are_told_from_when_no_more_frames_come(tmp_path: Path, faults: dict[str, int], over: bool) -> None:
    counts = {"reason": "complete", "stored": 20, "missing": 0, "faults": faults}
    end = ("scan_ended", {**counts, "seconds": 2.5, "stages": {"diffraction": COUNTS}})
    told(tmp_path / "a", ("intake_closed", counts), *([end] if over else []))
    (entry,) = History(tmp_path).entries()
    assert (entry.faults, entry.state) == (faults, "ended" if over else "unfinished")


def test_the_newest_come_first(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        ended(tmp_path / name)
    assert [entry.scan_id for entry in scans_in(tmp_path)] == ["a", "c", "b"]


def test_what_has_no_end_is_unfinished(tmp_path: Path) -> None:
    told(tmp_path / "a", ("intake_closed", {"reason": "silence", "stored": 19, "missing": 1}))
    (entry,) = History(tmp_path).entries()
    assert (entry.state, entry.reason, entry.stored, entry.seconds) == ("unfinished", "silence", 19, 0.0)


def test_the_last_word_about_retaining_holds(tmp_path: Path) -> None:
    history = History(tmp_path)
    folder = ended(tmp_path / "a")
    for kind, retained in (("retained", True), ("released", False), ("retained", True)):
        with Journal(folder) as journal:
            journal.append(kind)
        (entry,) = history.entries()
        assert entry.retained is retained


def test_folders_that_are_no_scans_are_left_out(tmp_path: Path) -> None:
    ended(tmp_path / "real")
    (tmp_path / "notes").mkdir()
    (tmp_path / "frames.h5").touch()
    ended(tmp_path / "a").rename(tmp_path / ".removed-a")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    new_scan(tmp_path / "no-journal-yet")
    (tmp_path / "name with spaces").mkdir()
    assert [entry.scan_id for entry in History(tmp_path).entries()] == ["real"]


@pytest.mark.parametrize(
    "text", ["{\n", '{"kind": "scan_started", "utc_ns": 1}\n', '{"kind": "scan_started"}\n', "[]\n"]
)
def test_a_scan_whose_journal_makes_no_sense_is_told_as_unreadable(tmp_path: Path, text: str) -> None:
    folder = ended(tmp_path / "a")
    (folder / "journal.jsonl").write_text(text)
    (entry,) = History(tmp_path).entries()
    assert (entry.scan_id, entry.state) == ("a", "unreadable")
    assert entry.size_bytes > 0


def test_a_journal_that_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    history = History(tmp_path)
    folder = ended(tmp_path / "a")
    before = history.entries()
    facts = (folder / "journal.jsonl").stat()
    text = (folder / "journal.jsonl").read_text()
    (folder / "journal.jsonl").write_text(text.replace("aborted", "stopped"))
    os.utime(folder / "journal.jsonl", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert history.entries() == before
    os.utime(folder / "journal.jsonl")
    assert history.entries()[0].reason == "stopped"


def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="nothing is no folder"):
        scans_in(tmp_path / "nothing")
