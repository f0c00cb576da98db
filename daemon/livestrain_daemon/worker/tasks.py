"""What a worker can be asked to do."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.errors import NoReference
from livestrain_core.reference import median_reference
from livestrain_daemon.analyses import stage_outputs
from livestrain_daemon.messages import (
    AnalyseTask,
    CalibrateTask,
    MedianTask,
    OpenRevisionTask,
    PatternTask,
    PingTask,
    PrepareTask,
    SyncTask,
    Task,
    VectorMapTask,
)
from livestrain_daemon.plan import DIFFRACTION, parse_plan
from livestrain_daemon.scanfolder import (
    ResultsFile,
    ResultState,
    create_results,
    open_frames,
    open_results,
    provenance,
    revisions,
)
from livestrain_daemon.vector_map import vector_map
from livestrain_daemon.worker.calibrating import calibration_result
from livestrain_daemon.worker.carrying import carry_over
from livestrain_daemon.worker.corrections import load_corrections
from livestrain_daemon.worker.revision import OpenRevision
from livestrain_wire.messages import Run

OPEN_AT_MOST = 4
"""Revisions that a worker keeps open."""


@dataclass(frozen=True)
class Outcome:
    """What a task has led to, beside what is in the files."""

    spans: dict[str, float] = field(default_factory=dict)
    recycled: tuple[Run, ...] = ()
    result: dict[str, Any] = field(default_factory=dict)
    payload: bytes = b""


class Tasks:
    """Does tasks, and keeps open what the next one will probably need."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, int], OpenRevision] = OrderedDict()

    def run(self, task: Task, payload: bytes) -> Outcome:
        """The outcome of a task; whatever it raises is the task's failure."""
        match task:
            case AnalyseTask():
                return self._analyse(task)
            case PingTask():
                return Outcome()
            case PrepareTask():
                self._revision(task.folder, task.revision).prepare()
                return Outcome()
            case CalibrateTask():
                return Outcome(result=calibration_result(task, payload))
            case _:
                return ONCE[type(task)](task)

    def let_go(self) -> None:
        """Closes what is open of scans that were removed: their space is not free before."""
        for key in [key for key in self._open if not Path(key[0]).exists()]:
            self._open.pop(key).close()

    def close(self) -> None:
        """Closes what is open."""
        while self._open:
            self._open.popitem()[1].close()

    def _analyse(self, task: AnalyseTask) -> Outcome:
        revision = self._revision(task.folder, task.revision)
        if revision.results.layout.outputs[revision.results.layout.stages[task.stage][0]].per_block:
            gone, spans = revision.analyse_blocks(task.stage, task.runs)
        else:
            gone, spans = revision.analyse_positions(task.stage, task.runs)
        return Outcome(spans=spans.seconds, recycled=tuple(gone))

    def _revision(self, folder: str, number: int) -> OpenRevision:
        key = (folder, number)
        if key not in self._open:
            while len(self._open) >= OPEN_AT_MOST:
                self._open.popitem(last=False)[1].close()
            self._open[key] = OpenRevision(Path(folder), number)
        self._open.move_to_end(key)
        return self._open[key]


def _open_revision(task: OpenRevisionTask) -> Outcome:
    folder = Path(task.folder)
    plan = parse_plan(task.plan)
    layout = open_frames(folder)
    if plan.revision not in revisions(folder):
        corrections = load_corrections(folder, plan.corrections, layout.frame_shape)
        stages = stage_outputs(plan, corrections.kind(layout))
        create_results(folder, plan.revision, layout.scan_shape, stages, plan.model_dump(mode="json"), provenance())
        if task.carry_from is not None:
            carry_over(folder, task.carry_from, plan.revision, task.carry_stages)
    revision = OpenRevision(folder, plan.revision)
    try:
        revision.prepare()
    finally:
        revision.close()
    return Outcome()


def _median(task: MedianTask) -> Outcome:
    with ResultsFile(open_results(Path(task.folder), task.revision)) as results:
        rows, columns = results.layout.scan_shape
        g = np.stack([results.read(name, 0, rows * columns) for name in ("g1", "g2")], axis=1)
        states = results.ledger(DIFFRACTION)
    wanted = (states == ResultState.ANALYSED).reshape(rows, columns)
    if task.region is not None:
        first_row, first_column, last_row, last_column = task.region
        inside = np.zeros_like(wanted)
        inside[first_row:last_row, first_column:last_column] = True
        wanted &= inside
    chosen = g[wanted.ravel()]
    try:
        vectors = median_reference(chosen)
    except NoReference:
        return Outcome(result={"positions": 0})
    good = int(np.isfinite(chosen).all(axis=(1, 2)).sum())
    return Outcome(result={"positions": good, "vectors": vectors.ravel().tolist()})


def _add_blocks(task: PatternTask) -> Outcome:
    blocks = [block for first, count in task.blocks for block in range(first, first + count)]
    pattern: NDArray[Any] | None = None
    with ResultsFile(open_results(Path(task.folder), task.revision)) as results:
        for block in blocks:
            part = results.read_block(task.kind, block)
            if pattern is None:
                wide = np.float64 if part.dtype.kind == "f" else np.uint64
                pattern = part.astype(wide) if task.kind == "sum" else part
            elif task.kind == "sum":
                pattern += part
            else:
                np.maximum(pattern, part, out=pattern)
    if pattern is None:
        return Outcome(result={})
    return Outcome(result={"shape": list(pattern.shape), "dtype": pattern.dtype.name}, payload=pattern.tobytes())


def _map_vectors(task: VectorMapTask) -> Outcome:
    about, image = vector_map(Path(task.folder), task.revision, task.sampling, task.centred)
    return Outcome(
        result={**about.model_dump(mode="json"), "dtype": "float32"},
        payload=image.astype("<f4").tobytes(),
    )


def _sync(task: SyncTask) -> Outcome:
    with ResultsFile(open_results(Path(task.folder), task.revision)) as results:
        results.sync()
    return Outcome()


ONCE: dict[type[Task], Callable[[Any], Outcome]] = {
    OpenRevisionTask: _open_revision,
    MedianTask: _median,
    PatternTask: _add_blocks,
    VectorMapTask: _map_vectors,
    SyncTask: _sync,
}
"""Tasks that need nothing to be kept open."""
