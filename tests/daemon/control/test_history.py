"""Requests about the scans of the spool."""

import json

import pytest

from daemon.control.window import Window, after_a_scan
from daemon.desk import EVERYTHING
from livestrain_wire.messages import (
    Done,
    RemoveRequest,
    RetainRequest,
    ScansReply,
    ScansRequest,
    StatusReply,
    StatusRequest,
)


def several(window: Window, *names: str) -> None:
    for name in names:
        window.desk.planned(scan_id=name)
        window.desk.store(*EVERYTHING, scan_id=name)
        window.desk.end(name)
        window.desk.finish()


def test_scans_are_listed_the_newest_first_page_by_page(window: Window) -> None:
    several(window, "a", "b", "c")
    whole = window.get(ScansReply, ScansRequest(id="1"))
    assert [entry.scan_id for entry in whole.scans] == ["c", "b", "a"]
    assert (whole.total, whole.more) == (3, False)
    assert whole.size_bytes == sum(entry.size_bytes for entry in whole.scans) > 0
    page = window.get(ScansReply, ScansRequest(id="2", count=2))
    assert ([entry.scan_id for entry in page.scans], page.total, page.more) == (["c", "b"], 3, True)
    rest = window.get(ScansReply, ScansRequest(id="3", count=2, before_ns=page.scans[-1].began_ns))
    assert ([entry.scan_id for entry in rest.scans], rest.total, rest.more) == (["a"], 3, False)


def test_an_empty_spool_has_no_scans(window: Window) -> None:
    reply = window.get(ScansReply, ScansRequest(id="1"))
    assert (reply.scans, reply.total, reply.size_bytes, reply.more) == ((), 0, 0, False)


def test_a_scan_in_progress_is_told_as_it_is_now(window: Window) -> None:
    window.desk.planned()
    window.desk.store((0, 7))
    window.desk.turn()
    (entry,) = window.get(ScansReply, ScansRequest(id="1")).scans
    assert (entry.state, entry.stored, entry.reason, entry.faults) == ("receiving", 7, "", {})


def test_faults_of_a_scan_are_told_as_soon_as_they_are_known(window: Window) -> None:
    window.desk.planned()
    window.desk.store((0, 7))
    window.desk.end()
    window.desk.turn()
    (entry,) = window.get(ScansReply, ScansRequest(id="1")).scans
    assert (entry.state, entry.faults) == ("analysing", {"late": 2})


def test_what_is_retained_cannot_be_removed(window: Window) -> None:
    after_a_scan(window)
    for _ in range(2):  # sent twice, it is done once
        window.get(Done, RetainRequest(id="keep", scan_id="small"))
    assert window.refused(RemoveRequest(id="2", scan_id="small")) == (
        "bad_request",
        "scan small is retained: release it first",
    )
    window.get(Done, RetainRequest(id="3", scan_id="small", retained=False))
    window.get(Done, RemoveRequest(id="4", scan_id="small"))
    assert window.get(ScansReply, ScansRequest(id="5")).scans == ()
    assert window.get(StatusReply, StatusRequest(id="6")).scan is None


@pytest.mark.parametrize("scan_id", ["nothing", "a.b"])
def test_what_is_no_scan_is_refused_by_name(window: Window, scan_id: str) -> None:
    (window.desk.folder / "a.b").mkdir()
    assert window.refused(RetainRequest(id="1", scan_id=scan_id))[0] == "no_scan"
    reason, text = window.refused(RemoveRequest(id="2", scan_id=scan_id))
    assert (reason, text) == ("no_scan", f"no scan {scan_id} in {window.desk.folder}")
    assert (window.desk.folder / "a.b").is_dir()


def test_a_journal_that_cannot_be_written_is_not_told_as_a_missing_scan(window: Window) -> None:
    after_a_scan(window)
    journal = window.desk.folder / "small" / "journal.jsonl"
    journal.unlink()
    journal.mkdir()
    reason, text = window.refused(RetainRequest(id="1", scan_id="small"))
    assert reason == "internal"
    assert "cannot be opened" in text


def test_scans_that_began_at_the_same_time_are_each_listed_once_page_by_page(window: Window) -> None:
    names = [f"s{number}" for number in range(5)]
    several(window, *names)
    for name in names:
        journal = window.desk.folder / name / "journal.jsonl"
        first, *rest = journal.read_text().splitlines(keepends=True)
        journal.write_text(json.dumps({**json.loads(first), "utc_ns": 1}) + "\n" + "".join(rest))
    last: tuple[int | None, str | None] = (None, None)
    found: list[str] = []
    more = True
    while more:
        request = ScansRequest(id=f"page-{len(found)}", count=2, before_ns=last[0], before_id=last[1])
        page = window.get(ScansReply, request)
        found += [entry.scan_id for entry in page.scans]
        last, more = (page.scans[-1].began_ns, page.scans[-1].scan_id), page.more
    assert found == names[::-1]
