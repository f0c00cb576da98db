"""A pool of one worker whose answers are given by hand."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace

import zmq

from daemon.dispatch.room import CONFIG
from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.dispatch.pool import WorkerPool
from livestrain_daemon.messages import PingTask, TaskDone, TaskFailed, WorkerReady
from livestrain_wire.closing import MOMENT_MS
from livestrain_wire.codec import encode
from livestrain_wire.messages import Message


class Puppet:
    """A pool of one worker whose answers are given by hand."""

    def __init__(self, command: Sequence[str] = ("/bin/sleep", "600"), timeout_seconds: float = 600.0) -> None:
        self._command = command
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._processes: list[subprocess.Popen[bytes]] = []
        config = CONFIG.model_copy(update={"spares": 0, "timeout_seconds": timeout_seconds})
        self.pool = WorkerPool(self._context.socket(zmq.ROUTER), config, self._start)
        self.lost: list[str] = []
        self.prepared = 0
        """Preparations that the worker was asked for."""
        self._number = 0
        self._begin()

    def _start(self, identity: str) -> subprocess.Popen[bytes]:
        self._identity = identity.encode()
        self._processes.append(subprocess.Popen(self._command))
        return self._processes[-1]

    def _begin(self) -> None:
        self.pool.maintain()
        self._say(WorkerReady(pid=1))

    def _say(self, message: Message) -> None:
        self.pool.take([self._identity, encode(message)])

    def _answer(self) -> None:
        self._number += 1
        self._say(TaskDone(number=self._number, seconds=0.0))

    def job(self, revision: int) -> Job:
        return Job(
            lambda number: PingTask(number=number, folder=""),
            lambda done, payload: None,
            lambda reason, suspect: self.lost.append(reason),
            60,
            prepare=("scan", revision),
        )

    def do(self, revision: int) -> None:
        """Hand out one job for this revision, and prepare and do it."""
        self.hand(self.job(revision))

    def hand(self, job: Job) -> None:
        """The same for a job."""
        jobs = [job]
        self.pool.hand_out(lambda: jobs.pop() if jobs else None)
        self.prepared += self.pool.outstanding == 2
        while self.pool.outstanding:
            self._answer()

    def offer(self, *jobs: Job) -> int:
        """Hand out these jobs; how many the worker took."""
        before = self.pool.outstanding
        left = list(jobs)
        self.pool.hand_out(lambda: left.pop(0) if left else None)
        return self.pool.outstanding - before

    def answer(self) -> None:
        """The worker has done its oldest job."""
        self._answer()

    def fail(self, revision: int) -> None:
        """Hand out one job for this revision; the preparation fails, and what follows, too."""
        jobs = [self.job(revision)]
        self.pool.hand_out(lambda: jobs.pop() if jobs else None)
        while self.pool.outstanding:
            self._number += 1
            self._say(TaskFailed(number=self._number, text="no"))

    def replace(self) -> None:
        """The worker dies, idle, and another takes its place."""
        self._processes[-1].kill()
        self._processes[-1].wait()
        self._begin()

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._context.destroy(linger=MOMENT_MS)


def without_preparation(puppet: Puppet, *, alone: bool = False) -> Job:
    """A job of a plan that is prepared already."""
    return replace(puppet.job(1), prepare=None, alone=alone)
