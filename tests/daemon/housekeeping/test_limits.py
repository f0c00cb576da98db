"""Which scans go so that the spool stays within its limits, with scans in memory that must not be touched."""

from collections.abc import Callable

import pytest

from daemon.desk import EVERYTHING, entries, only
from daemon.housekeeping.kept import Kept, left_unfinished
from helpers.waiting import wait_until
from livestrain_daemon.errors import StorageError
from livestrain_wire.messages import Event


def test_the_oldest_scan_goes_when_there_is_one_too_many(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=2)
    for name in "abc":
        spool.scan(name)
        spool.settle()
    assert spool.left() == ["b", "c"]
    assert spool.keeper.removed == {"count": 1}
    (event,) = [event for event in only(spool.desk.heard(), Event) if event.name == "scan_removed"]
    assert event.text.startswith("scan a of ")
    assert event.text.endswith(" MB is removed: more scans than spool.keep_scans")


def test_without_limits_all_stay(kept: Callable[..., Kept]) -> None:
    spool = kept()
    for name in "abc":
        spool.scan(name)
        spool.settle()
    assert spool.left() == ["a", "b", "c"]
    assert spool.keeper.removed == {}


def test_a_scan_whose_analysis_lags_stays_until_it_is_done(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    spool.desk.planned(scan_id="a")
    spool.desk.store(*EVERYTHING, scan_id="a")
    spool.desk.end("a")
    spool.desk.planned(scan_id="b")
    spool.settle()
    states = {entry.scan_id: entry.state for entry in spool.listed()}
    assert states == {"a": "analysing", "b": "receiving"}
    assert spool.left() == ["a", "b"]
    spool.desk.store(*EVERYTHING, scan_id="b")
    spool.desk.end("b")
    spool.desk.finish()
    spool.settle()
    assert spool.left() == ["b"]
    assert spool.desk.scans.find("a") is None


def test_a_retained_scan_stays_until_it_is_released(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    spool.scan("a")
    spool.keeper.retain("a", True)
    spool.scan("b")
    spool.scan("c")
    spool.settle()
    assert spool.left() == ["a", "c"]
    assert [entry.retained for entry in spool.listed()] == [False, True]
    spool.keeper.retain("a", False)
    spool.settle()
    assert spool.left() == ["c"]
    with pytest.raises(StorageError, match="no scan b in "):
        spool.keeper.retain("b", True)


def test_a_retained_scan_has_it_in_its_journal(kept: Callable[..., Kept]) -> None:
    spool = kept()
    spool.scan("a")
    spool.keeper.retain("a", True)
    assert len(entries(spool.desk, "retained", "a")) == 1


def test_retaining_while_the_spool_is_looked_at_is_not_too_late(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    for name in "ab":
        spool.scan(name)
    spool.keeper.turn()
    wait_until(lambda: spool.keeper._listing._thread._outcomes, 20, "the look")
    spool.keeper.retain("a", True)
    spool.settle()
    assert spool.left() == ["a", "b"]


def test_a_limit_that_cannot_be_kept_is_told_once(kept: Callable[..., Kept]) -> None:
    spool = kept(size_bytes=1)
    for name in "abc":
        spool.scan(name)
        spool.settle()
    assert spool.left() == ["c"]
    events = [event for event in only(spool.desk.heard(), Event) if event.name == "spool_over_limit"]
    assert len(events) == 1
    assert "must stay take" in events[0].text


def test_an_unfinished_scan_stays_as_long_as_it_may_be_gone_on_with(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    spool.desk.planned(scan_id="a")
    spool.desk.store(*EVERYTHING, scan_id="a")
    spool.desk.scans.forget("a")
    spool.scan("b")
    spool.settle()
    assert [entry.state for entry in spool.listed()] == ["ended", "unfinished"]
    assert spool.left() == ["a", "b"]


def test_a_scan_that_nobody_goes_on_with_is_given_up_and_that_is_said(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    spool.keeper.expect_no_more()
    left_unfinished(spool, "a")
    spool.scan("b")
    spool.settle()
    assert spool.left() == ["b"]
    (event,) = [event for event in only(spool.desk.heard(), Event) if event.name == "scan_removed"]
    assert event.text.endswith("though it was never analysed to its end")
