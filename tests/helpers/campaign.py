"""Campaigns of faults: scans in which something goes wrong, each followed by one without, into a real intake."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from helpers.cases import RUNS_ALONE, Case, Fault, alone, mixture
from livestrain_daemon.messages import ScanClosed
from livestrain_simulator.emulators.faults import EXCLUSIVE, FaultPlan, Kind, no_faults
from livestrain_simulator.emulators.record import ScanRecord

MIXTURES = int(os.environ.get("LIVESTRAIN_CAMPAIGN", "200"))
"""How many mixtures each detector makes."""
FIRST = int(os.environ.get("LIVESTRAIN_CAMPAIGN_FIRST", "0"))
"""The seed of the first one."""
STALL_SECONDS = 0.003
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
class Found:
    """A scan folder of the campaign."""

    scan: int | None
    """The scan that its frames are of; None if there are none, and it is not known yet which it is."""
    shape: tuple[int, int]
    """Of the scan (rows, columns)."""
    stored: set[int]
    """Positions."""
    closed: ScanClosed


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
    found: list[Found] = field(default_factory=list)
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
