"""Where frames belong: from a frame's number to its position in the scan."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from livestrain_wire.messages import ScanStart

Positions = NDArray[np.int64]
"""Flat scan positions of consecutive frames; FLYBACK and BEYOND stand for frames that have none."""

FLYBACK = -1
"""A frame taken while the beam went back to the beginning of a row."""
BEYOND = -2
"""A frame whose number lies after the last of the scan."""


class Piece(NamedTuple):
    """Consecutive frames of a run that fill consecutive scan positions, upwards or downwards."""

    first_position: int
    """The lowest flat position."""
    first_frame: int
    """The first frame, counted from the beginning of the run."""
    frames: int
    downwards: bool
    """True where the last frame belongs to ``first_position``."""


class Placed(NamedTuple):
    """A run of frames, cut into pieces that can each be written at once."""

    pieces: list[Piece]
    flyback: int
    """Frames of the run that belong to no position."""
    beyond: int
    """Frames of the run that come after the end of the scan."""


@dataclass(frozen=True)
class Placement:
    """The order in which the frames of a scan run over its positions."""

    scan_shape: tuple[int, int]
    serpentine: bool = False
    flyback_frames: int = 0
    table: NDArray[np.uint32] | None = None
    """With explicit order: the flat position of every frame."""

    @property
    def positions(self) -> int:
        """Positions of the scan."""
        return self.scan_shape[0] * self.scan_shape[1]

    @property
    def fillable(self) -> int:
        """Positions that a frame belongs to."""
        return self.positions if self.table is None else len(np.unique(self.table))

    @property
    def frames(self) -> int:
        """Frames of the scan, flyback included."""
        if self.table is not None:
            return len(self.table)
        return self.scan_shape[0] * (self.scan_shape[1] + self.flyback_frames)

    def has_table(self, table: NDArray[np.uint32] | None) -> bool:
        """These are the explicit positions, or there are none in both."""
        if self.table is None or table is None:
            return self.table is table
        return np.array_equal(self.table, table)

    def positions_of(self, first: int, count: int) -> Positions:
        """
        The flat scan positions of ``count`` frames from frame ``first`` on.

        Returns
        -------
        (count,)
            Positions; FLYBACK or BEYOND where a frame has none.
        """
        numbers = np.arange(count, dtype=np.int64) + first
        inside = int(np.clip(self.frames - first, 0, count))
        positions = np.full(count, BEYOND, np.int64)
        if self.table is not None:
            positions[:inside] = self.table[first : first + inside]
            return positions
        columns = self.scan_shape[1]
        row, column = np.divmod(numbers[:inside], columns + self.flyback_frames)
        flyback = column >= columns
        if self.serpentine:
            column = np.where(row % 2 == 1, columns - 1 - column, column)
        positions[:inside] = np.where(flyback, FLYBACK, row * columns + column)
        return positions

    def place(self, first: int, count: int) -> Placed:
        """The pieces of ``count`` frames from frame ``first`` on, in the order of the frames."""
        plain = self.table is None and not self.serpentine and not self.flyback_frames
        if plain:
            inside = min(max(self.frames - first, 0), count)
            pieces = [Piece(first, 0, inside, downwards=False)] if inside else []
            return Placed(pieces, flyback=0, beyond=count - inside)
        positions = self.positions_of(first, count)
        return Placed(
            _pieces(positions),
            flyback=int(np.count_nonzero(positions == FLYBACK)),
            beyond=int(np.count_nonzero(positions == BEYOND)),
        )


def _pieces(positions: Positions) -> list[Piece]:
    """Runs of positions that rise or fall by one; frames without a position are left out."""
    step = np.diff(positions)
    neighbours = (np.abs(step) == 1) & (positions[1:] >= 0) & (positions[:-1] >= 0)
    cut = ~neighbours
    cut[1:] |= neighbours[:-1] & (step[1:] != step[:-1])
    begins = np.concatenate(([0], np.flatnonzero(cut) + 1))
    ends = np.append(begins[1:], len(positions))
    pieces = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        first, last = int(positions[begin]), int(positions[end - 1])
        if first >= 0:
            pieces.append(Piece(min(first, last), begin, end - begin, downwards=last < first))
    return pieces


def placement_of(start: ScanStart, table: NDArray[np.uint32] | None = None) -> Placement:
    """
    The placement that a start message asks for.

    Raises
    ------
    ValueError
        If explicit positions lie outside the scan, or are missing.
    """
    if start.order != "explicit":
        return Placement(start.scan_shape, start.order == "serpentine", start.flyback_frames)
    if table is None or not table.size:
        raise ValueError("expected the position of every frame, found none")
    positions = start.scan_shape[0] * start.scan_shape[1]
    outside = np.flatnonzero(table >= positions)
    if outside.size:
        frame = int(outside[0])
        raise ValueError(f"expected positions below {positions}, found {int(table[frame])} for frame {frame}")
    return Placement(start.scan_shape, table=table)


def joined(runs: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Runs (first, count) in rising order, those that touch or overlap made one."""
    result: list[tuple[int, int]] = []
    for first, count in sorted(runs):
        if result and first <= result[-1][0] + result[-1][1]:
            before, length = result[-1]
            result[-1] = (before, max(length, first + count - before))
        else:
            result.append((first, count))
    return tuple(result)
