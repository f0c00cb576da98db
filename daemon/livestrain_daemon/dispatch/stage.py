"""How far a stage is: which positions wait, which are done; the one writer of its ledger row."""

from collections.abc import Iterable
from typing import Literal, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from livestrain_daemon.errors import StorageError
from livestrain_daemon.runset import RunSet
from livestrain_daemon.scanfolder import ResultState, runs_of
from livestrain_wire.messages import Run, StageCounts

log = structlog.get_logger()

Order = Literal["sequential", "newest"]


class Ledger(Protocol):
    """Where the states go: a row of the results file."""

    def write_ledger(self, stage: str, first: int, states: int, count: int) -> None:
        """One state for a run of units."""
        ...


class StageProgress:
    """
    The states of a stage's units (positions, or blocks of them) under one plan revision.

    Parameters
    ----------
    name
        The stage.
    states : (units,)
        `ResultState` of each, as the ledger has them.
    ledger
        Written after each change.
    """

    def __init__(self, name: str, states: NDArray[np.uint8], ledger: Ledger) -> None:
        self.name = name
        self._states = states.copy()
        self._ledger = ledger
        self._ready = RunSet()
        self._counts = np.bincount(self._states, minlength=len(ResultState))

    @property
    def waiting(self) -> int:
        """Units that could be handed out now."""
        return len(self._ready)

    @property
    def unfinished(self) -> int:
        """Units without a final state."""
        return int(self._counts[ResultState.PENDING])

    def states(self) -> NDArray[np.uint8]:
        """The state of every unit, (units,), read-only."""
        view = self._states.view()
        view.flags.writeable = False
        return view

    def offer(self, runs: Iterable[Run]) -> None:
        """These units can be worked on; those with a final state are passed over."""
        for first, count in runs:
            pending = self._states[first : first + count] == ResultState.PENDING
            if pending.all():
                self._ready.add(first, count)
            else:
                for start, length in runs_of(pending):
                    self._ready.add(first + start, length)

    def take(self, most: int, order: Order) -> list[Run]:
        """At most so many units, no longer waiting from now on."""
        return self._ready.take_first(most) if order == "sequential" else self._ready.take_last(most)

    def finish(self, runs: Iterable[Run], state: ResultState) -> list[Run]:
        """Gives units their final state, unless they have one; returns those that had none."""
        finished: list[Run] = []
        for first, count in runs:
            pending = self._states[first : first + count] == ResultState.PENDING
            for start, length in [(0, count)] if count and pending.all() else runs_of(pending):
                self._set(first + start, length, state)
                finished.append((first + start, length))
        return finished

    def drop(self, runs: Iterable[Run]) -> None:
        """Units whose frames are gone; those that a worker has already will be settled by its answer."""
        for first, count in runs:
            for start, length in self._ready.overlap(first, count):
                self._set(start, length, ResultState.DROPPED)

    def reopen(self, runs: Iterable[Run], *states: ResultState) -> None:
        """Units in one of these states are pending again: frames have come that counted as missing."""
        if not self._counts[list(states)].any():
            return
        for first, count in runs:
            for start, length in runs_of(np.isin(self._states[first : first + count], states)):
                self._set(first + start, length, ResultState.PENDING)

    def counts(self) -> StageCounts:
        """Units by state; they add up to all of them."""
        by_state = self._counts
        return StageCounts(
            analysed=int(by_state[ResultState.ANALYSED]),
            failed=int(by_state[ResultState.FAILED]),
            dropped=int(by_state[ResultState.DROPPED]),
            missing=int(by_state[ResultState.MISSING]),
            pending=int(by_state[ResultState.PENDING]),
        )

    def _set(self, first: int, count: int, state: ResultState) -> None:
        self._counts -= np.bincount(self._states[first : first + count], minlength=len(ResultState))
        self._counts[state] += count
        self._states[first : first + count] = state
        self._ready.remove(first, count)
        try:
            self._ledger.write_ledger(self.name, first, int(state), count)
        except StorageError as error:
            # what is known here is right; a restart would do these units again
            log.error("the ledger could not be written", stage=self.name, first=first, reason=str(error))
