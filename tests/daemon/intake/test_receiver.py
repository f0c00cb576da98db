from collections.abc import Iterator
from contextlib import contextmanager
from socket import create_connection
from threading import Event, Thread

import pytest
import zmq

from helpers.frames_out import FramesOut
from helpers.waiting import wait_until
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake import receiver
from livestrain_daemon.intake.detectors.events import Trouble
from livestrain_daemon.intake.receiver import Arrival, ArrivalQueue, bound_socket, receive
from livestrain_daemon.intake.unfinished import close
from livestrain_daemon.intake_config import IntakeConfig
from livestrain_daemon.messages import CloseScan
from livestrain_wire.errors import WireError
from livestrain_wire.messages import Frames, ScanEnd

Context = zmq.Context[zmq.Socket[bytes]]

END = ScanEnd(scan_id="s")
MORE_CONNECTIONS_THAN_ARE_KEPT = 1200
"""ZeroMQ keeps what it tells of a thousand."""


@contextmanager
def receiving(
    queue: ArrivalQueue, max_message_mib: int
) -> Iterator[tuple[ArrivalQueue, str, zmq.Context[zmq.Socket[bytes]]]]:
    """A socket whose messages come into a queue: that, its endpoint and its context."""
    stop = Event()
    context: Context = zmq.Context()
    socket = bound_socket(context, IntakeConfig(endpoint="tcp://127.0.0.1:*", max_message_mib=max_message_mib))
    endpoint = socket.get_string(zmq.LAST_ENDPOINT)
    thread = Thread(target=receive, args=(socket, queue, stop, max_message_mib << 20))
    thread.start()
    try:
        yield queue, endpoint, context
    finally:
        stop.set()
        queue.close()
        thread.join()
        context.term()


def fill(queue: ArrivalQueue, out: FramesOut) -> None:
    """A queue with room for one message has one, and the next one waits."""
    out.message(END)
    wait_until(lambda: len(queue) == 1)
    out.message(END)


def arrival(size: int, frames: int = 1) -> Arrival:
    return Arrival(END, None, size, frames)


def test_what_is_put_comes_out_in_order() -> None:
    queue = ArrivalQueue(100)
    queue.put([arrival(1), arrival(2)])
    queue.put_command(CloseScan())
    queue.put([arrival(3)])
    taken = queue.get(0)
    assert [item.size for item in taken] == [1, 2, 0, 3]
    assert isinstance(taken[2].message, CloseScan)
    assert queue.get(0) == []


def test_a_full_queue_holds_back_who_fills_it_until_what_was_taken_is_done_with() -> None:
    queue = ArrivalQueue(10)
    queue.put([arrival(10)])
    done = Event()

    def put_more() -> None:
        queue.put([arrival(1, frames=7)])
        done.set()

    waiting = Thread(target=put_more)
    waiting.start()
    assert [item.size for item in queue.get(0)] == [10]
    # taken, but not done with: the bytes are still held
    assert not done.wait(0.05)
    assert queue.frames == 1
    wait_until(lambda: [item.size for item in queue.get(0.01)] == [1])
    waiting.join()
    assert queue.frames == 7


def test_one_message_larger_than_the_queue_still_goes_through() -> None:
    queue = ArrivalQueue(10)
    queue.put([arrival(1000)])
    assert len(queue.get(0)) == 1


def test_a_closed_queue_lets_go_of_who_waits() -> None:
    queue = ArrivalQueue(1)
    queue.put([arrival(1)])
    waiting = Thread(target=lambda: queue.put([arrival(1)]))
    waiting.start()
    queue.close()
    waiting.join(10)
    assert not waiting.is_alive()
    assert len(queue) == 1


def test_messages_come_in_order_and_what_is_none_says_why() -> None:
    queue, stop = ArrivalQueue(1 << 20), Event()
    context: Context = zmq.Context()
    socket = bound_socket(context, IntakeConfig(endpoint="tcp://127.0.0.1:*", max_message_mib=1))
    endpoint = socket.get_string(zmq.LAST_ENDPOINT)
    receiving = Thread(target=receive, args=(socket, queue, stop, 1 << 20))
    receiving.start()
    found: list[Arrival] = []
    with FramesOut(endpoint) as out:
        header = Frames(scan_id="s", first_index=0, count=3, shape=(1, 2), dtype="uint8")
        out.message(header, b"123456")
        out.message(header)
        out.parts(b"junk")
        out.message(END)
        while len(found) < 4:
            found += wait_until(lambda: queue.get(0.01))
    stop.set()
    receiving.join()
    context.term()
    first, alone, junk, last = found
    assert (first.message, first.frames) == (header, 3)
    assert first.payload is not None
    assert first.payload.tobytes() == b"123456"
    assert str(alone.message) == "frames: expected 2 parts, found 1"
    assert isinstance(junk.message, WireError)
    assert last.message == END


def test_a_message_above_the_limit_is_told_and_those_of_its_sender_and_of_others_go_through() -> None:
    with (
        receiving(ArrivalQueue(1 << 24), max_message_mib=1) as (queue, endpoint, _),
        FramesOut(endpoint) as hostile,
        FramesOut(endpoint) as out,
    ):
        hostile.parts(bytes((1 << 20) + 1))
        found = list(wait_until(lambda: queue.get(0.01)))
        for sender in (hostile, out):
            sender.message(END)
            found += wait_until(lambda: queue.get(0.01))
    too_long, *others = (item.message for item in found)
    assert str(too_long) == "expected at most 1048576 bytes (intake.max_message_mib), found 1048577"
    assert others == [END, END]


def test_connections_that_come_and_go_while_the_queue_is_full_stop_nothing_else() -> None:
    with receiving(ArrivalQueue(1), max_message_mib=1) as (queue, endpoint, context):
        host, port = endpoint.removeprefix("tcp://").split(":")
        with context.socket(zmq.PULL) as other, FramesOut(endpoint) as out:
            fill(queue, out)
            for _ in range(MORE_CONNECTIONS_THAN_ARE_KEPT):
                create_connection((host, int(port)), 5).close()
            with FramesOut(f"tcp://127.0.0.1:{other.bind_to_random_port('tcp://127.0.0.1')}") as beside:
                beside.message(END)
                assert other.poll(5000), "the other sockets of its context stand still"
            assert len(queue) == 1


def test_who_waits_for_a_faster_sender_is_not_taken_for_one_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    # whether somebody is gets looked at as often as it can be
    monkeypatch.setattr(receiver, "POLL_MS", 0)
    with receiving(ArrivalQueue(1), max_message_mib=2) as (queue, endpoint, context), FramesOut(endpoint) as out:
        fill(queue, out)
        found: list[Arrival] = []
        with context.socket(zmq.PUSH) as fast, context.socket(zmq.PUSH) as slow:
            # what the first sends is being taken when the second comes
            for sender, taken in ((fast, 4), (slow, 2 + 2 * 50)):
                # when the last has been handed over, nearly all have come
                sender.set(zmq.SNDHWM, 1)
                sender.connect(endpoint)
                for _ in range(50):
                    sender.send_multipart([b"", bytes(2 << 20)])
                while len(found) < taken:
                    found += wait_until(lambda: queue.get(0.01))
    assert not [item.message for item in found if isinstance(item.message, Trouble)]


def test_an_address_that_is_taken_is_named() -> None:
    context: Context = zmq.Context()
    with context:
        socket = bound_socket(context, IntakeConfig(endpoint="tcp://127.0.0.1:*"))
        endpoint = socket.get_string(zmq.LAST_ENDPOINT)
        with pytest.raises(Unavailable, match=f"intake.endpoint: cannot bind {endpoint}"):
            bound_socket(context, IntakeConfig(endpoint=endpoint))
        close(socket)
