"""A pool with real workers, and an analysis to give it."""

from collections.abc import Callable
from pathlib import Path

import zmq

from daemon.small_scan import POSITIONS, bits, known_plan, lay_out
from helpers.waiting import wait_until
from livestrain_daemon.config import LogConfig, WorkersConfig
from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.dispatch.pool import WorkerPool
from livestrain_daemon.dispatch.revision import RevisionWork
from livestrain_daemon.messages import AnalyseTask
from livestrain_daemon.plan import DIFFRACTION
from livestrain_daemon.processes import spawn
from livestrain_daemon.scan.revision import Revision
from livestrain_daemon.scanfolder import FrameReader, ResultState, open_frames
from livestrain_wire.closing import MOMENT_MS
from livestrain_wire.messages import Run, WorkerStatus

TIMEOUT = 1.0


CONFIG = WorkersConfig(count=1, spares=1, timeout_seconds=TIMEOUT, attempts=2, largest_range=64, order="sequential")


class Room:
    """A pool with its socket, turned by hand."""

    def __init__(self, folder: Path) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.set(zmq.LINGER, MOMENT_MS)
        endpoint = f"ipc://{folder}/workers"
        self.socket.bind(endpoint)
        settings = {"main_endpoint": endpoint, "log": LogConfig(level="error").model_dump()}
        self.pool = WorkerPool(
            self.socket, CONFIG, lambda identity: spawn("livestrain_daemon.worker", {**settings, "identity": identity})
        )

    def turn(self, next_job: Callable[[], Job | None] = lambda: None) -> None:
        while self.socket.poll(0):
            self.pool.take(self.socket.recv_multipart())
        self.pool.maintain()
        self.pool.hand_out(next_job)

    def workers(self, state: str) -> list[WorkerStatus]:
        return [worker for worker in self.pool.status() if worker.state == state]

    def wait_for_all(self) -> None:
        """Until the active worker and the spare are ready and idle."""

        def ready() -> bool:
            self.turn()
            return len(self.workers("idle")) == CONFIG.count and len(self.workers("spare")) == CONFIG.spares

        wait_until(ready, 60, "a warm pool")

    def busy_pid(self) -> int:
        (busy,) = self.workers("busy")
        return busy.pid

    def close(self) -> None:
        self.pool.stop()
        self.pool.kill()
        self._context.destroy(linger=MOMENT_MS)


class Analysis:
    """A revision of a scan on its way through a room."""

    def __init__(self, folder: Path, number: int) -> None:
        lay_out(folder, known_plan(number))
        self.folder = folder
        self.number = number
        self.failed: list[tuple[str, list[Run], str]] = []
        self.told: list[Run] = []
        self.handed_out: list[tuple[Run, ...]] = []
        self.revision = Revision(folder, known_plan(number), CONFIG, self._analysed, self._failed)
        with FrameReader(open_frames(folder)) as reader:
            self.states = reader.ledger()
        self.revision.catch_up(self.states, closed=True)

    @property
    def work(self) -> RevisionWork:
        return self.revision.work

    def next_job(self) -> Job | None:
        job = self.work.next_job() if self.work.unfinished else None
        if job is not None:
            task = job.task(0)
            assert isinstance(task, AnalyseTask)
            self.handed_out.append(task.runs)
        return job

    def finish(self, room: Room) -> dict[str, bytes]:
        """Until everything has its final state; the bits of the results."""

        def done() -> bool:
            room.turn(self.next_job)
            counts = self.revision.counts(self.states)
            assert all(sum(stage.model_dump().values()) == POSITIONS for stage in counts.values())
            return self.work.unfinished == 0 and not room.pool.outstanding

        wait_until(done, 60, "the end of the work")
        assert (self.revision.positions_done.states() == ResultState.ANALYSED).all()
        self.revision.close()
        return bits(self.folder, self.number)

    def _analysed(self, stage: str, runs: list[Run]) -> None:
        if stage == DIFFRACTION:
            self.told += runs

    def _failed(self, stage: str, runs: list[Run], reason: str) -> None:
        self.failed.append((stage, runs, reason))
