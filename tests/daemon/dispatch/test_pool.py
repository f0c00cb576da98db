"""Real worker processes on a real scan: what a death, a stop or a silence costs."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq

from daemon.small_scan import POSITIONS, bits, known_plan, lay_out, stored_scan
from helpers.waiting import wait_until
from livestrain_daemon.config import LogConfig, WorkersConfig
from livestrain_daemon.dispatch.held import PREPARED_KEPT
from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.dispatch.pool import CREDIT, DEATHS_AT_START, PREPARE_ATTEMPTS, WorkerPool
from livestrain_daemon.dispatch.revision import RevisionWork
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.messages import AnalyseTask, PingTask, Task, TaskDone, TaskFailed, WorkerReady
from livestrain_daemon.plan import DIFFRACTION, REDUCTION
from livestrain_daemon.processes import spawn
from livestrain_daemon.scan.revision import Revision
from livestrain_daemon.scanfolder import FrameReader, ResultState, open_frames
from livestrain_wire.codec import encode
from livestrain_wire.messages import Message, Run, WorkerStatus

TIMEOUT = 1.0
CONFIG = WorkersConfig(count=1, spares=1, timeout_seconds=TIMEOUT, attempts=2, largest_range=64, order="sequential")


class Room:
    """A pool with its socket, turned by hand."""

    def __init__(self, folder: Path) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.set(zmq.LINGER, 0)
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
        self._context.destroy(linger=0)


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


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    one = Room(tmp_path_factory.mktemp("room"))
    one.wait_for_all()
    yield one
    one.close()


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored_scan(tmp_path_factory.mktemp("scans") / "small").folder


@pytest.fixture(scope="module")
def undisturbed(room: Room, scan: Path) -> dict[str, bytes]:
    """The bits of an analysis in which nothing went wrong."""
    analysis = Analysis(scan, 1)
    found = analysis.finish(room)
    assert analysis.failed == []
    assert sorted(analysis.told) == sorted(set(analysis.told))
    assert sum(count for _, count in analysis.told) == POSITIONS
    return found


def stop(pid: int) -> None:
    """Stops a process, and sees to it that it stands."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, what="a stopped process")


def gone(pid: int) -> bool:
    """True when a process has ended and been reaped."""
    return not psutil.pid_exists(pid)


def test_nothing_is_lost_and_nothing_done_twice_when_nothing_goes_wrong(
    room: Room, undisturbed: dict[str, bytes]
) -> None:
    assert room.pool.deaths == 0
    assert room.pool.tasks_done > 3
    assert room.pool.busy_seconds > 0
    assert {"read", "virtual", "disks", "write", "patterns"} <= room.pool.span_seconds.keys()
    assert undisturbed["total"]


def test_a_worker_holds_no_more_than_its_credit(room: Room, scan: Path) -> None:
    room.wait_for_all()
    analysis = Analysis(scan, 2)
    room.pool.hand_out(lambda: None)
    before = room.pool.outstanding
    stop(room.workers("idle")[0].pid)
    for _ in range(5):
        room.pool.hand_out(analysis.next_job)
    pid = room.busy_pid()
    # the preparation goes before the first range
    assert (before, room.pool.outstanding) == (0, CREDIT)
    assert len(analysis.handed_out) == 1
    os.kill(pid, signal.SIGCONT)
    analysis.finish(room)
    assert analysis.failed == []


def test_a_killed_worker_costs_nothing_but_time(room: Room, scan: Path, undisturbed: dict[str, bytes]) -> None:
    room.wait_for_all()
    deaths, spare = room.pool.deaths, room.workers("spare")[0].pid
    analysis = Analysis(scan, 3)

    def some_done() -> bool:
        room.turn(analysis.next_job)
        return bool(analysis.told) and bool(room.workers("busy"))

    wait_until(some_done, what="an acknowledgement")
    victim = room.busy_pid()
    stop(victim)
    room.turn(analysis.next_job)
    assert room.pool.outstanding > 0
    held = analysis.handed_out[-room.pool.outstanding :]
    os.kill(victim, signal.SIGKILL)

    def buried() -> bool:
        # the last thread of a process may take a moment longer than its first
        room.turn(analysis.next_job)
        return gone(victim)

    wait_until(buried, what="its death")
    assert {worker.pid for worker in room.workers("busy")} <= {spare}
    assert analysis.finish(room) == undisturbed
    assert analysis.failed == []
    assert room.pool.deaths == deaths + 1
    assert all(analysis.handed_out.count(runs) >= 2 for runs in held)


def test_a_stopped_worker_is_killed_and_reaped_before_its_range_is_given_away(
    room: Room, scan: Path, undisturbed: dict[str, bytes]
) -> None:
    room.wait_for_all()
    deaths = room.pool.deaths
    analysis = Analysis(scan, 4)

    def some_done() -> bool:
        room.turn(analysis.next_job)
        return bool(analysis.told) and bool(room.workers("busy"))

    wait_until(some_done, what="an acknowledgement")
    victim = room.busy_pid()
    stop(victim)
    while room.socket.poll(0):
        room.pool.take(room.socket.recv_multipart())
    room.turn(analysis.next_job)
    held = analysis.handed_out[-room.pool.outstanding :]
    seen_alive = [0]

    def taken_over() -> bool:
        before = len(analysis.handed_out)
        room.turn(analysis.next_job)
        again = [runs for runs in analysis.handed_out[before:] if runs in held]
        assert not again or gone(victim)
        seen_alive[0] += not gone(victim)
        return bool(again)

    wait_until(taken_over, 5 * TIMEOUT + 5, "the range handed out again")
    assert seen_alive[0] > 0
    with pytest.raises(ProcessLookupError):
        os.kill(victim, signal.SIGCONT)
    assert analysis.finish(room) == undisturbed
    assert analysis.failed == []
    assert room.pool.deaths == deaths + 1


def test_a_worker_stopped_for_less_than_the_time_limit_lives_on(
    room: Room, scan: Path, undisturbed: dict[str, bytes]
) -> None:
    room.wait_for_all()
    deaths = room.pool.deaths
    analysis = Analysis(scan, 5)
    room.turn(analysis.next_job)
    pid = room.busy_pid()
    stop(pid)
    room.turn(analysis.next_job)
    os.kill(pid, signal.SIGCONT)
    assert analysis.finish(room) == undisturbed
    assert room.pool.deaths == deaths


def test_what_raises_in_a_worker_is_lost_with_its_reason_and_the_worker_lives(room: Room, scan: Path) -> None:
    room.wait_for_all()
    deaths = room.pool.deaths
    lost: list[tuple[str, bool]] = []

    def task(number: int) -> Task:
        return AnalyseTask(number=number, folder=str(scan), revision=1, stage="alchemy", runs=((0, 1),))

    jobs = [
        Job(task, lambda done, payload: None, lambda reason, suspect: lost.append((reason, suspect)), limit_seconds=30)
    ]

    def told() -> bool:
        room.turn(lambda: jobs.pop() if jobs else None)
        return bool(lost)

    wait_until(told, what="the failure")
    assert lost == [("KeyError: 'alchemy'", True)]
    assert room.pool.deaths == deaths


@pytest.mark.parametrize("parts", [[b""], [b"\xc1"], [b"\x80"], [b"junk" * 100, b"more"]])
def test_bytes_that_are_no_message_do_no_harm(room: Room, parts: list[bytes]) -> None:
    room.pool.take([b"worker-1", *parts])
    room.pool.take([b"worker-999", *parts])
    for worker in list(room.pool._workers):
        room.pool.take([worker, *parts])


def test_workers_that_never_get_ready_end_the_daemon() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    pool = WorkerPool(socket, CONFIG, lambda identity: subprocess.Popen(["/bin/false"]))

    def gives_up() -> str:
        try:
            pool.maintain()
        except Unavailable as error:
            return str(error)
        return ""

    reason = wait_until(gives_up, what="the end")
    assert f"{DEATHS_AT_START} workers in a row" in reason
    assert "exited with code 1" in reason
    pool.kill()
    context.destroy(linger=0)


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
        self._context.destroy(linger=0)


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    one = Puppet()
    yield one
    one.close()


def test_a_plan_that_can_never_be_prepared_is_given_up(puppet: Puppet) -> None:
    for _ in range(PREPARE_ATTEMPTS):
        puppet.fail(1)
    assert set(puppet.lost) == {"no"}
    puppet.fail(1)
    assert puppet.lost[-1] == "no worker could prepare the plan"


def broken(*_: object) -> None:
    raise KeyError("nobody has thought of it")


@pytest.mark.parametrize(
    "changes", [{"done": broken}, {"done": broken, "untaken": broken}, {"done": broken, "lost": broken}]
)
def test_an_answer_that_cannot_be_taken_ends_nothing_and_is_counted(puppet: Puppet, changes: dict[str, Any]) -> None:
    puppet.hand(replace(puppet.job(1), **changes))
    assert puppet.pool.internal_errors == len(changes)
    assert puppet.lost == (["KeyError: 'nobody has thought of it'"] if len(changes) == 1 else [])
    puppet.do(1)
    assert (puppet.pool.outstanding, puppet.pool.internal_errors) == (0, len(changes))


def test_an_answer_that_can_be_taken_is_no_internal_error(puppet: Puppet) -> None:
    puppet.do(1)
    assert (puppet.pool.internal_errors, puppet.lost) == (0, [])


@pytest.mark.parametrize("stopped", [True, False])
def test_a_worker_that_hangs_while_it_prepares_is_found_and_one_that_computes_is_not(stopped: bool) -> None:
    puppet = Puppet(["/bin/sh", "-c", "while :; do :; done"], timeout_seconds=0.5)
    try:
        (worker,) = puppet.pool._workers.values()
        if stopped:
            psutil.Process(worker.process.pid).suspend()
        assert puppet.offer(puppet.job(1)) == 2
        # the sign of life that was asked for before
        puppet.answer()
        patience = time.monotonic() + 1.5

        def over() -> bool:
            puppet.pool.maintain()
            return puppet.pool.deaths > 0 or time.monotonic() > patience

        wait_until(over, what="a death, or none")
        assert puppet.pool.deaths == stopped
        assert puppet.lost == (["the worker used no processor time for 0.5 s"] if stopped else [])
    finally:
        puppet.close()


def _plain(puppet: Puppet, *, alone: bool = False) -> Job:
    return replace(puppet.job(1), prepare=None, alone=alone)


def test_a_job_that_must_be_alone_waits_for_an_empty_worker_and_keeps_it(puppet: Puppet) -> None:
    assert puppet.offer(_plain(puppet), _plain(puppet, alone=True)) == 1
    assert puppet.offer(_plain(puppet)) == 0, "the one that waits comes first"
    puppet.answer()
    assert puppet.offer(_plain(puppet), _plain(puppet)) == 1
    (worker,) = puppet.pool._workers.values()
    assert [held.job.alone for held in worker.held] == [True]
    puppet.answer()
    assert puppet.offer(_plain(puppet), _plain(puppet)) == 2


def test_a_job_that_must_be_alone_comes_after_its_preparation_not_behind_it(puppet: Puppet) -> None:
    suspected: list[bool] = []
    job = replace(puppet.job(1), alone=True, lost=lambda reason, suspect: suspected.append(suspect))
    assert puppet.offer(job) == 1
    (worker,) = puppet.pool._workers.values()
    puppet.answer()
    assert puppet.offer(_plain(puppet)) == 1
    assert [held.job.alone for held in worker.held] == [True]
    # its worker dies without a word
    puppet.replace()
    puppet.pool.maintain()
    assert suspected == [True]
    assert puppet.pool._prepare_failures == {}


def test_a_job_that_must_be_alone_outlives_the_worker_that_it_waits_for(puppet: Puppet) -> None:
    assert puppet.offer(_plain(puppet), _plain(puppet, alone=True)) == 1
    puppet.replace()
    assert puppet.offer() == 1
    (worker,) = puppet.pool._workers.values()
    assert [held.job.alone for held in worker.held] == [True]


def test_jobs_that_need_not_be_alone_share_a_worker(puppet: Puppet) -> None:
    assert puppet.offer(_plain(puppet), _plain(puppet)) == 2


def test_only_failures_in_a_row_give_a_plan_up(puppet: Puppet) -> None:
    for _ in range(2 * PREPARE_ATTEMPTS):
        puppet.fail(1)
        puppet.do(1)
        puppet.replace()
    assert set(puppet.lost) == {"no"}
    assert puppet.prepared == 2 * PREPARE_ATTEMPTS


def test_revisions_in_use_are_prepared_once_and_old_ones_are_forgotten(puppet: Puppet) -> None:
    for revision in range(3 * PREPARED_KEPT):
        puppet.do(revision)
        puppet.do(0)
    assert puppet.prepared == 3 * PREPARED_KEPT
    (worker,) = puppet.pool._workers.values()
    assert len(worker.prepared) == PREPARED_KEPT
    puppet.do(1)
    assert puppet.prepared == 3 * PREPARED_KEPT + 1


def test_the_stages_of_a_revision_are_those_of_its_plan(scan: Path) -> None:
    assert set(Analysis(scan, 6).work.stages) == {DIFFRACTION, REDUCTION}
