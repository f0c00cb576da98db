"""Requests that only look: status, a frame with what was found in it, a pattern, a chunk of a map."""

import math
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.control.socket import Answer, Refuse
from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.dispatch.pool import WorkerPool
from livestrain_daemon.messages import PatternTask, TaskDone, VectorMapTask
from livestrain_daemon.plan import REDUCTION
from livestrain_daemon.publish.feed import little_endian
from livestrain_daemon.scan.live import LiveScan
from livestrain_daemon.scan.revision import Revision
from livestrain_daemon.scan.scans import Scans
from livestrain_daemon.scan.surroundings import Surroundings
from livestrain_daemon.scan.values import read_maps
from livestrain_daemon.scanfolder import FrameState, ResultState, runs_of
from livestrain_daemon.vectors import vector_kind
from livestrain_wire.messages import (
    BraggVectorMapReply,
    BraggVectorMapRequest,
    DetectorStatus,
    FrameReply,
    FrameRequest,
    PatternReply,
    PatternRequest,
    StatusReply,
    StatusRequest,
    VectorMapInfo,
)

NO_PLAN = "the scan has no plan yet"
PATTERN_SECONDS = 60.0
"""Adding the blocks of a scan may take so long [s]."""
MOST_PIXELS = 1 << 22
"""No larger Bragg vector map is made."""


def status(request: StatusRequest, scans: Scans, pool: WorkerPool, around: Surroundings, armed: bool) -> StatusReply:
    """What is going on."""
    hand = scans.find(request.scan_id)
    announcer = hand.scan.announcer if hand else None
    return StatusReply(
        id=request.id,
        epoch=around.publisher.epoch,
        version=version("livestrain"),
        armed=armed,
        spool=str(around.config.spool.folder.absolute()),
        scan=announcer.started if announcer else None,
        progress=announcer.progress if announcer else None,
        plan=announcer.plan if announcer else None,
        reference=hand.scan.references.current if hand else None,
        ended=announcer.end if announcer and hand and hand.scan.final else None,
        workers=pool.status(),
        topics=around.publisher.sequences,
        stray_faults=scans.orphan_faults,
        last_refusal=scans.last_refusal,
        detector=None if scans.detector is None else DetectorStatus.model_validate(scans.detector.model_dump()),
    )


def frame(request: FrameRequest, scan: LiveScan, epoch: str, answer: Answer, refuse: Refuse) -> None:
    """One position's diffraction pattern and what was found in it."""
    rows, columns = scan.opened.start.scan_shape
    if request.row >= rows or request.column >= columns:
        refuse("bad_request", f"expected a position within {rows} x {columns}, found ({request.row}, {request.column})")
        return
    position = request.row * columns + request.column
    reader = scan.seen.reader
    pixels = reader.read(position, 1)[0]
    state = FrameState(int(reader.ledger(position, 1)[0]))
    if state is not FrameState.STORED:
        refuse("not_stored", f"the frame at ({request.row}, {request.column}) is {state.name.lower()}")
        return
    found = FrameReply(
        id=request.id,
        epoch=epoch,
        scan_id=scan.id,
        row=request.row,
        column=request.column,
        shape=scan.opened.start.frame_shape,
        dtype=pixels.dtype.name,
    )
    revision = scan.revision
    if revision is not None and revision.positions_done.states()[position] == ResultState.ANALYSED:
        found = found.model_copy(update=_findings(scan, revision, position))
    answer(found, pixels.astype(little_endian(pixels.dtype.name), copy=False).tobytes())


def pattern(request: PatternRequest, scan: LiveScan, around: Surroundings, answer: Answer, refuse: Refuse) -> None:
    """The summed or largest pattern of all finished blocks; a worker adds them."""
    revision = scan.revision
    stage = revision.work.stages.get(REDUCTION) if revision is not None else None
    if revision is None:
        refuse("not_stored", NO_PLAN)
        return
    if stage is None:
        refuse("no_such_map", "the plan sums no patterns")
        return
    blocks = tuple(runs_of(stage.states() == ResultState.ANALYSED))
    positions = revision.counts(scan.seen.states)[REDUCTION].analysed
    if not blocks:
        refuse("not_stored", "no block of positions is finished yet")
        return
    number = revision.plan.revision

    def task(serial: int) -> PatternTask:
        return PatternTask(number=serial, folder=str(scan.folder), revision=number, kind=request.kind, blocks=blocks)

    def done(found: TaskDone, payload: bytes) -> None:
        reply = PatternReply(
            id=request.id,
            epoch=around.publisher.epoch,
            scan_id=scan.id,
            kind=request.kind,
            shape=found.result["shape"],
            dtype=found.result["dtype"],
            positions=positions,
        )
        answer(reply, payload)

    lost = lambda reason, suspect: refuse("internal", reason)  # noqa: E731
    around.jobs.submit(Job(task=task, done=done, lost=lost, limit_seconds=PATTERN_SECONDS))


def bragg_vector_map(
    request: BraggVectorMapRequest, scan: LiveScan, around: Surroundings, answer: Answer, refuse: Refuse
) -> None:
    """The Bragg vector map of all analysed positions; a worker makes it."""
    revision = scan.revision
    rows, columns = scan.opened.start.frame_shape
    if revision is None:
        refuse("not_stored", NO_PLAN)
        return
    if vector_kind(revision.results.layout.outputs) is None:
        refuse("no_such_map", "the plan looks for no disks")
        return
    if rows * columns * request.sampling**2 > MOST_PIXELS:
        refuse("bad_request", f"expected at most {MOST_PIXELS} pixels, found {request.sampling}^2 x {rows} x {columns}")
        return
    number = revision.plan.revision

    def task(serial: int) -> VectorMapTask:
        return VectorMapTask(
            number=serial,
            folder=str(scan.folder),
            revision=number,
            sampling=request.sampling,
            centred=request.centred,
        )

    def done(found: TaskDone, payload: bytes) -> None:
        about = VectorMapInfo.model_validate(found.result)
        reply = BraggVectorMapReply(id=request.id, epoch=around.publisher.epoch, scan_id=scan.id, about=about)
        answer(reply, payload)

    lost = lambda reason, suspect: refuse("internal", reason)  # noqa: E731
    around.jobs.submit(Job(task=task, done=done, lost=lost, limit_seconds=PATTERN_SECONDS))


def _findings(scan: LiveScan, revision: Revision, position: int) -> dict[str, object]:
    names = [info.name for info in revision.maps]
    values = read_maps(names, revision.results, scan.references.current, position, 1)
    findings: dict[str, object] = {
        "revision": revision.plan.revision,
        "values": {name: _plain(value[0]) for name, value in values.items()},
    }
    if "disk_position" in revision.results.layout.outputs:
        where = revision.results.read("disk_position", position, 1)[0]
        intensity = revision.results.read("disk_intensity", position, 1)[0]
        good = np.isfinite(where).all(axis=1)
        findings["disks"] = tuple(
            (float(row), float(column), float(counts))
            for (row, column), counts in zip(where[good], intensity[good], strict=True)
        )
        lattice = np.concatenate([revision.results.read(name, position, 1)[0] for name in ("centre", "g1", "g2")])
        findings["lattice"] = tuple(lattice.tolist()) if np.isfinite(lattice).all() else None
    return findings


def _plain(value: NDArray[np.generic] | np.generic) -> list[float] | float | None:
    if np.ndim(value):
        return [float(item) for item in np.asarray(value).ravel()]
    number = float(np.asarray(value))
    return number if math.isfinite(number) else None
