"""The emulator of detectors of Amsterdam Scientific Instruments, seen from its connections."""

import http.client
import json
import socket
from typing import Any

import numpy as np
import pytest

from helpers.asi import FORMS, LOCAL, emulated, sparse
from helpers.waiting import wait_until
from livestrain_simulator.emulators.asi import AsiEmulator, AsiSettings, Form
from livestrain_simulator.emulators.asi.forms import Kind
from livestrain_simulator.emulators.merlin import from_array, from_iterable

FRAMES = sparse(6, 4, 5)


def asked(port: int, verb: str, path: str, body: object = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(LOCAL, port, timeout=10)
    connection.request(verb, path, None if body is None else json.dumps(body))
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, json.loads(content) if content.startswith(b"{") else content


def everything(emulator: AsiEmulator) -> bytes:
    """What one measurement sends."""
    with socket.create_connection((LOCAL, emulator.data_port), 10) as data:
        wait_until(lambda: emulator.listeners, what="a data connection")
        emulator.start()
        found = bytearray()
        while part := data.recv(1 << 16):
            found += part
    return bytes(found)


def test_serval_is_asked_and_commanded_by_http() -> None:
    with emulated(FRAMES, frames_per_second=10.0) as server:
        status, config = asked(server.port, "GET", "/detector/config/")
        assert (status, config["nTriggers"]) == (200, 6)
        assert asked(server.port, "GET", "/dashboard")[1]["Measurement"] is None
        assert asked(server.port, "PUT", "/detector/config", {"nTriggers": 3, "ExposureTime": 0.1})[0] == 200
        assert asked(server.port, "GET", "/detector/config")[1]["nTriggers"] == 3
        assert asked(server.port, "PUT", "/detector/config", {"nTriggers": "x"})[0] == 400
        assert asked(server.port, "PUT", "/detector/config", [1])[0] == 400
        assert asked(server.port, "GET", "/nonsense")[0] == 404
        assert asked(server.port, "GET", "/measurement/start")[0] == 200
        assert asked(server.port, "GET", "/measurement/start")[0] == 409
        told = asked(server.port, "GET", "/dashboard")[1]["Measurement"]
        assert told["Status"] == "DA_RECORDING"
        assert told["StartDateTime"] == server.emulator.started_ms
        assert asked(server.port, "GET", "/measurement/stop")[0] == 200
        wait_until(lambda: asked(server.port, "GET", "/dashboard")[1]["Measurement"]["Status"] == "DA_IDLE")


def test_images_are_pgm_one_behind_the_other() -> None:
    with emulated(FRAMES, hang_up=True) as server:
        found = everything(server.emulator)
    assert found == b"".join(b"P5 5 4 65535\n" + frame.astype(">u2").tobytes() for frame in FRAMES)


def test_images_with_numbers_have_a_line_of_json() -> None:
    with emulated(FRAMES, form="jsonimage", hang_up=True) as server:
        found = everything(server.emulator)
        for number, frame in enumerate(FRAMES):
            line, _, found = found.partition(b"\n")
            told = json.loads(line)
            assert (told["frameNumber"], told["height"], told["width"], told["pixelFormat"]) == (number, 4, 5, "uint16")
            assert told["measurementID"] == str(server.emulator.started_ms)
            np.testing.assert_array_equal(np.frombuffer(found[:40], ">u2").reshape(4, 5), frame)
            found = found[40:]
    assert not found


def test_the_stream_of_the_tpx3_is_the_one_that_is_described() -> None:
    frames = np.array([[[0, 5]], [[0, 0]], [[7, 9]]], np.uint16)
    with emulated(frames, form="tpx3", chunk_frames=2, metadata={"a": 1}, hang_up=True) as server:
        found = everything(server.emulator)
    expected = [
        "00 07 00 0100 0300 04 0100 0200 04 01000000" + "00" * 15,
        "01 00000000 0800000000000000" + "00" * 19 + b'{"a": 1}'.hex(),
        "02 03 02000000 01000000 0c000000 10000000" + "00" * 14,
        "00000000 01000000 01000000 | 01000000 | 0500",
        "02 03 01000000 02000000 08000000 10000000" + "00" * 14,
        "00000000 02000000 | 00000000 01000000 | 0700 0900",
        "03 00000000" + "00" * 27,
        "04 01000000" + "00" * 27,
    ]
    assert found.hex() == "".join(expected).replace(" ", "").replace("|", "")


@pytest.mark.parametrize(
    ("form", "dtype", "sent"),
    [
        ("pgm", "uint8", "u1"),
        ("pgm", "uint32", "u2"),
        ("pgm", "float32", "u2"),
        ("jsonimage", "uint32", "u4"),
        ("tpx3", "float32", "u4"),
    ],
)
def test_counts_that_the_detector_does_not_have_are_cut_and_counted(form: Form, dtype: str, sent: str) -> None:
    frame = np.array([[1, 2], [3, 4]], dtype)
    kind = Kind.of(form, frame)
    assert kind.dtype == np.dtype(sent)
    if dtype == "float32":
        counts, clipped = kind.counted(np.array([[1e12, 2.4], [-3.0, 0.6]], dtype))
        assert counts.tolist() == [[np.iinfo(sent).max, 2], [0, 1]]
        assert clipped == 1


@pytest.mark.parametrize("form", FORMS)
def test_what_goes_wrong_is_recorded_with_what_a_receiver_must_have(form: Form) -> None:
    plan: Any = {1: ("drop",), 3: ("truncate",), 4: ("second_series", "duplicate")}
    with emulated(FRAMES, lambda number: plan.get(number, ()), form=form, hang_up=True) as server:
        everything(server.emulator)
        emulator = server.emulator
        assert emulator.done == [(1, "drop"), (3, "truncate"), (4, "duplicate")]
        numbered = {0: 0, 2: 2, 4: 4, 5: 5}
        assert emulator.places == [numbered if form == "jsonimage" else {0: 0, 1: 2, 3: 4, 4: 4, 5: 5}]
        assert emulator.record[0].ended
        assert emulator.record[0].stored().tolist() == [place in emulator.places[0] for place in range(6)]


def test_frames_that_are_sent_while_nobody_listens_are_recorded() -> None:
    with emulated(FRAMES) as server:
        server.emulator.start()
        wait_until(lambda: server.emulator.measurements, what="the end of the measurement")
        assert server.emulator.unheard == list(range(6))
        assert server.emulator.places == [{}]


@pytest.mark.parametrize("form", FORMS)
def test_an_aborted_measurement_ends_and_one_cut_short_by_the_next_is_followed_by_it(form: Form) -> None:
    plans: list[Any] = [
        lambda number: ("rearm",) if number == 2 else (),
        lambda number: ("abort",) if number == 4 else (),
    ]
    settings = AsiSettings(form=form, scan_shape=(1, 6))
    with AsiEmulator(from_array(FRAMES), settings, lambda scan, frames: plans[scan]) as emulator:
        with socket.create_connection((LOCAL, emulator.data_port), 10):
            wait_until(lambda: emulator.listeners, what="a data connection")
            emulator.start()
            wait_until(lambda: not emulator.recording, what="the end of both")
        assert emulator.measurements == 2
        assert [len(places) for places in emulator.places] == [2, 4]
        assert not any(record.ended for record in emulator.record)


def test_a_measurement_without_end_ends_with_its_frames() -> None:
    with AsiEmulator(from_iterable(iter([*FRAMES, *FRAMES])), AsiSettings()) as emulator:
        emulator.n_triggers = 0
        emulator.start()
        wait_until(lambda: emulator.measurements, what="the end of the measurement")
        assert emulator.unheard == list(range(12))
