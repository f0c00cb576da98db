from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from livestrain_daemon.scanfolder import files
from livestrain_daemon.scanfolder.layout import FrameLayout, FrameState
from livestrain_daemon.scanfolder.runs import runs_of
from livestrain_wire.messages import Run

Ledger = npt.NDArray[np.uint8]

NOBODY = -1
"""Owner of a slot that holds no frame."""

_FILLS = {state: memoryview(bytes([state]) * 4096) for state in FrameState}


class FrameLedger:
    """
    The ledger of a scan's frames, as its one writer sees it: in the file, and the same in memory.

    Parameters
    ----------
    descriptor
        The frames.h5, open for reading and writing; stays the caller's.
    """

    def __init__(self, descriptor: int, layout: FrameLayout) -> None:
        self._descriptor = descriptor
        self._path = layout.path
        self._offset = layout.ledger_offset
        self.states = np.empty(layout.positions, dtype=np.uint8)
        files.read_at(descriptor, files.bytes_of(self.states), self._offset, self._path)

    def set(self, first: int, count: int, state: FrameState) -> None:
        """Consecutive positions; in memory only once it is in the file."""
        fill = _FILLS[state] if count <= 4096 else memoryview(bytes([state]) * count)
        files.write_at(self._descriptor, fill[:count], self._offset + first, self._path)
        self.states[first : first + count] = state

    def mark(self, runs: Sequence[Run], state: FrameState) -> None:
        """Scattered runs of positions, with one write."""
        if len(runs) == 1:
            self.set(*runs[0], state)
            return
        if not runs:
            return
        first = min(start for start, _ in runs)
        end = max(start + count for start, count in runs)
        span = self.states[first:end].copy()
        for start, count in runs:
            span[start - first : start - first + count] = state
        files.write_at(self._descriptor, files.bytes_of(span), self._offset + first, self._path)
        self.states[first:end] = span


class Slots:
    """
    Which position of a scan is in which slot of its ring.

    Parameters
    ----------
    ledger
        No two stored positions share a slot.
    """

    def __init__(self, layout: FrameLayout, ledger: FrameLedger) -> None:
        self.layout = layout
        self.ledger = ledger
        self._owners = np.empty(0, dtype=np.int64)
        self.look_again()

    def look_again(self) -> None:
        """Find the owners from the ledger."""
        self._owners = np.full(self.layout.slots, NOBODY, dtype=np.int64)
        stored = np.flatnonzero(self.ledger.states == FrameState.STORED)
        self._owners[stored % self.layout.slots] = stored

    def move_in(self, first: int, count: int) -> None:
        """Consecutive positions have been stored."""
        positions = np.arange(first, first + count)
        self._owners[positions % self.layout.slots] = positions

    def move_out(self, first_byte: int, end_byte: int) -> list[Run]:
        """
        Mark what lies in these bytes of the ring as recycled, before it is overwritten.

        Returns
        -------
        list of (first position, count)
            What was marked.
        """
        runs = self.lying_in(first_byte, end_byte)
        if runs:
            self.ledger.mark(runs, FrameState.RECYCLED)
            self._between(first_byte, end_byte)[:] = NOBODY
        return runs

    def lying_in(self, first_byte: int, end_byte: int) -> list[Run]:
        """The positions whose frames lie in these bytes of the ring."""
        slots = self._between(first_byte, end_byte)
        owners = slots[slots != NOBODY]
        return _runs_of_positions(owners) if owners.size else []

    def _between(self, first_byte: int, end_byte: int) -> npt.NDArray[np.int64]:
        size = self.layout.frame_bytes
        return self._owners[first_byte // size : -(-end_byte // size)]


def _runs_of_positions(positions: npt.NDArray[np.int64]) -> list[Run]:
    lowest = int(positions.min())
    if bool((np.diff(positions) == 1).all()):
        return [(lowest, len(positions))]
    mask = np.zeros(int(positions.max()) + 1 - lowest, dtype=np.bool_)
    mask[positions - lowest] = True
    return [(lowest + start, count) for start, count in runs_of(mask)]
