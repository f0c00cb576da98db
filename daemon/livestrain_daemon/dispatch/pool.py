"""The worker processes: credit, acknowledgement, time-out, kill and reap, replacement."""

import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Literal

import structlog
import zmq

from livestrain_daemon.config import WorkersConfig
from livestrain_daemon.dispatch.held import HeldJob, WorkerProcess, ping
from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.messages import FROM_WORKER, PrepareTask, StopWorker, TaskDone, TaskFailed, WorkerReady
from livestrain_daemon.processes import how_it_ended
from livestrain_wire.codec import decode, encode
from livestrain_wire.errors import WireError
from livestrain_wire.messages import Message, WorkerStatus

log = structlog.get_logger()

CREDIT = 2
"""Tasks that a worker holds at most: one at work, one so that it need not wait."""
START_SECONDS = 600.0
"""A worker that has not imported and compiled what it needs by then, at its start or for a plan, is hung [s]."""
PREPARE_ATTEMPTS = 3
"""A plan that could not be prepared so many times in a row is given up: its ranges fail."""
PING_SECONDS = 1.0
"""A worker without a task is asked for a sign of life so often [s]."""
DEATHS_AT_START = 5
"""So many workers in a row that end before they are ready, and the daemon gives up."""


class WorkerPool:
    """
    Workers and what they hold.

    Parameters
    ----------
    socket
        ROUTER that the workers connect to.
    config
        How many, and how long they may take.
    start
        Starts a worker process that will use the given identity.
    """

    def __init__(
        self, socket: "zmq.Socket[bytes]", config: WorkersConfig, start: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        self._socket = socket
        self._config = config
        self._start = start
        self._workers: dict[bytes, WorkerProcess] = {}
        self._serial = 0
        self._task_number = 0
        self._deaths_at_start = 0
        self._stopping = False
        self._prepare_failures: dict[tuple[str, int], int] = {}
        self._alone: Job | None = None
        """The next job, when it must have a worker for itself and none is free."""
        self.deaths = 0
        """Workers that ended or were killed unasked, since the start."""
        self.tasks_done = 0
        self.internal_errors = 0
        """Answers and losses of tasks that were not taken as they should be, each a defect, since the start."""
        self.busy_seconds = 0.0
        """Time that workers spent on tasks, all together [s]."""
        self.span_seconds: dict[str, float] = {}
        """The same by part of the work [s]."""

    @property
    def warm(self) -> bool:
        """As many workers as configured have imported and compiled."""
        return sum(worker.ready for worker in self._workers.values()) >= self._config.count

    @property
    def outstanding(self) -> int:
        """Tasks that workers hold, signs of life aside."""
        return sum(held.job.is_work for worker in self._workers.values() for held in worker.held)

    def status(self) -> tuple[WorkerStatus, ...]:
        """Every worker process."""
        return tuple(WorkerStatus(pid=w.process.pid, state=self._state(w)) for w in self._workers.values())

    def maintain(self) -> None:
        """Starts what is missing, dooms what hangs, buries what has ended; called every few milliseconds."""
        now = time.monotonic()
        for worker in list(self._workers.values()):
            if worker.process.poll() is not None:
                self._bury(worker)
            elif not worker.doomed:
                self._doom_if_hung(worker, now)
                self._ping_if_idle(worker, now)
        wanted = 0 if self._stopping else self._config.count + self._config.spares
        while len(self._workers) < wanted:
            self._launch(now)

    def hand_out(self, next_job: Callable[[], Job | None]) -> None:
        """Gives jobs to workers until these have no credit left or there are no more jobs."""
        for worker in self._with_credit():
            if self._alone is not None and worker.held:
                return  # others wait too, so that a worker becomes free for it
            job, self._alone = self._alone or next_job(), None
            if job is None:
                return
            if job.alone and worker.held:
                self._alone = job
                return
            self._give(worker, job)

    def take(self, parts: list[bytes]) -> None:
        """A message from a worker, its identity first."""
        identity, packed, *payload = parts
        worker = self._workers.get(identity)
        if worker is None:
            return  # from the grave: its range has been given away and will be done again
        try:
            message: Message = decode(packed, FROM_WORKER)
        except WireError as error:  # its task will run into its time limit
            log.error("could not read a worker's message", pid=worker.process.pid, error=str(error))
            return
        if isinstance(message, WorkerReady):
            worker.ready = True
            self._deaths_at_start = 0
        elif isinstance(message, TaskDone):
            self._acknowledged(worker, message, payload[0] if payload else b"")
        elif isinstance(message, TaskFailed):
            held = self._release(worker, message.number)
            if held is not None:
                self._lose(held.job, message.text, True)

    def stop(self) -> None:
        """Asks all workers to exit after what they have acknowledged; one that is not ready yet has nothing to lose."""
        self._stopping = True
        for worker in self._workers.values():
            if worker.ready:
                self._send(worker, StopWorker())
            else:
                worker.process.kill()

    def kill(self, seconds: float = 5.0) -> None:
        """Ends what has not exited by itself after a while, and reaps all."""
        deadline = time.monotonic() + seconds
        for worker in self._workers.values():
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        self._workers.clear()

    def _state(self, worker: WorkerProcess) -> Literal["starting", "idle", "busy", "spare"]:
        if not worker.ready:
            return "starting"
        if any(held.job.is_work for held in worker.held):
            return "busy"
        return "idle" if worker in self._active() else "spare"

    def _active(self) -> list[WorkerProcess]:
        ready = [worker for worker in self._workers.values() if worker.ready and not worker.doomed]
        return ready[: self._config.count]

    def _with_credit(self) -> Iterator[WorkerProcess]:
        for level in range(CREDIT):
            for worker in self._active():
                if len(worker.held) == level and not any(held.job.alone for held in worker.held):
                    yield worker

    def _launch(self, now: float) -> None:
        self._serial += 1
        identity = f"worker-{self._serial}"
        try:
            process = self._start(identity)
        except OSError as error:
            raise Unavailable(f"no worker could be started: {error}") from error
        self._workers[identity.encode()] = WorkerProcess(process, identity.encode(), started=now)

    def _give(self, worker: WorkerProcess, job: Job) -> None:
        if job.prepare is not None:
            if job.prepare not in worker.prepared:
                if self._prepare_failures.get(job.prepare, 0) >= PREPARE_ATTEMPTS:
                    self._lose(job, "no worker could prepare the plan", True)
                    return
                self._prepare(worker, job.prepare)
                if job.alone:
                    # not behind the preparation either, whose acknowledgement could die with the worker
                    worker.uses(job.prepare)
                    self._alone = job
                    return
            worker.uses(job.prepare)
        if job.limit_seconds > self._config.timeout_seconds and not worker.held:
            # a task that may take long must not hide a worker that hangs already
            self._ping(worker)
        self._task_number += 1
        worker.last_given = time.monotonic()
        held = HeldJob(job, self._task_number)
        if not worker.held:
            held.started = worker.last_given
        worker.held.append(held)
        self._send(worker, job.task(held.number), job.payload)

    def _prepare(self, worker: WorkerProcess, what: tuple[str, int]) -> None:
        folder, revision = what

        def done(done: TaskDone, payload: bytes) -> None:
            self._prepare_failures.pop(what, None)

        def lost(reason: str, suspect: bool) -> None:
            worker.prepared.pop(what, None)
            if suspect:
                self._prepare_failures[what] = self._prepare_failures.get(what, 0) + 1

        job = Job(
            task=lambda number: PrepareTask(number=number, folder=folder, revision=revision),
            done=done,
            lost=lost,
            limit_seconds=START_SECONDS,
            computes=True,
        )
        self._give(worker, job)

    def _ping_if_idle(self, worker: WorkerProcess, now: float) -> None:
        if worker.ready and not worker.doomed and not worker.held and now - worker.last_given >= PING_SECONDS:
            self._ping(worker)

    def _ping(self, worker: WorkerProcess) -> None:
        self._give(worker, ping(self._config.timeout_seconds))

    def _send(self, worker: WorkerProcess, message: Message, payload: bytes = b"") -> None:
        parts = [worker.identity, encode(message), *([payload] if payload else [])]
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.ZMQError as error:  # its connection has gone: it is dead, or will be found hung
            log.debug("could not reach a worker", pid=worker.process.pid, error=str(error))

    def _acknowledged(self, worker: WorkerProcess, done: TaskDone, payload: bytes) -> None:
        held = self._release(worker, done.number)
        if held is None:
            return
        self.tasks_done += 1
        self.busy_seconds += done.seconds
        for part, seconds in done.spans.items():
            self.span_seconds[part] = self.span_seconds.get(part, 0.0) + seconds
        try:
            held.job.done(done, payload)
        except Exception as error:  # a defect in taking one answer must not end the scan
            self._note_defect("the answer to a task could not be taken")
            self._untaken(held.job, f"{type(error).__name__}: {error!s:.300}")

    def _untaken(self, job: Job, reason: str) -> None:
        if job.untaken is None:
            self._lose(job, reason, True)
            return
        try:
            job.untaken(reason)
        except Exception:  # the same
            self._note_defect("a task whose answer could not be taken was not given up")

    def _lose(self, job: Job, reason: str, suspect: bool) -> None:
        try:
            job.lost(reason, suspect)
        except Exception:  # the same
            self._note_defect("the loss of a task could not be taken")

    def _note_defect(self, what: str) -> None:
        self.internal_errors += 1
        log.error(what, trace=traceback.format_exc(limit=-4))

    def _release(self, worker: WorkerProcess, number: int) -> HeldJob | None:
        if worker.doomed or not worker.held or worker.held[0].number != number:
            return None
        held = worker.held.popleft()
        if worker.held:
            worker.held[0].started = time.monotonic()
        return held

    def _doom_if_hung(self, worker: WorkerProcess, now: float) -> None:
        if not worker.ready:
            if now - worker.started > START_SECONDS:
                self._doom(worker, f"was not ready after {START_SECONDS:g} s")
        elif worker.held:
            job, patience = worker.held[0].job, self._config.timeout_seconds
            if now - worker.held[0].started > job.limit_seconds:
                self._doom(worker, f"did not finish a task within {job.limit_seconds:g} s")
            elif job.computes and worker.idle_seconds(now) > patience:
                self._doom(worker, f"used no processor time for {patience:g} s")

    def _doom(self, worker: WorkerProcess, why: str) -> None:
        worker.doomed = why
        worker.process.kill()

    def _bury(self, worker: WorkerProcess) -> None:
        del self._workers[worker.identity]
        why = worker.doomed or how_it_ended(worker.process.returncode)
        if self._stopping and not worker.held:
            return
        self.deaths += 1
        log.warning("a worker ended", pid=worker.process.pid, why=why, tasks=len(worker.held))
        if not worker.ready:
            self._deaths_at_start += 1
            if self._deaths_at_start >= DEATHS_AT_START:
                raise Unavailable(
                    f"{DEATHS_AT_START} workers in a row ended before they were ready; the last one {why}"
                )
        for place, held in enumerate(worker.held):
            self._lose(held.job, f"the worker {why}", place == 0)
