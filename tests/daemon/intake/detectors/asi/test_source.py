"""From the emulator over real sockets to events."""

import socket
import struct
from threading import Event, Thread

import numpy as np
import pytest

from helpers.asi import FORMS, IMPATIENT, LOCAL, emulated, measured, source_of, sparse
from helpers.merlin import Heard, listening
from helpers.waiting import wait_until
from livestrain_client.rig.processes import free_ports
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.asi.chunks import BLOCK_BYTES
from livestrain_daemon.intake.detectors.asi.source import AsiDetector, AsiSettings
from livestrain_daemon.intake.detectors.events import Connection, SeriesEnd, SeriesFrames
from livestrain_simulator.emulators.asi import Form, tpx3
from livestrain_simulator.emulators.faults import Action

FRAMES = sparse(40)


def check(heard: Heard, series: int = 0) -> None:
    found = heard.frames(heard.starts[series].series)
    assert sorted(found) == list(range(len(FRAMES)))
    np.testing.assert_array_equal(np.stack([found[number] for number in range(len(FRAMES))]), FRAMES)


@pytest.mark.parametrize("form", FORMS)
def test_measurements_one_after_the_other_come_through_to_the_last_bit(form: Form) -> None:
    with emulated(FRAMES, form=form) as server:
        heard = measured(server, measurements=3)
    for series in range(3):
        check(heard, series)
    assert [end.aborted for end in heard.ends] == [False] * 3
    assert len({start.series for start in heard.starts}) == 3
    assert not heard.troubles
    assert heard.of(Connection) == [Connection(up=True)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_every_type_of_count_comes_through(form: Form, dtype: str) -> None:
    frames = sparse(5, dtype=dtype)
    frames[0, 0, 1] = 65535 if (form, dtype) == ("pgm", "uint32") else np.iinfo(dtype).max
    with emulated(frames, form=form) as server:
        heard = measured(server)
    assert heard.starts[0].dtype == ("uint16" if (form, dtype) == ("pgm", "uint32") else dtype)
    np.testing.assert_array_equal(np.stack(list(heard.frames().values())), frames)


@pytest.mark.parametrize("form", FORMS)
def test_the_detector_may_hang_up_after_each_measurement(form: Form) -> None:
    with emulated(FRAMES, form=form, hang_up=True) as server:
        heard = measured(server, measurements=2)
    check(heard, 0)
    check(heard, 1)
    assert not heard.troubles


@pytest.mark.parametrize("form", FORMS)
def test_the_detector_may_connect_to_us(form: Form) -> None:
    port = free_ports().frames
    with emulated(FRAMES, form=form, connect_to=(LOCAL, port), hang_up=True) as server:
        heard = measured(server, measurements=2, listen=LOCAL)
    check(heard, 0)
    check(heard, 1)
    assert not heard.troubles


def test_without_serval_a_series_is_as_long_as_its_scan() -> None:
    with emulated(FRAMES) as server:
        heard = measured(server, measurements=2, rest=False, frames=len(FRAMES))
    check(heard, 1)
    assert not heard.troubles


@pytest.mark.parametrize("form", FORMS)
def test_a_lost_connection_ends_what_has_no_numbers_and_the_next_measurement_is_whole(form: Form) -> None:
    def plan(number: int) -> tuple[Action, ...]:
        if number == 25:
            wait_until(lambda: server.emulator.listeners, what="another data connection")
        return ("disconnect",) if number == 17 else ()

    with emulated(FRAMES, plan, form=form, frames_per_second=100.0) as server, listening(source_of(server)) as heard:
        wait_until(lambda: server.emulator.listeners, what="a data connection")
        server.emulator.start()
        wait_until(lambda: server.emulator.measurements, what="the end of the measurement")
        wait_until(lambda: heard.ends, what="the end of the series")
    found = heard.frames(heard.starts[0].series)
    places = server.emulator.places[0]
    assert set(found) == set(places)
    assert all(np.array_equal(frame, FRAMES[places[place]]) for place, frame in found.items())
    assert len(found) > 17 if form == "jsonimage" else len(found) == 17
    assert "connection" in {trouble.kind for trouble in heard.troubles}
    assert len(heard.starts) == 1


def test_nobody_there_is_told_and_tried_again() -> None:
    port = free_ports().frames
    with listening(AsiDetector(AsiSettings(LOCAL, data_port=port, patience=IMPATIENT))) as heard:
        wait_until(lambda: len(heard.troubles) > 1, what="two attempts")
        assert {trouble.kind for trouble in heard.troubles} == {"connection"}
        assert f"expected frames from tcp://{LOCAL}:{port}, found: " in heard.troubles[0].text
        assert "Connection refused; trying again" in heard.troubles[0].text
        with emulated(FRAMES, data_port=port) as server:
            wait_until(lambda: server.emulator.listeners, what="a data connection")
            server.emulator.start()
            wait_until(lambda: server.emulator.measurements, what="the end of the measurement")
            server.emulator.dismiss()
            wait_until(lambda: heard.ends, what="the end of the series")
    check(heard)
    assert heard.ends == [SeriesEnd(heard.starts[0].series)]


def test_serval_that_does_not_answer_is_told_once() -> None:
    with emulated(FRAMES) as server:
        heard = measured(server, measurements=2, rest_port=free_ports().frames, frames=len(FRAMES))
    check(heard, 1)
    assert [trouble.kind for trouble in heard.troubles] == ["connection"]
    assert "/dashboard: expected an answer, found Connection refused" in heard.troubles[0].text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (AsiSettings("no such host"), "expected the name or address of a host, found 'no such host'"),
        (AsiSettings(LOCAL, listen="no such host"), "expected to listen at tcp://no such host:8088, found: "),
    ],
)
def test_an_address_that_there_is_not_is_no_detector(settings: AsiSettings, text: str) -> None:
    with listening(AsiDetector(settings)) as heard:
        wait_until(lambda: heard.failure, what="the failure")
    assert isinstance(heard.failure, Unavailable)
    assert text in str(heard.failure)


def test_a_port_that_is_taken_is_told_with_its_address() -> None:
    with socket.create_server((LOCAL, 0)) as taken:
        port = taken.getsockname()[1]
        with listening(AsiDetector(AsiSettings(LOCAL, data_port=port, listen=LOCAL))) as heard:
            wait_until(lambda: heard.failure, what="the failure")
    assert f"expected to listen at tcp://{LOCAL}:{port}, found: " in str(heard.failure)


@pytest.mark.parametrize("form", FORMS)
def test_bytes_that_are_none_of_its_own_do_not_end_it(form: Form) -> None:
    with emulated(FRAMES, form=form) as server, listening(source_of(server)) as heard:
        emulator = server.emulator
        wait_until(lambda: emulator.listeners, what="a data connection")
        emulator.send(b"GET / HTTP/1.1\r\n\r\n" * 50)
        emulator.send(np.random.default_rng(3).bytes(100_000).replace(b"P5", b"P4"))
        wait_until(lambda: heard.troubles, what="a word on it")
        emulator.start()
        wait_until(lambda: heard.ends, what="the end of the series")
    assert heard.troubles[0].kind == "bad_message"
    assert heard.failure is None
    assert len(heard.starts) == 1


def test_few_bytes_that_are_very_many_frames_do_not_hold_up_the_end() -> None:
    frames = 1_000_000
    pointers = 4 * (frames + 1)
    start = tpx3.acquisition_start(1, (1000, 1000), (512, 512)) + tpx3.scan_start(1, {})
    chunk = struct.pack("<BBIIII14x", 2, 3, frames, 0, pointers, pointers) + bytes(pointers)
    stop = Event()
    seen = 0
    with emulated(np.zeros((1, 512, 512), np.uint16), form="tpx3") as server:
        emulator = server.emulator
        sending = Thread(target=emulator.send, args=(start + chunk + tpx3.scan_end(1),))
        for event in source_of(server).events(stop):
            if isinstance(event, Connection):
                wait_until(lambda: emulator.listeners, what="a data connection")
                sending.start()
            elif isinstance(event, SeriesFrames):
                assert len(event.payload) <= BLOCK_BYTES
                seen += event.count
                stop.set()
        sending.join(20)
    assert 0 < seen < 20
