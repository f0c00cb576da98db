"""The emulator held against programs that others wrote, and its REST interface."""

import http.client
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from numpy.typing import NDArray

from helpers.dectris import emulated, noise, rest_of
from livestrain_daemon.intake.detectors.dectris.rest import RestError
from livestrain_simulator.emulators.dectris.rest import RestServer

FRAMES = 24


def asked(server: RestServer, verb: str, path: str, body: object = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(verb, path, None if body is None else json.dumps(body))
        reply = connection.getresponse()
        content = reply.read()
        return reply.status, json.loads(content) if reply.status == 200 else content.decode()
    finally:
        connection.close()


# libertem-dectris cannot read images that are not packed
@pytest.mark.parametrize("compression", ["lz4", "bslz4"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_libertem_dectris_takes_every_image_of_stream_v1(dtype: str, compression: str) -> None:
    peer = pytest.importorskip("libertem_dectris", reason="libertem-dectris, of the extra receivers, is not installed")
    frames = noise(FRAMES, 32, 48, dtype)
    stream = {"format": "legacy", "header_detail": "basic"}
    config = {"compression": compression, "nimages": 1, "ntrigger": FRAMES, "trigger_mode": "exte"}
    # a socket's path must be short
    with (
        tempfile.TemporaryDirectory() as folder,
        emulated(frames, stream=stream, config=config, images_per_second=1000) as server,
    ):
        port = server.emulator.outlet.port("legacy")
        connection = peer.DectrisConnection(
            uri=f"tcp://127.0.0.1:{port}",
            frame_stack_size=8,
            handle_path=str(Path(folder) / "shm"),
            num_slots=64,
            bytes_per_frame=frames[0].nbytes * 2,
            huge=False,
        )
        try:
            connection.start_passive()
            rest_of(server).arm()
            config_and_series = connection.wait_for_arm(10.0)
            assert config_and_series is not None
            np.testing.assert_array_equal(all_images(peer, connection, frames.dtype), frames)
        finally:
            connection.close()


def all_images(peer: Any, connection: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    client = peer.CamClient(connection.get_socket_path())
    stacks = []
    while (stack := connection.get_next_stack(max_size=8)) is not None:
        out = np.zeros((len(stack), 32, 48), dtype)
        client.decode_range_into_buffer(stack, out, 0, len(stack))
        client.done(stack)
        stacks.append(out)
    client.close()
    return np.concatenate(stacks)


@pytest.mark.parametrize("compression", ["none", "lz4", "bslz4"])
def test_cbor2_reads_every_message_of_stream_v2(compression: str) -> None:
    cbor2 = pytest.importorskip("cbor2", reason="cbor2, of the extra dev, is not installed")
    frames = noise(2, 16, 16)
    with (
        emulated({"low": frames, "high": frames}, config={"compression": compression}) as server,
        zmq.Context() as context,
        context.socket(zmq.PULL) as socket,
    ):
        socket.rcvtimeo = 10_000
        socket.connect(f"tcp://127.0.0.1:{server.emulator.outlet.port('cbor')}")
        number = rest_of(server).arm()
        start, first, second, end = (cbor2.loads(socket.recv()) for _ in range(4))
    assert (start["type"], start["series_id"], start["number_of_images"]) == ("start", number, 2)
    assert list(start["channels"]) == ["low", "high"]
    assert (start["image_size_x"], start["image_size_y"], start["image_dtype"]) == (16, 16, "uint16")
    assert (first["type"], first["image_id"], list(first["data"])) == ("image", 0, ["low", "high"])
    assert list(first["series_date"].timetuple()[:3]) == [2026, 1, 1]
    times = ("real_time", "start_time", "stop_time")
    assert [list(second[name]) for name in times] == [[10**6, 10**9], [10**6, 10**9], [2 * 10**6, 10**9]]
    assert (second["image_id"], second["series_unique_id"]) == (1, start["series_unique_id"])
    array = first["data"]["low"]
    assert array.tag == 40
    shape, typed = array.value
    assert (list(shape), typed.tag) == ([16, 16], 69)
    if compression == "none":
        assert typed.value == frames[0].tobytes()
    else:
        assert typed.value.tag == 56500
        assert list(typed.value.value)[:2] == [compression, 2 if compression == "bslz4" else 0]
    assert sorted(end) == ["series_id", "series_unique_id", "type"]


def test_values_are_set_and_asked_for() -> None:
    with emulated(noise(1, 4, 6)) as server:
        assert asked(server, "GET", "/detector/api/version") == (200, {"value": "1.8.0"})
        path = "/detector/api/1.8.0/config/ntrigger"
        assert asked(server, "PUT", path, {"value": 5}) == (200, ["ntrigger"])
        assert asked(server, "GET", path) == (200, {"value": 5})
        assert asked(server, "PUT", "/detector/api/1.8.0/config/count_time", {"value": 1})[0] == 200
        assert asked(server, "GET", "/detector/api/1.8.0/config/x_pixels_in_detector") == (200, {"value": 6})
        assert asked(server, "GET", "/detector/api/1.8.0/status/state") == (200, {"value": "idle"})
        assert asked(server, "GET", "/stream/api/1.8.0/status/dropped") == (200, {"value": 0})


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("GET", "/detector/api/1.6.0/status/state", None, 404),
        ("GET", "/detector/api/1.8.0/config/banana", None, 404),
        ("GET", "/", None, 404),
        ("PUT", "/detector/api/1.8.0/command/banana", None, 404),
        ("PUT", "/detector/api/1.8.0/config/ntrigger", {"value": "five"}, 400),
        ("PUT", "/detector/api/1.8.0/config/ntrigger", {"value": 0}, 400),
        ("PUT", "/detector/api/1.8.0/config/ntrigger", {}, 400),
        ("PUT", "/detector/api/1.8.0/config/ntrigger", [1], 400),
        ("PUT", "/detector/api/1.8.0/config/compression", {"value": "zip"}, 400),
        ("PUT", "/detector/api/1.8.0/command/trigger", None, 400),
    ],
)
def test_what_makes_no_sense_is_refused(verb: str, path: str, body: object, status: int) -> None:
    with emulated(noise(1, 4, 6)) as server:
        assert asked(server, verb, path, body)[0] == status


def test_an_armed_detector_is_not_armed_again_until_it_is_aborted() -> None:
    with emulated(noise(1, 4, 6), config={"trigger_mode": "ints"}) as server:
        rest = rest_of(server)
        assert rest.arm() == 1
        with pytest.raises(RestError, match="expected the state idle, found ready"):
            rest.arm()
        rest.abort()
        assert rest.arm() == 2


def test_an_abort_sends_no_end_and_a_disarm_does() -> None:
    with (
        emulated(noise(1, 4, 6), config={"trigger_mode": "ints"}, stream={"format": "legacy"}) as server,
        zmq.Context() as context,
        context.socket(zmq.PULL) as socket,
    ):
        socket.rcvtimeo = 10_000
        socket.connect(f"tcp://127.0.0.1:{server.emulator.outlet.port('legacy')}")
        rest = rest_of(server)
        seen = []
        for command in (rest.abort, rest.disarm):
            rest.arm()
            seen.append(json.loads(socket.recv_multipart()[0]))
            command()
        seen.append(json.loads(socket.recv_multipart()[0]))
    assert [(one["htype"], one["series"]) for one in seen] == [
        ("dheader-1.0", 1),
        ("dheader-1.0", 2),
        ("dseries_end-1.0", 2),
    ]


def test_series_are_numbered_on_from_the_one_before() -> None:
    with emulated(noise(1, 4, 6), series_before=41) as server:
        assert server.emulator.arm() == 42
