"""The connection to a detector: who is there, who else listens, and what comes that is no message."""

from contextlib import closing
from threading import Event

import numpy as np
import pytest
import zmq

from helpers.dectris import Taken, emulated, noise, rest_of, source_of, take
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.dectris.source import Dectris, DectrisSettings
from livestrain_daemon.intake.detectors.events import Connection, Trouble
from livestrain_wire.closing import MOMENT_MS

FORMS = ("legacy", "cbor")
FRAMES = 6


def test_a_second_client_is_noticed() -> None:
    frames = noise(40, 8, 8)
    with (
        emulated(frames, images_per_second=500) as server,
        zmq.Context() as context,
        context.socket(zmq.PULL) as other,
    ):
        other.connect(f"tcp://127.0.0.1:{server.emulator.outlet.port('cbor')}")
        other.poll(200)
        armed: list[int] = []

        def said(taken: Taken) -> bool:
            if not armed:
                armed.append(rest_of(server).arm())
            return any("another program" in trouble.text for trouble in taken.troubles)

        taken = take(source_of(server), said)
    assert [trouble.kind for trouble in taken.troubles if "another program" in trouble.text] == ["lost"]


def test_a_detector_that_goes_and_comes_back_is_taken_up_again() -> None:
    frames = noise(FRAMES, 8, 8)
    with emulated(frames) as server:
        rest_of(server).arm()
        port = server.emulator.outlet.port("cbor")
        source = source_of(server, rest=False)
        stop = Event()
        taken = Taken()
        events = source.events(stop)
        while not taken.ends:
            event = next(events)
            if event:
                taken.add(event)
    while not any(trouble.kind == "connection" for trouble in taken.troubles):
        event = next(events)
        if event:
            taken.add(event)
    with emulated(frames, cbor_port=port) as server:
        rest_of(server).arm()
        while len(taken.ends) < 2:
            event = next(events)
            if event:
                taken.add(event)
    events.close()
    assert [len(taken.numbers(start.series)) for start in taken.starts] == [FRAMES, FRAMES]


def test_a_host_that_refuses_is_told_and_tried_again() -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        free = socket.bind_to_random_port("tcp://127.0.0.1")
    source = Dectris(DectrisSettings("127.0.0.1", stream_port=free, rest_port=free))
    taken = take(source, lambda taken: len(taken.troubles) >= 3)
    assert {trouble.kind for trouble in taken.troubles} == {"connection"}
    texts = " ".join(trouble.text for trouble in taken.troubles)
    assert "found nobody" in texts
    assert "refused" in texts


def test_a_silent_detector_says_nothing_and_the_source_goes_on() -> None:
    with emulated(noise(1, 4, 4)) as server:
        events = source_of(server).events(Event())
        assert {next(events) for _ in range(5)} <= {None, Connection(up=True)}
        events.close()


def test_an_address_that_makes_no_sense_ends_it() -> None:
    for host in ("not a host", "256.1.1.1"):
        with pytest.raises(Unavailable, match="expected the name or address of a host, found"):
            take(Dectris(DectrisSettings(host, rest_port=None)), lambda taken: bool(taken.frames))


@pytest.mark.parametrize("form", FORMS)
def test_anything_at_all_on_the_stream_is_a_bad_message(form: str) -> None:
    random = np.random.default_rng(6)
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.linger = MOMENT_MS
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        source = Dectris(DectrisSettings("127.0.0.1", "v1" if form == "legacy" else "v2", port, None))
        events = source.events(Event())
        assert next(events) in (None, Connection(up=True))
        for parts in range(1, 41):
            socket.send_multipart([random.bytes(int(random.integers(0, 200))) for _ in range(parts)])
        found: list[Trouble] = []
        while len(found) < 40:
            event = next(events)
            if event is not None:
                assert isinstance(event, Trouble)
                found.append(event)
        events.close()
    assert {trouble.kind for trouble in found} == {"bad_message"}


def test_a_message_of_many_large_parts_is_not_kept_and_the_next_one_is_understood() -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.linger = MOMENT_MS
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        source = Dectris(DectrisSettings("127.0.0.1", "v1", port, None, largest_bytes=1000))
        with closing(source.events(Event())) as events:
            next(events)
            for message in ([bytes(900)] * 10, [b'{"htype": "dseries_end-1.0", "series": 7}']):
                socket.send_multipart(message)
                told = next(event for event in events if isinstance(event, Trouble))
                assert told.kind == ("bad_message" if len(message) > 1 else "unknown_scan")
