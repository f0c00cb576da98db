"""Campaigns of faults: mixtures by chance, each followed by a scan without any, into a real intake process."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_daemon.messages import ScanClosed
from livestrain_daemon.scanfolder.layout import open_frames
from livestrain_daemon.scanfolder.reader import FrameReader
from livestrain_simulator.emulators.faults import EXCLUSIVE, Among, FaultPlan, Faults, Kind, no_faults
from livestrain_simulator.emulators.record import ScanRecord

MIXTURES = int(os.environ.get("LIVESTRAIN_CAMPAIGN", "200"))
"""How many mixtures each detector makes."""
FIRST = int(os.environ.get("LIVESTRAIN_CAMPAIGN_FIRST", "0"))
"""The seed of the first one."""
STALL_SECONDS = 0.003
STORED, MISSING = 1, 2
SIDE = 16
MOST = 4000
"""Counts stay below what every detector can send."""

Pixels = NDArray[np.uint16]


def pixels(scan: int, frames: int) -> Pixels:
    """Frames (frames, 16, 16) of which each tells its scan and its number, and no two are alike."""
    number = np.arange(frames)[:, None]
    counts = (13 * np.arange(SIDE * SIDE) + 7 * number + 31 * scan) % MOST
    counts[:, 0], counts[:, 1] = scan, number[:, 0]
    return counts.reshape(frames, SIDE, SIDE).astype(np.uint16)


def mixture(seed: int, frames: int, possible: Iterable[str], whole_scans: tuple[Kind, ...] = EXCLUSIVE) -> Faults:
    """Faults by chance, of those that a detector can make."""
    random = np.random.default_rng((seed, 77))
    kinds: list[Kind] = [*EXCLUSIVE, "second_series", "stall"]
    rates = {kind: float(random.uniform(0.0, 0.19)) * bool(random.random() < 0.5) for kind in kinds}
    rates["stall"] *= 0.1
    if random.random() < 0.1:
        # whole scans may be lost, too
        rates |= dict.fromkeys(EXCLUSIVE, 0.0) | {whole_scans[random.integers(len(whole_scans))]: 1.0}
    end = random.random()
    ends: dict[str, int] = {}
    if end < 0.15:
        ends["abort_at"] = int(random.integers(frames))
    elif end < 0.35:
        ends["rearm"] = int(random.integers(frames))
    elif end < 0.5:
        ends["short_by"] = int(random.integers(1, 6))
    if random.random() < 0.2:
        ends["late_header"] = int(random.integers(1, 8))
    if random.random() < 0.03:
        ends["late_header"] = frames
    allowed = set(possible)
    among = {kind: Among(rate) for kind, rate in rates.items() if kind in allowed and rate}
    return Faults(among, seed=seed, **{name: value for name, value in ends.items() if name in allowed})


@dataclass
class Campaign:
    """
    Scans in pairs: one with a mixture of faults, and its twin without.

    An emulator asks for its plan of each scan when that begins, and then for its frames.
    """

    possible: tuple[str, ...]
    """Faults that the detector can make."""
    fixed: tuple[int, int] | None = None
    """The shape of all scans, where the detector does not tell it."""
    headless: bool = True
    """Frames of a scan whose start never came can be taken, too."""
    shapes: list[tuple[int, int]] = field(default_factory=list)
    """Of each scan (rows, columns)."""
    faults: list[Faults] = field(default_factory=list)
    """Of each scan."""
    places: Callable[[int], Mapping[int, int]] | None = None
    """Which frame belongs to a position of a scan, where frames have no numbers; None: that of its number."""
    whole_scans: tuple[Kind, ...] = EXCLUSIVE
    """What may happen to every frame of a scan."""
    mixtures: int = MIXTURES
    current: Pixels = field(default_factory=lambda: pixels(0, 1))
    found: list["Found"] = field(default_factory=list)
    """Scan folders, in the order in which they were closed."""

    def shape(self, pair: int) -> tuple[int, int]:
        random = np.random.default_rng((FIRST + pair, 5))
        rows, columns = (int(side) for side in random.integers(4, 9, 2))
        return self.fixed or (rows, columns)

    def plan(self, scan: int, frames: int) -> FaultPlan:
        """What goes wrong in a scan; its frames are shown from now on."""
        pair, is_twin = divmod(scan, 2)
        shape = self.shape(pair)
        assert shape[0] * shape[1] == frames
        self.shapes.append(shape)
        self.faults.append(Faults() if is_twin else mixture(FIRST + pair, frames, self.possible, self.whole_scans))
        self.current = pixels(scan, frames)
        return no_faults if is_twin else self.faults[-1].plan(0, frames)

    def frame(self, number: int) -> Pixels:
        """A frame of the scan in progress."""
        frame: Pixels = self.current[number % len(self.current)]
        return frame


def run(
    campaign: Campaign, begin: Callable[[int, tuple[int, int]], None], records: Callable[[], list[ScanRecord]]
) -> None:
    """
    Take all scans, each as soon as the one before is over.

    Parameters
    ----------
    campaign
        What goes wrong.
    begin
        Takes a scan of a shape to its end, with the next one if that follows at once.
    records
        Of the scans so far.
    """
    for scan in range(2 * campaign.mixtures):
        if len(records()) == scan:
            begin(scan, campaign.shape(scan // 2))


@dataclass
class Found:
    """A scan folder of the campaign."""

    scan: int | None
    """The scan that its frames are of; None if there are none."""
    numbers: set[int]
    closed: ScanClosed


def wait_for_the_last(campaign: Campaign, intake: IntakeProcess) -> None:
    """Return when the last scan has come, all folders looked at."""

    def is_over() -> bool:
        return any(one.scan == 2 * campaign.mixtures - 1 for one in look(campaign, intake))

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
        return Found(None, set(), closed)
    scan = int(frames[stored[0], 0, 0])
    assert layout.start.scan_shape == campaign.shapes[scan], f"{closed.scan_id}: scan {scan}"
    places = campaign.places(scan) if campaign.places else None
    numbers = [places.get(place, -1) for place in stored.tolist()] if places is not None else stored.tolist()
    assert frames[stored, 0, 1].tolist() == numbers, (
        f"{closed.scan_id}: scan {scan}: {frames[stored, 0, 1].tolist()} for {numbers}"
    )
    np.testing.assert_array_equal(frames[stored], pixels(scan, layout.positions)[numbers])
    return Found(scan, set(stored.tolist()), closed)


def check(campaign: Campaign, intake: IntakeProcess, records: list[ScanRecord]) -> None:
    """Every frame that survived is at its place, and no other."""
    assert intake.process.poll() is None, intake.log.read_text()
    assert [record.scan for record in records] == list(range(2 * campaign.mixtures))
    by_scan: dict[int, Found] = {}
    for folder in campaign.found:
        if folder.scan is not None:
            assert folder.scan not in by_scan, (
                f"scan {folder.scan} is in two folders: {story(campaign, records, folder.scan)}"
            )
            by_scan[folder.scan] = folder
    for scan, record in enumerate(records):
        numbers = by_scan[scan].numbers if scan in by_scan else set()
        assert numbers in may_have(campaign, record, numbers), (
            f"scan {scan}: lacks {sorted(record.whole - numbers)}, has {sorted(numbers - record.whole)}: "
            + story(campaign, records, scan)
        )
        if scan % 2:
            assert by_scan[scan].closed.reason == "complete"
            assert numbers == set(range(record.frames))


def may_have(campaign: Campaign, record: ScanRecord, numbers: set[int]) -> list[set[int]]:
    """What a receiver must have of a scan; a single frame without a start may be a mistake, or a scan."""
    if record.started:
        return [record.whole]
    if not campaign.headless:
        return [set()]
    if not record.whole:
        # what comes behind the end of a series that nobody has heard of may well make one
        return [numbers & set(record.numbers("reorder"))]
    return [record.whole] if record.ended or record.copies.total() > 1 else [set(), record.whole]


def story(campaign: Campaign, records: list[ScanRecord], scan: int) -> str:
    """How a scan came to be as it is."""
    parts = [f"{campaign.faults[at]} {campaign.shapes[at]} {records[at]}" for at in (scan - 1, scan) if at >= 0]
    return f"seed {FIRST + scan // 2}\n" + "\n".join(parts)
