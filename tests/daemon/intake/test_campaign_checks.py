"""What a campaign of faults would notice."""

from typing import Any

import pytest

from helpers.campaign import Campaign, Found
from helpers.outcome import may_have, name_empty
from livestrain_daemon.messages import ScanClosed
from livestrain_simulator.emulators.record import ScanRecord

SHAPE = (6, 7)


def made(**changes: Any) -> tuple[Campaign, list[ScanRecord]]:
    """A campaign whose scan 0 began and lost all its frames; its twin has them all."""
    campaign = Campaign(("drop",), SHAPE, shapes=[SHAPE, SHAPE])
    lost, twin = (ScanRecord(scan, 42, started=True, ended=True) for scan in range(2))
    for number in range(42):
        twin.left(number)
    for name, value in changes.items():
        setattr(lost, name, value)
    campaign.found = [folder(None), folder(1)]
    return campaign, [lost, twin]


def folder(scan: int | None, shape: tuple[int, int] = SHAPE, reason: Any = "complete") -> Found:
    stored = set(range(42)) if scan else set()
    closed = ScanClosed(scan_id=f"scan-{scan}", reason=reason, stored=len(stored), missing=42 - len(stored), faults={})
    return Found(scan, shape, stored, closed)


def test_a_folder_without_frames_is_that_of_the_scan_that_lost_them() -> None:
    campaign, records = made()
    name_empty(campaign, records, lambda record: {"complete"})
    assert [found.scan for found in campaign.found] == [0, 1]


@pytest.mark.parametrize(
    "phantom",
    [
        [folder(None), folder(None), folder(1)],
        [folder(1), folder(None)],
        [folder(None, (6, 8))],
        [folder(None, reason="silence")],
    ],
    ids=["one too many", "behind the twin", "other shape", "other end"],
)
def test_a_folder_of_no_scan_is_noticed(phantom: list[Found]) -> None:
    campaign, records = made()
    campaign.found = phantom
    with pytest.raises(AssertionError, match="no scan behind"):
        name_empty(campaign, records, lambda record: {"complete"})


def test_a_folder_of_a_scan_that_never_began_is_noticed() -> None:
    campaign, records = made(started=False)
    with pytest.raises(AssertionError, match="no scan behind"):
        name_empty(campaign, records, lambda record: {"complete"})


def test_of_frames_behind_the_end_of_a_series_without_a_start_all_or_none_are_right() -> None:
    campaign = Campaign(("drop",), SHAPE)
    record = ScanRecord(0, 42, ended=True)
    for number in (3, 5):
        record.do(number, ["reorder"])
    assert may_have(campaign, record) == [set(), {3, 5}]
    record.ended = False
    assert may_have(campaign, record) == [set(), set()], "they have never left"
