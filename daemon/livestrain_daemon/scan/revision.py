"""One plan revision of one scan, while it is being worked on."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.config import WorkersConfig
from livestrain_daemon.dispatch.revision import RevisionWork
from livestrain_daemon.dispatch.stage import StageProgress
from livestrain_daemon.plan import DIFFRACTION, Plan
from livestrain_daemon.scan.derived import published_maps
from livestrain_daemon.scanfolder import BLOCK, FrameState, ResultsFile, ResultState, open_results, runs_of
from livestrain_wire.messages import Run, StageCounts


class Revision:
    """
    The results file of a plan revision and the work that fills it.

    Parameters
    ----------
    folder
        The scan folder; has the results file already.
    plan
        The plan.
    config
        For the work.
    analysed
        Called with stage and runs of positions after each acknowledgement.
    failed
        Called with stage, runs and reason when positions are given up.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        config: WorkersConfig,
        analysed: Callable[[str, list[Run]], None],
        failed: Callable[[str, list[Run], str], None],
    ) -> None:
        self.plan = plan
        self.results = ResultsFile(open_results(folder, plan.revision))
        layout = self.results.layout
        self.maps = published_maps(layout.outputs)
        stages = {name: StageProgress(name, self.results.ledger(name), self.results) for name in layout.stages}
        self._per_block = {
            name for name, outputs in layout.stages.items() if outputs and layout.outputs[outputs[0]].per_block
        }
        blocks = max(1, config.largest_range // BLOCK)
        units = {name: blocks if name in self._per_block else config.largest_range for name in stages}
        self.work = RevisionWork(str(folder), plan.revision, stages, units, config, analysed, failed)

    @property
    def positions_done(self) -> StageProgress:
        """The stage that maps come from."""
        return self.work.stages[DIFFRACTION]

    @property
    def has_lattice(self) -> bool:
        """True where strain can be derived."""
        return "g1" in self.results.layout.outputs

    @property
    def published_stages(self) -> frozenset[str]:
        """Stages whose results are per position."""
        return frozenset(self.work.stages) - self._per_block

    def forget_results(self) -> None:
        """After a power failure: everything is pending again, because values may be lost that the ledger counts."""
        finals = (ResultState.ANALYSED, ResultState.FAILED, ResultState.DROPPED, ResultState.MISSING)
        for stage in self.work.stages.values():
            stage.reopen([(0, len(stage.states()))], *finals)

    def frames_stored(self, runs: Iterable[Run], states: NDArray[np.uint8], closed: bool) -> None:
        """
        New frames can be worked on.

        Parameters
        ----------
        runs
            Positions just stored.
        states : (positions,)
            `FrameState` of all.
        closed
            True when no more frames will come.
        """
        runs = list(runs)
        for name, stage in self.work.stages.items():
            if name not in self._per_block:
                stage.reopen(runs, ResultState.MISSING)
                stage.offer(runs)
        self._offer_blocks(_blocks_of(runs), states, closed, again=True)

    def frames_recycled(self, runs: Iterable[Run]) -> None:
        """Frames that nobody can read any more."""
        for name, stage in self.work.stages.items():
            stage.drop([(block, 1) for block in _blocks_of(runs)] if name in self._per_block else runs)

    def blank(self, stage: str, runs: Iterable[Run]) -> None:
        """What a worker may have written before it died is no result: not measured."""
        if stage in self._per_block:
            return
        for name in self.results.layout.stages[stage]:
            output = self.results.layout.outputs[name]
            if np.dtype(output.dtype).kind == "f":
                for first, count in runs:
                    self.results.write(name, first, np.full((count, *output.shape), np.nan, output.dtype))

    def catch_up(self, states: NDArray[np.uint8], closed: bool) -> None:
        """Takes over the state of all frames: at the beginning of the revision, and when the scan is closed."""
        stored = runs_of(states == FrameState.STORED)
        recycled = runs_of(states == FrameState.RECYCLED)
        missing = runs_of((states == FrameState.MISSING) | (states == FrameState.EXPECTED)) if closed else []
        for name, stage in self.work.stages.items():
            if name not in self._per_block:
                stage.offer(stored)
                stage.finish(missing, ResultState.MISSING)
                stage.offer(recycled)
                stage.drop(recycled)
        self._offer_blocks(range(-(-len(states) // BLOCK)), states, closed, again=False)

    def finished(self, positions: int, slots: int) -> NDArray[np.bool_]:
        """
        Where every stage is done with the frame, (positions,).

        Parameters
        ----------
        positions
            All of the scan.
        slots
            Frames that are kept; where these are too few for whole blocks, blocks are not waited for.
        """
        done = np.ones(positions, np.bool_)
        for name, stage in self.work.stages.items():
            final = stage.states() != ResultState.PENDING
            if name not in self._per_block:
                done &= final
            elif slots >= 2 * BLOCK:
                done &= np.repeat(final, BLOCK)[:positions]
        return done

    def counts(self, states: NDArray[np.uint8]) -> dict[str, StageCounts]:
        """Positions by state, for every stage; each adds up to all positions."""
        return {
            name: self._block_counts(stage, states) if name in self._per_block else stage.counts()
            for name, stage in self.work.stages.items()
        }

    def close(self) -> None:
        """Gives the results file back."""
        self.results.close()

    def _offer_blocks(self, blocks: Iterable[int], states: NDArray[np.uint8], closed: bool, again: bool) -> None:
        for block in blocks:
            here = states[block * BLOCK : (block + 1) * BLOCK]
            if not closed and bool((here == FrameState.EXPECTED).any()):
                continue
            for name in self._per_block:
                stage = self.work.stages[name]
                if again:
                    stage.reopen([(block, 1)], ResultState.ANALYSED, ResultState.MISSING)
                if bool((here == FrameState.RECYCLED).any()):
                    # a sum over what is left would pass for the whole
                    stage.offer([(block, 1)])
                    stage.drop([(block, 1)])
                elif bool((here == FrameState.STORED).any()):
                    stage.offer([(block, 1)])
                else:
                    stage.finish([(block, 1)], ResultState.MISSING)

    def _block_counts(self, stage: StageProgress, states: NDArray[np.uint8]) -> StageCounts:
        of_position = np.repeat(stage.states(), BLOCK)[: len(states)]
        missing = of_position != ResultState.PENDING
        missing &= (states != FrameState.STORED) & (states != FrameState.RECYCLED)
        by_state = np.bincount(of_position[~missing], minlength=len(ResultState))
        return StageCounts(
            analysed=int(by_state[ResultState.ANALYSED]),
            failed=int(by_state[ResultState.FAILED]),
            dropped=int(by_state[ResultState.DROPPED]),
            missing=int(missing.sum()),
            pending=int(by_state[ResultState.PENDING]),
        )


def _blocks_of(runs: Iterable[Run]) -> set[int]:
    return {block for first, count in runs for block in range(first // BLOCK, (first + count - 1) // BLOCK + 1)}
