"""What a worker can be asked to do."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.calibrate import Calibration, calibrate
from livestrain_core.errors import NoProbe, NoReference
from livestrain_core.strain import median_reference
from livestrain_daemon.analyses import FrameKind, stage_outputs
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
from livestrain_daemon.plan import DIFFRACTION, parse_plan, pixels_outside, unusable_runs
from livestrain_daemon.scanfolder import (
    FrameLayout,
    FrameReader,
    FrameState,
    ResultsFile,
    ResultState,
    create_results,
    open_frames,
    open_results,
    provenance,
    revisions,
)
from livestrain_daemon.vectors import vector_map
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
                return _calibrate(task, payload)
            case _:
                return ONCE[type(task)](task)

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
        stages = stage_outputs(plan, FrameKind(layout.frame_shape, layout.dtype, layout.scan_shape))
        create_results(folder, plan.revision, layout.scan_shape, stages, plan.model_dump(mode="json"), provenance())
    revision = OpenRevision(folder, plan.revision)
    try:
        revision.prepare()
    finally:
        revision.close()
    return Outcome()


def _calibrate(task: CalibrateTask, payload: bytes) -> Outcome:
    layout = open_frames(Path(task.folder))
    positions, frames = _stored_frames(layout, task.positions)
    if not positions:
        return Outcome(result={"reason": f"none of the {len(task.positions)} positions asked for is stored"})
    probe: NDArray[np.float32] | None = None
    if task.probe_shape is not None:
        probe = np.frombuffer(payload, dtype="<f4").reshape(task.probe_shape)
    usable = pixels_outside(task.unusable, layout.frame_shape)
    try:
        found = calibrate(frames, usable if task.unusable else None, probe)
    except NoProbe as error:
        return Outcome(result={"reason": str(error)})
    return Outcome(result={"calibration": _as_fields(found, positions, probe is not None, layout.frame_shape)})


def _as_fields(
    found: Calibration, positions: list[int], vacuum_probe: bool, frame_shape: tuple[int, int]
) -> dict[str, Any]:
    """A calibration as the plan holds it."""
    lattice = found.lattice
    fields: dict[str, Any] = {
        "positions": positions,
        "vacuum_probe": vacuum_probe,
        "centre": list(lattice.centre if lattice else found.centre),
        "radius_px": found.probe.radius_px,
        "edge_px": found.probe.edge_px,
        "reason": found.reason,
        "broken": unusable_runs(_without(found.broken, frame_shape)),
    }
    if lattice:
        fields |= {
            "g1": list(lattice.g1),
            "g2": list(lattice.g2),
            "hk": found.hk.tolist(),
            "search_px": found.search_px,
            "residual_px": found.residual_px,
        }
    return fields


def _without(pixels: NDArray[np.int64], frame_shape: tuple[int, int]) -> NDArray[np.bool_]:
    kept = np.ones(frame_shape, dtype=np.bool_)
    kept[pixels[:, 0], pixels[:, 1]] = False
    return kept


def _stored_frames(layout: FrameLayout, wanted: tuple[int, ...]) -> tuple[list[int], NDArray[Any]]:
    """Those of the positions that are stored, and their frames; what goes from a ring meanwhile is left out."""
    with FrameReader(layout) as reader:
        stored = reader.ledger() == FrameState.STORED
        positions = np.array([position for position in wanted if position < layout.positions], dtype=np.int64)
        positions = positions[stored[positions]]
        frames = np.empty((len(positions), *layout.frame_shape), layout.dtype)
        for place, position in enumerate(positions.tolist()):
            reader.read(position, 1, frames[place : place + 1])
        still = reader.ledger()[positions] == FrameState.STORED
    return positions[still].tolist(), frames[still]


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
        result={**about.model_dump(mode="json"), "dtype": task.dtype},
        payload=image.astype(np.dtype(task.dtype).newbyteorder("<")).tobytes(),
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
