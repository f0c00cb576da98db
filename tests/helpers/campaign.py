"""Campaigns of faults: scans in which something goes wrong, each followed by one without, into a real intake."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from helpers.cases import RUNS_ALONE, Case, Fault, alone, mixture
from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_daemon.messages import ScanClosed, Stored
from livestrain_daemon.scanfolder.layout import open_frames
from livestrain_daemon.scanfolder.reader import FrameReader
from livestrain_simulator.emulators.faults import EXCLUSIVE, FaultPlan, Kind, no_faults
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


def changed(frame: NDArray[Any]) -> NDArray[Any]:
    """What comes when a frame is sent again: it tells the same scan and number, and all else is different."""
    other = MOST - frame
    other[..., 0, :2] = frame[..., 0, :2]
    return other


@dataclass(frozen=True)
class Geometry:
    """How frames run over the positions of a scan."""

    order: Literal["raster", "serpentine"] = "raster"
    flyback_frames: int = 0

    def frames(self, shape: tuple[int, int]) -> int:
        """Of a scan."""
        return shape[0] * (shape[1] + self.flyback_frames)

    def positions(self, shape: tuple[int, int]) -> dict[int, int]:
        """Of each frame that has one."""
        found = {}
        for row in range(shape[0]):
            for column in range(shape[1]):
                number = row * (shape[1] + self.flyback_frames) + column
                is_backwards = self.order == "serpentine" and row % 2
                found[number] = row * shape[1] + (shape[1] - 1 - column if is_backwards else column)
        return found


@dataclass
class Campaign:
    """
    Scans in pairs: one with faults, and its twin without.

    An emulator asks for its plan of each scan when that begins, and then for its frames.
    """

    possible: tuple[Fault, ...]
    """Faults that the detector can make."""
    fixed: tuple[int, int] | None = None
    """The shape of all scans, where the detector does not tell it."""
    geometries: tuple[Geometry, ...] = (Geometry(),)
    """Of the pairs, by turns."""
    headless: bool = True
    """Frames of a scan whose start never came can be taken, too."""
    shapes: list[tuple[int, int]] = field(default_factory=list)
    """Of each scan (rows, columns)."""
    cases: list[Case] = field(default_factory=list)
    """What goes wrong in each scan."""
    places: Callable[[int], Mapping[int, int]] | None = None
    """Which frame comes at which place of a scan, where frames have no numbers; None: that of its number."""
    whole_scans: tuple[Kind, ...] = EXCLUSIVE
    """What may happen to every frame of a scan."""
    doubt: Callable[[ScanRecord], set[int]] = lambda record: set()
    """Whole frames that need not be taken for such."""
    mixtures: int = MIXTURES
    runs_alone: int = RUNS_ALONE
    """How often each fault is made without any other."""
    first: int = FIRST
    """The seed of the first pair."""
    current: Pixels = field(default_factory=lambda: pixels(0, 1))
    again: int = 0
    """Frames that were sent again."""
    found: list["Found"] = field(default_factory=list)
    """Scan folders, in the order in which they were closed."""

    @property
    def scans(self) -> int:
        """How many there are."""
        return 2 * (self.runs_alone * len(self.possible) + self.mixtures)

    def geometry(self, scan: int) -> Geometry:
        """How frames run over the positions of a scan."""
        return self.geometries[scan // 2 % len(self.geometries)]

    def shape(self, scan: int) -> tuple[int, int]:
        """Of a scan (rows, columns)."""
        random = np.random.default_rng((self.first + scan // 2, 5))
        rows, columns = (int(side) for side in random.integers(4, 9, 2))
        return self.fixed or (rows, columns)

    def case(self, scan: int, frames: int) -> Case:
        """What goes wrong in a scan."""
        pair, is_twin = divmod(scan, 2)
        if is_twin:
            return Case()
        seed, by_itself = self.first + pair, self.runs_alone * len(self.possible)
        if pair < by_itself:
            return alone(seed, frames, self.possible[pair // self.runs_alone], pair % self.runs_alone)
        return mixture(seed - by_itself, frames, self.possible, self.whole_scans)

    def plan(self, scan: int, frames: int) -> FaultPlan:
        """What goes wrong in a scan; its frames are shown from now on."""
        shape = self.shape(scan)
        assert self.geometry(scan).frames(shape) == frames
        self.shapes.append(shape)
        self.cases.append(self.case(scan, frames))
        self.current = pixels(scan, frames)
        return no_faults if scan % 2 else self.cases[-1].plan(frames)

    def frame(self, number: int) -> Pixels:
        """A frame of the scan in progress."""
        frame: Pixels = self.current[number % len(self.current)]
        return frame

    def second_copy(self, frame: NDArray[Any]) -> NDArray[Any]:
        """What is sent for a frame that is sent again."""
        self.again += 1
        return changed(frame)

    def positions(self, scan: int) -> dict[int, int]:
        """Of the frames of a scan."""
        return self.geometry(scan).positions(self.shapes[scan])


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
    for scan in range(campaign.scans):
        if len(records()) == scan:
            begin(scan, campaign.shape(scan))


@dataclass
class Found:
    """A scan folder of the campaign."""

    scan: int | None
    """The scan that its frames are of; None if there are none."""
    stored: set[int]
    """Positions."""
    closed: ScanClosed


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
        return Found(None, set(), closed)
    scan = int(frames[stored[0], 0, 0])
    assert layout.start.scan_shape == campaign.shapes[scan], f"{closed.scan_id}: scan {scan}"
    expected = right_frames(campaign, scan)
    assert set(stored.tolist()) <= set(expected), f"{closed.scan_id}: scan {scan}"
    right = np.stack([expected[position] for position in stored.tolist()])
    np.testing.assert_array_equal(frames[stored], right, err_msg=f"{closed.scan_id}: scan {scan}")
    return Found(scan, set(stored.tolist()), closed)


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
        may = [one & set(positions) for one in may_have(campaign, record, numbers)]
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
    """The folder of each scan that has frames."""
    by_scan: dict[int, Found] = {}
    for folder in campaign.found:
        if folder.scan is not None:
            text = f"scan {folder.scan} is in two folders: {story(campaign, records, folder.scan)}"
            assert folder.scan not in by_scan, text
            by_scan[folder.scan] = folder
    return by_scan


def hints(intake: IntakeProcess) -> dict[str, Counter[int]]:
    """How often main was told of each position that it is stored."""
    hinted: dict[str, Counter[int]] = {closed.scan_id: Counter() for closed in intake.of(ScanClosed)}
    for message in intake.of(Stored):
        for first, count in message.runs:
            hinted[message.scan_id].update(range(first, first + count))
    return hinted


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
    parts = [f"{campaign.cases[at]} {campaign.shapes[at]} {records[at]}" for at in (scan - 1, scan) if at >= 0]
    return f"seed {campaign.first + scan // 2}\n" + "\n".join(parts)
