"""Work given to real workers that die, hang, raise and say nonsense."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import zmq

from daemon.dispatch.room import CONFIG, TIMEOUT, Analysis, Room
from daemon.small_scan import POSITIONS, stored_scan
from helpers.waiting import wait_until
from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.dispatch.pool import CREDIT, DEATHS_AT_START, WorkerPool
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.messages import AnalyseTask, Task
from livestrain_daemon.plan import DIFFRACTION, REDUCTION
from livestrain_wire.closing import MOMENT_MS


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
    context.destroy(linger=MOMENT_MS)


def test_the_stages_of_a_revision_are_those_of_its_plan(scan: Path) -> None:
    assert set(Analysis(scan, 6).work.stages) == {DIFFRACTION, REDUCTION}
