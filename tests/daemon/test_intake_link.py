import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from helpers.hostile import broken_bytes, broken_versions
from helpers.waiting import wait_until
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake_link import MESSAGES_PER_TURN, IntakeLink
from livestrain_daemon.messages import IntakeReady, SetArmed, Stored
from livestrain_wire.codec import encode
from livestrain_wire.messages import Message


class Line:
    """The link, a process in the intake's place, and a socket that speaks for it."""

    def __init__(self, folder: Path) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        router = self.context.socket(zmq.ROUTER)
        router.bind(f"ipc://{folder}/intake")
        self.intake = self.context.socket(zmq.DEALER)
        self.intake.connect(f"ipc://{folder}/intake")
        self.processes: list[subprocess.Popen[bytes]] = []
        self.link = IntakeLink(router, self._start)

    def _start(self) -> subprocess.Popen[bytes]:
        self.processes.append(subprocess.Popen(["/bin/sleep", "600"]))
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
        self.context.destroy(linger=0)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    one = Line(tmp_path)
    yield one
    one.close()


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
