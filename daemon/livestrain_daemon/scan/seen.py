"""Which frames of a scan have come: the main process's copy of the intake's ledger."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.scanfolder import FrameReader, FrameState, open_frames, runs_of
from livestrain_wire.messages import Run


class FramesSeen:
    """
    The state of every position's frame.

    Parameters
    ----------
    folder
        The scan folder; its ledger is read at once.
    """

    def __init__(self, folder: Path) -> None:
        self.reader = FrameReader(open_frames(folder))
        self._states = self.reader.ledger().copy()
        self._counts = np.bincount(self._states, minlength=len(FrameState))

    @property
    def states(self) -> NDArray[np.uint8]:
        """(positions,) `FrameState` of each, read-only."""
        view = self._states.view()
        view.flags.writeable = False
        return view

    @property
    def positions(self) -> int:
        """All positions of the scan."""
        return len(self._states)

    @property
    def stored(self) -> int:
        """Positions whose frame has come, whether it is still there or not."""
        return int(self._counts[FrameState.STORED] + self._counts[FrameState.RECYCLED])

    @property
    def missing(self) -> int:
        """Positions whose frame will not come."""
        return int(self._counts[FrameState.MISSING])

    def note(self, runs: Iterable[Run], state: FrameState) -> list[Run]:
        """A hint from the intake; returns the positions that it is news for."""
        news: list[Run] = []
        for first, count in runs:
            if first + count > self.positions:
                continue
            here = self._states[first : first + count]
            changed = here != state
            self._counts -= np.bincount(here, minlength=len(FrameState))
            here[:] = state
            self._counts[state] += count
            if count and changed.all():
                news.append((first, count))
            else:
                news += [(first + start, length) for start, length in runs_of(changed)]
        return news

    def read_ledger(self) -> list[Run]:
        """Hints can be lost, the ledger is the truth: returns positions stored that no hint told of."""
        now = self.reader.ledger()
        news = runs_of((now == FrameState.STORED) & (self._states != FrameState.STORED))
        self._states[:] = now
        self._counts = np.bincount(self._states, minlength=len(FrameState))
        return news

    def give_up(self) -> None:
        """Counts as missing what has not come."""
        self._states[self._states == FrameState.EXPECTED] = FrameState.MISSING
        self._counts = np.bincount(self._states, minlength=len(FrameState))

    def close(self) -> None:
        """Gives the file back."""
        self.reader.close()
