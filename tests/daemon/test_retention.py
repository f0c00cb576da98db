"""Which scans go: known cases, and what holds for all."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestrain_daemon.retention import Limits, decide, removable
from livestrain_wire.messages import ScanEntry

EVER = 1 << 62


def entry(scan_id: str, state: Any = "ended", size: int = 10, retained: bool = False) -> ScanEntry:
    return ScanEntry(
        scan_id=scan_id, folder=f"/spool/{scan_id}", state=state, began_ns=1, size_bytes=size, retained=retained
    )


def ids(entries: Sequence[ScanEntry]) -> str:
    return "".join(entry.scan_id for entry in entries)


def gone(entries: Sequence[ScanEntry], limits: Limits, free: int = EVER, wanted: int = 0, held: str = "") -> str:
    """Ids of what goes, in order, each with the first letter of why."""
    verdict = decide(entries, set(held), limits, free, wanted)
    return " ".join(entry.scan_id + why[0] for entry, why in verdict.remove)


NEWEST_FIRST = [entry(name) for name in "edcba"]


def test_without_limits_everything_stays() -> None:
    assert not Limits().any
    assert gone(NEWEST_FIRST, Limits(), free=0) == ""


def test_the_oldest_go_until_so_many_stay() -> None:
    assert gone(NEWEST_FIRST, Limits(scans=3)) == "ac bc"
    assert gone(NEWEST_FIRST, Limits(scans=5)) == ""


def test_the_oldest_go_until_the_rest_is_small_enough() -> None:
    assert gone(NEWEST_FIRST, Limits(size_bytes=30)) == "as bs"
    assert gone(NEWEST_FIRST, Limits(size_bytes=50)) == ""
    assert gone(NEWEST_FIRST, Limits(size_bytes=29)) == "as bs cs"


def test_with_both_limits_both_are_kept() -> None:
    assert gone(NEWEST_FIRST, Limits(scans=4, size_bytes=30)) == "ac bs"
    assert gone(NEWEST_FIRST, Limits(scans=2, size_bytes=49)) == "ac bc cc"


def test_the_newest_that_ended_always_stays_and_the_limit_that_it_breaks_is_told() -> None:
    verdict = decide(NEWEST_FIRST, (), Limits(size_bytes=5), EVER)
    assert ids([entry for entry, _ in verdict.remove]) == "abcd"
    assert dict(verdict.unmet)["size"] == "the scans that must stay take 5 bytes more than spool.keep_mib allows"
    assert gone([entry("b", "receiving"), entry("a")], Limits(scans=1, size_bytes=1)) == ""


def test_a_scan_in_work_stays_and_does_not_count() -> None:
    entries = [entry("e", "receiving"), entry("d", "analysing"), entry("c"), entry("b"), entry("a")]
    assert gone(entries, Limits(scans=2)) == "ac"
    lagging = [entry("e"), entry("d"), entry("c"), entry("b"), entry("a", "analysing")]
    assert gone(lagging, Limits(scans=2)) == "bc cc"


def test_a_retained_scan_stays_and_counts_by_its_size_only() -> None:
    entries = [entry("d"), entry("c"), entry("b"), entry("a", retained=True)]
    assert gone(entries, Limits(scans=3)) == ""
    assert gone(entries, Limits(scans=2)) == "bc"
    assert gone(entries, Limits(size_bytes=30)) == "bs"


def test_a_scan_left_unfinished_goes_once_a_later_one_has_ended() -> None:
    assert gone([entry("c"), entry("b"), entry("a", "unfinished")], Limits(scans=2)) == "ac"
    assert gone([entry("c", "unfinished"), entry("b"), entry("a")], Limits(scans=1)) == "ac"


def test_a_scan_that_somebody_needs_stays_and_costs_no_other_its_place() -> None:
    assert gone([entry("c"), entry("b"), entry("a", "unfinished")], Limits(scans=2), held="a") == ""
    assert gone([entry("d"), entry("c"), entry("b"), entry("a")], Limits(scans=2), held="a") == "bc"


def test_a_scan_that_cannot_be_read_is_left_alone() -> None:
    assert gone([entry("c"), entry("b"), entry("a", "unreadable")], Limits(scans=1)) == "bc"


def test_space_is_kept_free_if_that_is_possible() -> None:
    assert gone(NEWEST_FIRST, Limits(free_bytes=100), free=85) == "af bf"
    assert gone(NEWEST_FIRST, Limits(free_bytes=100), free=100) == ""


def test_nothing_is_removed_where_it_would_not_make_the_space() -> None:
    verdict = decide(NEWEST_FIRST, (), Limits(free_bytes=100), 59)
    assert verdict.remove == ()
    assert dict(verdict.unmet)["free"] == (
        "spool.keep_free_mib needs 41 bytes more, the scans that may be removed have 40"
    )
    assert gone(NEWEST_FIRST, Limits(scans=9), free=0, wanted=41) == ""


def test_a_new_scan_gets_its_room_beyond_what_the_limits_free() -> None:
    assert gone(NEWEST_FIRST, Limits(scans=9), free=0, wanted=40) == "ar br cr dr"
    assert gone(NEWEST_FIRST, Limits(scans=4), free=0, wanted=15) == "ac br"


@pytest.mark.parametrize("state", ["ended", "unfinished", "receiving"])
def test_a_lone_scan_may_never_go(state: str) -> None:
    assert removable([entry("a", state)], ()) == []


ENTRIES = st.lists(
    st.builds(
        entry,
        st.just("x"),
        st.sampled_from(["receiving", "analysing", "ended", "unfinished", "unreadable"]),
        st.integers(0, 50),
        st.booleans(),
    ),
    max_size=12,
).map(lambda found: [one.model_copy(update={"scan_id": f"s{number}"}) for number, one in enumerate(found)])
MAYBE = st.none() | st.integers(1, 200)


@given(ENTRIES, st.builds(Limits, MAYBE, MAYBE, MAYBE), st.integers(0, 200), st.integers(0, 200))
def test_whatever_the_limits_are_only_what_may_go_goes_oldest_first(
    entries: list[ScanEntry], limits: Limits, free: int, wanted: int
) -> None:
    verdict = decide(entries, {"s3"}, limits, free, wanted)
    removed = [one for one, _ in verdict.remove]
    allowed = removable(entries, {"s3"})
    assert removed == allowed[: len(removed)]
    left = [one for one in entries if one not in removed]
    assert any(one.state == "ended" for one in entries) == any(one.state == "ended" for one in left)
    assert all(one.state in {"ended", "unfinished"} and not one.retained for one in removed)
    # what is decided once is enough
    freed = sum(one.size_bytes for one in removed)
    assert decide(left, {"s3"}, limits, free + freed, wanted).remove == ()
