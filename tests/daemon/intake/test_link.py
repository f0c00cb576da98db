from threading import Event, Thread
from uuid import uuid4

import zmq

from helpers.waiting import wait_until
from livestrain_daemon.intake.link import LARGEST_BACKLOG, Outbox, converse
from livestrain_daemon.messages import FROM_INTAKE, CloseScan, ScanClosed, Stored
from livestrain_wire.closing import MOMENT_MS
from livestrain_wire.codec import decode, encode
from livestrain_wire.messages import Message

CLOSED = ScanClosed(scan_id="s", reason="complete", stored=1, missing=0, faults={})


def hint(first: int) -> Stored:
    return Stored(scan_id="s", runs=((first, 1),))


def pair(high_water_mark: int) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    main, intake = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    for socket in (main, intake):
        socket.set(zmq.LINGER, MOMENT_MS)
        socket.set(zmq.SNDHWM, high_water_mark)
        socket.set(zmq.RCVHWM, high_water_mark)
    endpoint = f"inproc://link-{uuid4()}"
    main.bind(endpoint)
    intake.connect(endpoint)
    return main, intake


def received(main: zmq.Socket[bytes], into: list[Message]) -> list[Message]:
    while main.poll(0):
        into.append(decode(main.recv_multipart()[1], FROM_INTAKE))
    return into


def test_hints_are_dropped_while_main_is_busy_and_the_rest_is_kept() -> None:
    main, intake = pair(high_water_mark=4)
    outbox = Outbox()
    with main, intake:
        for first in range(100):
            outbox.put(hint(first))
        outbox.put(CLOSED)
        outbox.put(hint(100))
        assert not outbox.send(intake)
        found: list[Message] = []
        wait_until(lambda: outbox.send(intake) if received(main, found) is not None else False)
        received(main, found)
    assert found[0] == hint(0)
    assert 4 <= found.index(CLOSED) < 100
    assert found[-1] == hint(100)


def test_no_hint_is_dropped_while_main_listens() -> None:
    main, intake = pair(high_water_mark=1000)
    outbox = Outbox()
    messages = [*(hint(first) for first in range(100)), CLOSED]
    with main, intake:
        for message in messages:
            outbox.put(message)
        assert outbox.send(intake)
        assert received(main, []) == messages


def test_the_backlog_of_hints_is_bounded() -> None:
    main, intake = pair(high_water_mark=2 * LARGEST_BACKLOG)
    outbox = Outbox()
    with main, intake:
        for first in range(LARGEST_BACKLOG + 5):
            outbox.put(hint(first))
        outbox.put(CLOSED)
        assert outbox.send(intake)
        assert len(received(main, [])) == LARGEST_BACKLOG + 1


def test_commands_come_in_and_junk_from_main_is_left_out() -> None:
    main, intake = pair(high_water_mark=100)
    outbox, ended = Outbox(), Event()
    commands: list[Message] = []
    with main, intake:
        outbox.put(CLOSED)
        talking = Thread(target=converse, args=(intake, outbox, commands.append, ended))
        talking.start()
        assert main.poll(10_000)
        peer, _ = main.recv_multipart()
        main.send_multipart([peer, b"junk"])
        main.send_multipart([peer, encode(CloseScan())])
        wait_until(lambda: commands)
        outbox.put(CLOSED)
        ended.set()
        outbox.ring()
        talking.join(10)
        assert not talking.is_alive()
        assert received(main, []) == [CLOSED]
    assert commands == [CloseScan()]
