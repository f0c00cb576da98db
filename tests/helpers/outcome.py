"""What an intake has made of a campaign of faults, held against what an emulator has done."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from helpers.campaign import Campaign, Found, Pixels, changed, pixels
from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_daemon.messages import ScanClosed, Stored
from livestrain_daemon.scanfolder.layout import open_frames
from livestrain_daemon.scanfolder.reader import FrameReader
from livestrain_simulator.emulators.record import ScanRecord

STORED, MISSING = 1, 2


def wait_for_the_last(campaign: Campaign, intake: IntakeProcess) -> None:
    """Return when the last scan has come, all folders looked at."""

    def is_over() -> bool:
        return any(one.scan == campaign.scans - 1 for one in look(campaign, intake))

    wait_until(is_over, 60, "the last scan")


def look(campaign: Campaign, intake: IntakeProcess) -> list[Found]:
    """What is in the folders that have been closed since the last look."""
    news = intake.of(ScanClosed)[len(campaign.found) :]
    found_now = [found(campaign, intake, closed) for closed in news]
    campaign.found += found_now
    return found_now


def found(campaign: Campaign, intake: IntakeProcess, closed: ScanClosed) -> Found:
    """What is in a folder, each frame looked at."""
    layout = open_frames(intake.spool / closed.scan_id)
    with FrameReader(layout) as reader:
        ledger, frames = np.array(reader.ledger()), np.array(reader.read(0, layout.positions))
    stored = np.flatnonzero(ledger == STORED)
    assert set(np.unique(ledger)) <= {STORED, MISSING}
    assert (closed.stored, closed.missing) == (len(stored), len(ledger) - len(stored))
    if not len(stored):
        return Found(None, layout.start.scan_shape, set(), closed)
    scan = int(frames[stored[0], 0, 0])
    assert layout.start.scan_shape == campaign.shapes[scan], f"{closed.scan_id}: scan {scan}"
    expected = right_frames(campaign, scan)
    assert set(stored.tolist()) <= set(expected), f"{closed.scan_id}: scan {scan}"
    right = np.stack([expected[position] for position in stored.tolist()])
    np.testing.assert_array_equal(frames[stored], right, err_msg=f"{closed.scan_id}: scan {scan}")
    return Found(scan, layout.start.scan_shape, set(stored.tolist()), closed)


def right_frames(campaign: Campaign, scan: int) -> dict[int, Pixels]:
    """The frame that belongs to a position of a scan, where one may be."""
    positions = campaign.positions(scan)
    frames = pixels(scan, campaign.geometry(scan).frames(campaign.shapes[scan]))
    if campaign.places is None:
        return {position: frames[number] for number, position in positions.items()}
    right, seen = {}, set()
    for place, number in sorted(campaign.places(scan).items()):
        if place in positions:
            right[positions[place]] = changed(frames[number]) if number in seen else frames[number]
        seen.add(number)
    return right


def check(
    campaign: Campaign,
    intake: IntakeProcess,
    records: list[ScanRecord],
    reasons: Callable[[ScanRecord], set[str]],
) -> None:
    """
    Every frame that survived is at its place, and no other; main has heard of each, and how the scan ended.

    Parameters
    ----------
    campaign, intake, records
        What was done.
    reasons
        With what a scan may end of which this is the record, if it lacks frames.
    """
    assert intake.process.poll() is None, intake.log.read_text()
    assert [record.scan for record in records] == list(range(campaign.scans))
    assert campaign.again == sum(len(record.numbers("duplicate")) for record in records)
    name_empty(campaign, records, reasons)
    by_scan = folders(campaign, records)
    hinted = hints(intake)
    for folder in campaign.found:
        told = hinted[folder.closed.scan_id]
        assert told == Counter(folder.stored), f"main was told of {sorted(told.elements())}: {folder}"
    for scan, record in enumerate(records):
        positions = campaign.positions(scan)
        there = by_scan.get(scan)
        stored = there.stored if there else set()
        numbers = {number for number, position in positions.items() if position in stored}
        may = [one & set(positions) for one in may_have(campaign, record)]
        doubt = campaign.doubt(record)
        assert any(one - doubt <= numbers <= one for one in may), (
            f"scan {scan}: has {sorted(numbers)}, not {may}: " + story(campaign, records, scan)
        )
        if there is None:
            continue
        # who ends a scan that has all its frames matters to nobody
        right = {"complete"} if len(stored) == len(positions) else reasons(record)
        text = f"scan {scan}: {right}, {there.closed}: {story(campaign, records, scan)}"
        assert there.closed.reason in right, text
        assert len(stored) == len(positions) or scan % 2 == 0, text


def folders(campaign: Campaign, records: list[ScanRecord]) -> dict[int, Found]:
    """The folder of each scan that has one."""
    by_scan: dict[int, Found] = {}
    for folder in campaign.found:
        if folder.scan is not None:
            text = f"scan {folder.scan} is in two folders: {story(campaign, records, folder.scan)}"
            assert folder.scan not in by_scan, text
            by_scan[folder.scan] = folder
    return by_scan


def name_empty(campaign: Campaign, records: list[ScanRecord], reasons: Callable[[ScanRecord], set[str]]) -> None:
    """Folders without frames are of scans that began and have none, in the same order; there are no others."""

    def is_empty(record: ScanRecord) -> bool:
        sure = record.whole - campaign.doubt(record)
        return record.started and not sure & set(campaign.positions(record.scan))

    def is_of(record: ScanRecord, folder: Found) -> bool:
        return folder.shape == campaign.shapes[record.scan] and folder.closed.reason in reasons(record)

    empty, last = [record for record in records if is_empty(record)], -1
    for folder in campaign.found:
        if folder.scan is None:
            possible = [record.scan for record in empty if record.scan > last and is_of(record, folder)]
            assert possible, f"no scan behind {last} is that of {folder}: {[record.scan for record in empty]}"
            folder.scan = possible[0]
        last = max(last, folder.scan)


def hints(intake: IntakeProcess) -> dict[str, Counter[int]]:
    """How often main was told of each position that it is stored."""
    hinted: dict[str, Counter[int]] = {closed.scan_id: Counter() for closed in intake.of(ScanClosed)}
    for message in intake.of(Stored):
        for first, count in message.runs:
            hinted[message.scan_id].update(range(first, first + count))
    return hinted


def may_have(campaign: Campaign, record: ScanRecord) -> list[set[int]]:
    """What a receiver must have of a scan; a single frame without a start may be a mistake, or a scan."""
    if record.started:
        return [record.whole]
    if not campaign.headless:
        return [set()]
    if not record.whole:
        # what comes behind the end of a series that nobody has heard of may well make one
        return [set(), set(record.numbers("reorder")) if record.ended else set()]
    return [record.whole] if record.ended or record.copies.total() > 1 else [set(), record.whole]


def story(campaign: Campaign, records: list[ScanRecord], scan: int) -> str:
    """How a scan came to be as it is."""
    parts = [f"{campaign.cases[at]} {campaign.shapes[at]} {records[at]}" for at in (scan - 1, scan) if at >= 0]
    return f"seed {campaign.first + scan // 2}\n" + "\n".join(parts)
