import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq

from helpers.hostile import broken_bytes, broken_versions
from helpers.waiting import wait_until
from livestrain_daemon.errors import StorageError, Unavailable
from livestrain_daemon.intake_link import MESSAGES_PER_TURN, IntakeLink
from livestrain_daemon.messages import IntakeFailed, IntakeReady, SetArmed, Stored
from livestrain_wire.closing import MOMENT_MS
from livestrain_wire.codec import encode
from livestrain_wire.messages import Message


class Line:
    """The link, a process in the intake's place, and a socket that speaks for it."""

    def __init__(self, folder: Path, command: str = "exec sleep 600", start_seconds: float = 60) -> None:
        self._command = command
        self.refusals = 0
        """So many starts fail."""
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        router = self.context.socket(zmq.ROUTER)
        router.bind(f"ipc://{folder}/intake")
        self.intake = self.context.socket(zmq.DEALER)
        self.intake.connect(f"ipc://{folder}/intake")
        self.processes: list[subprocess.Popen[bytes]] = []
        self.link = IntakeLink(router, self._start, start_seconds)

    def _start(self) -> subprocess.Popen[bytes]:
        if self.refusals:
            self.refusals -= 1
            raise BlockingIOError("no more processes")
        self.processes.append(subprocess.Popen(["/bin/sh", "-c", self._command], stdout=subprocess.DEVNULL))
        return self.processes[-1]

    def take(self, count: int) -> list[Message]:
        """So many messages."""
        found: list[Message] = []

        def enough() -> bool:
            found.extend(self.link.messages())
            return len(found) >= count

        wait_until(enough, what="the messages")
        return found

    def greet(self) -> None:
        """The intake is ready."""
        self.intake.send(encode(IntakeReady(pid=1, endpoint="tcp://127.0.0.1:1")))
        self.take(1)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.context.destroy(linger=MOMENT_MS)


@pytest.fixture
def new_line(tmp_path: Path) -> Iterator[Callable[..., Line]]:
    made: list[Line] = []

    def make(*arguments: Any, **named: Any) -> Line:
        made.append(Line(tmp_path, *arguments, **named))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def line(new_line: Callable[..., Line]) -> Line:
    return new_line()


def stored(first: int) -> bytes:
    return encode(Stored(scan_id="s", runs=((first, 1),)))


def test_the_intake_is_ready_when_it_says_so(line: Line) -> None:
    assert not line.link.ready
    line.greet()
    assert line.link.ready


def test_commands_reach_a_ready_intake_and_none_before(line: Line) -> None:
    line.link.send(SetArmed(armed=False))
    line.greet()
    line.link.send(SetArmed(armed=True))
    assert line.intake.poll(5000)
    assert line.intake.recv() == encode(SetArmed(armed=True))
    assert not line.intake.poll(0)


def test_bytes_that_are_no_message_are_passed_over(line: Line) -> None:
    for _, packed in (*broken_bytes(random_count=10), *broken_versions()):
        line.intake.send(packed)
    line.intake.send_multipart([b"several", b"parts", b"at once"])
    line.intake.send(stored(7))
    assert line.take(1) == [Stored(scan_id="s", runs=((7, 1),))]


def test_a_turn_takes_only_so_many_messages_and_keeps_their_order(line: Line) -> None:
    count = 2 * MESSAGES_PER_TURN + 50
    for first in range(count):
        line.intake.send(stored(first))
    found: list[int] = []

    def all_taken() -> bool:
        turn = [message.runs[0][0] for message in line.link.messages() if isinstance(message, Stored)]
        assert len(turn) <= MESSAGES_PER_TURN
        found.extend(turn)
        return len(found) == count

    wait_until(all_taken, what="all messages")
    assert found == list(range(count))


def test_an_intake_that_ends_is_started_again(line: Line) -> None:
    line.greet()
    line.link.maintain()
    assert len(line.processes) == 1
    line.processes[0].kill()
    wait_until(lambda: line.link.maintain() or line.link.restarts, what="the restart")  # type: ignore[func-returns-value]
    assert len(line.processes) == 2
    assert not line.link.ready
    line.greet()
    assert line.link.ready


def test_an_intake_that_ends_before_it_is_ready_ends_the_daemon(line: Line) -> None:
    line.processes[0].kill()
    line.processes[0].wait()
    with pytest.raises(Unavailable, match="could not start: it was ended by SIGKILL"):
        line.link.maintain()


@pytest.mark.parametrize(("code", "kind"), [(74, StorageError), (69, Unavailable), (1, Unavailable)])
def test_an_intake_without_storage_is_told_apart(
    new_line: Callable[..., Line], code: int, kind: type[Exception]
) -> None:
    line = new_line(f"exit {code}")
    line.processes[0].wait()
    with pytest.raises(kind, match=f"could not start: it exited with code {code}"):
        line.link.maintain()


@pytest.mark.parametrize(("storage", "kind"), [(True, StorageError), (False, Unavailable)])
def test_the_reason_of_an_intake_that_cannot_start_is_that_of_the_daemon(
    line: Line, storage: bool, kind: type[Exception]
) -> None:
    line.intake.send(encode(IntakeFailed(reason="no room", storage=storage)))
    line.processes[0].kill()
    line.processes[0].wait()
    with pytest.raises(kind, match=r"^the intake could not start: no room$"):
        line.link.maintain()


def test_a_detector_that_can_never_work_ends_the_daemon_unless_it_ends_anyway(line: Line) -> None:
    line.greet()
    line.intake.send(encode(IntakeFailed(reason="there is no such host")))
    with pytest.raises(Unavailable, match=r"^there is no such host$"):
        line.take(1)
    line.link.expect_exit()
    line.intake.send(encode(IntakeFailed(reason="there is no such host")))
    line.take(1)


def test_an_intake_that_cannot_start_again_is_tried_once_more(line: Line) -> None:
    line.greet()
    line.processes[0].kill()
    wait_until(lambda: line.link.maintain() or line.link.restarts, what="the restart")  # type: ignore[func-returns-value]
    line.intake.send(encode(IntakeFailed(reason="the port is taken")))
    line.take(1)
    line.processes[1].kill()
    wait_until(lambda: line.link.maintain() or line.link.restarts > 1, what="the restart")  # type: ignore[func-returns-value]


def test_an_intake_that_cannot_have_heard_that_it_shall_end_is_not_waited_for(line: Line) -> None:
    before = time.monotonic()
    line.link.kill(600)
    assert line.processes[0].returncode == -9
    assert time.monotonic() - before < 60


def test_an_intake_that_is_ready_may_end_by_itself(new_line: Callable[..., Line]) -> None:
    line = new_line("sleep 0.2; exit 7")
    line.greet()
    line.link.kill(600)
    assert line.processes[0].returncode == 7


def test_an_intake_that_hangs_at_its_start_ends_the_daemon(new_line: Callable[..., Line]) -> None:
    line = new_line(start_seconds=0.2)
    with pytest.raises(Unavailable, match=r"it was not ready and did nothing for 0\.2 s"):
        wait_until(line.link.maintain, what="the end")
    assert line.link.ended


def test_an_intake_that_takes_long_to_make_its_ring_does_not_hang(new_line: Callable[..., Line]) -> None:
    line = new_line("while :; do echo; done", start_seconds=0.2)
    spent = psutil.Process(line.processes[0].pid).cpu_times

    def worked_for_long() -> bool:
        line.link.maintain()
        return bool(spent().user + spent().system > 0.6)

    wait_until(worked_for_long, what="some work")
    assert not line.link.ended


def test_a_ready_intake_may_be_idle(new_line: Callable[..., Line]) -> None:
    line = new_line(start_seconds=0)
    line.greet()
    for _ in range(3):
        line.link.maintain()
    assert not line.link.ended


def die_and_wait(line: Line) -> float:
    """The intake dies; how long it takes until there is another [s]."""
    line.processes[-1].kill()
    line.processes[-1].wait()
    started, count = time.monotonic(), len(line.processes)

    def another() -> bool:
        line.link.maintain()
        return len(line.processes) > count

    wait_until(another, what="the restart")
    return time.monotonic() - started


def test_an_intake_that_keeps_ending_is_started_ever_more_seldom_and_never_given_up(line: Line) -> None:
    line.greet()
    waits = [die_and_wait(line) for _ in range(4)]
    for wait, expected in zip(waits, (0.2, 0.4, 0.8, 1.6), strict=True):
        assert expected - 0.01 <= wait < expected + 2
    assert line.link.restarts == 4
    assert not line.link.ready
    line.greet()
    assert line.link.ready


def test_an_intake_that_hangs_when_it_is_started_again_is_replaced(new_line: Callable[..., Line]) -> None:
    line = new_line(start_seconds=0.2)
    line.greet()
    line.processes[0].kill()

    def replaced_twice() -> bool:
        line.link.maintain()
        return len(line.processes) == 3

    wait_until(replaced_twice, what="the second restart")
    assert line.processes[1].returncode == -9


def test_an_intake_that_cannot_be_started_again_at_once_is_tried_again(line: Line) -> None:
    line.greet()
    line.refusals = 2
    assert die_and_wait(line) >= 0.2 + 0.4 + 0.8 - 0.01
    assert line.refusals == 0


def test_what_an_intake_said_before_it_died_makes_no_new_one_ready(line: Line) -> None:
    line.greet()
    line.processes[0].kill()
    line.processes[0].wait()
    line.link.maintain()
    line.greet()
    assert not line.link.ready


def test_an_end_that_is_expected_is_no_accident(line: Line) -> None:
    line.greet()
    line.link.expect_exit()
    assert not line.link.ended
    line.processes[0].kill()
    wait_until(lambda: line.link.ended, what="the end")
    line.link.maintain()
    assert (line.link.restarts, len(line.processes)) == (0, 1)


def test_an_intake_that_does_not_end_is_killed(line: Line) -> None:
    line.link.kill(seconds=0.05)
    assert line.link.ended
