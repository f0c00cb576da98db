"""A stage's analyses run over ranges of frames, for one plan revision."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.analyses import Prepared, find_analysis
from livestrain_daemon.plan import Plan, parse_plan
from livestrain_daemon.scanfolder import BLOCK, FrameReader, FrameState, ResultsFile, open_frames, open_results, runs_of
from livestrain_daemon.worker.corrections import load_corrections
from livestrain_wire.messages import Run

BATCH_BYTES = 1 << 20
"""Frames read at once: few enough to stay in the cache until all analyses have seen them [bytes]."""


@dataclass
class Spans:
    """Where the time goes [s]."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, part: str, since: float) -> float:
        """Books the time since then to a part; returns now."""
        now = time.perf_counter()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - since
        return now


class OpenRevision:
    """
    A scan folder opened under one plan revision.

    Parameters
    ----------
    folder
        The scan folder.
    revision
        Has a results file already.
    """

    def __init__(self, folder: Path, revision: int) -> None:
        layout = open_results(folder, revision)
        self.plan: Plan = parse_plan(layout.plan)
        self.frames = FrameReader(open_frames(folder))
        self.results = ResultsFile(layout)
        frame_layout = self.frames.layout
        self._corrections = load_corrections(folder, self.plan.corrections, frame_layout.frame_shape)
        self._kind = self._corrections.kind(frame_layout)
        self._batch = max(1, BATCH_BYTES // frame_layout.frame_bytes)
        self._buffer = np.empty((max(self._batch, 1), *frame_layout.frame_shape), frame_layout.dtype)
        self._prepared: dict[str, list[tuple[str, Prepared]]] = {}

    def prepare(self) -> None:
        """Prepares every stage and runs it once, so that whatever compiles has compiled."""
        blank = self._corrections.apply(np.zeros((1, *self._kind.shape), self.frames.layout.dtype))
        for stage in self.plan.stages:
            self._analyse(stage, blank, np.zeros(1, np.int64), Spans(), {})

    def analyse_positions(self, stage: str, runs: Iterable[Run]) -> tuple[list[Run], Spans]:
        """
        Results of a stage whose outputs are per position, written to the results file.

        Returns
        -------
        recycled
            Positions whose frames were gone, or went while they were read: nothing was written for these.
        spans
            Where the time went.
        """
        spans = Spans()
        recycled: list[Run] = []
        for first, count in runs:
            parts = [
                self._batch_results(stage, start, min(self._batch, first + count - start), spans)
                for start in range(first, first + count, self._batch)
            ]
            began = time.perf_counter()
            gone = self.frames.ledger(first, count) != FrameState.STORED
            values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            for offset, length in runs_of(~gone):
                for name, array in values.items():
                    self.results.write(name, first + offset, array[offset : offset + length])
            recycled += [(first + offset, length) for offset, length in runs_of(gone)]
            spans.add("write", began)
        return recycled, spans

    def analyse_blocks(self, stage: str, runs: Iterable[Run]) -> tuple[list[Run], Spans]:
        """Results of a stage whose outputs are per block, each written whole; missing frames add nothing."""
        spans = Spans()
        blocks = [block for first, count in runs for block in range(first, first + count)]
        return [(block, 1) for block in blocks if not self._analyse_block(stage, block, spans)], spans

    def close(self) -> None:
        """Gives the files back."""
        self.frames.close()
        self.results.close()

    def _analyse_block(self, stage: str, block: int, spans: Spans) -> bool:
        first = block * BLOCK
        count = min(BLOCK, self.frames.layout.positions - first)
        states = self.frames.ledger(first, count)
        before = states == FrameState.STORED
        if (states == FrameState.RECYCLED).any():
            return False
        results: dict[str, NDArray[Any]] = {}
        for offset, length in runs_of(before):
            for start in range(first + offset, first + offset + length, self._batch):
                frames = self._read(start, min(self._batch, first + offset + length - start), spans, saturated=True)
                positions = np.arange(start, start + len(frames))
                results = self._analyse(stage, frames, positions, spans, results)
        after = self.frames.ledger(first, count) == FrameState.STORED
        if not results or (before & ~after).any():
            return False
        for name, array in results.items():
            self.results.write_block(name, block, array)
        return True

    def _read(self, first: int, count: int, spans: Spans, *, saturated: bool = False) -> NDArray[Any]:
        """Corrected frames, in patterns that are only added up with what saturated pixels counted."""
        began = time.perf_counter()
        stored = self.frames.read(first, count, self._buffer[:count])
        began = spans.add("read", began)
        frames = self._corrections.apply(stored, without_saturated=not saturated)
        if frames is not stored:
            spans.add("correct", began)
        return frames

    def _batch_results(self, stage: str, first: int, count: int, spans: Spans) -> dict[str, NDArray[Any]]:
        return self._analyse(stage, self._read(first, count, spans), np.arange(first, first + count), spans, {})

    def _analyse(
        self,
        stage: str,
        frames: NDArray[Any],
        positions: NDArray[np.int64],
        spans: Spans,
        earlier: dict[str, NDArray[Any]],
    ) -> dict[str, NDArray[Any]]:
        found = dict(earlier)
        for name, prepared in self._prepared_stage(stage):
            began = time.perf_counter()
            found.update(prepared.analyse(frames, positions, found))
            spans.add(name, began)
        return found

    def _prepared_stage(self, stage: str) -> list[tuple[str, Prepared]]:
        if stage not in self._prepared:
            self._prepared[stage] = [
                (name, find_analysis(name).prepare(self.plan, self._kind)) for name in self.plan.stages[stage]
            ]
        return self._prepared[stage]
