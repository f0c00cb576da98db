"""What a detector must not send, to a real intake: told in a line, in little memory, and the next series is clean."""

import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import zmq

from helpers.dectris import emulated, noise, rest_of
from helpers.intake_process import IntakeProcess
from helpers.raw_peer import UNFINISHED, endless, far_too_long, peak_mib, shake_hands
from helpers.waiting import wait_until
from livestrain_daemon.messages import FaultSeen, IntakeCounts, IntakeFailed, ScanClosed
from livestrain_simulator.emulators.dectris.cbor import Tag, encode
from livestrain_wire.closing import MOMENT_MS

Stream = Literal["v1", "v2"]
HOST = "127.0.0.1"
FRAMES = noise(6, 8, 8)
MORE_MIB = 112
"""Memory that 64 messages of 1 MiB take, which wait in the socket, and a scan of a few frames [MiB]."""


@contextmanager
def listening(folder: Path, stream: Stream, port: int, **table: Any) -> Iterator[IntakeProcess]:
    """An intake that takes the stream at a port."""
    dectris = {"host": HOST, "stream": stream, "stream_port": port, "rest_port": None, **table}
    with IntakeProcess(folder, intake={"dectris": dectris, "scan": {"shape": [2, 3]}}) as intake:
        yield intake


@contextmanager
def pushing() -> Iterator[tuple[zmq.Socket[bytes], int]]:
    """A socket that sends anything at all, and its port."""
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.linger = MOMENT_MS
        yield push, push.bind_to_random_port(f"tcp://{HOST}")


def faults(intake: IntakeProcess) -> dict[str, int]:
    counts = [one.faults for one in intake.of(IntakeCounts) if not one.scan_id]
    return {kind: count for kind, count in (counts[-1] if counts else {}).items() if kind != "connection"}


def is_free(port: int) -> bool:
    """Nobody listens at a port any more; ZeroMQ closes its sockets when it has time."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def takes_a_series(intake: IntakeProcess, stream: Stream, port: int) -> None:
    """An emulator at the port is taken frame by frame."""
    wait_until(lambda: is_free(port), what="a free port")
    form = "legacy" if stream == "v1" else "cbor"
    settings: dict[str, Any] = {"stream": {"format": form}, f"{form}_port": port}
    with emulated(FRAMES, **settings) as server:
        rest_of(server).arm()
        (closed,) = wait_until(lambda: intake.of(ScanClosed), 60, "a scan")
        assert (closed.reason, closed.stored, closed.missing) == ("complete", 6, 0)
        np.testing.assert_array_equal(intake.on_disk(closed.scan_id)[1], FRAMES)


def image(**changes: Any) -> dict[str, Any]:
    return {"type": "image", "series_id": 1, "image_id": 0} | changes


def start(**changes: Any) -> dict[str, Any]:
    fields = {"type": "start", "series_id": 1, "channels": ["a"], "image_dtype": "uint16", "number_of_images": 6}
    return fields | {"image_size_x": 8, "image_size_y": 8} | changes


def array(shape: list[int], tag: int, packed: object) -> Tag:
    return Tag(40, [shape, Tag(tag, packed)])


LONG = struct.pack(">Q", 1 << 40)
SHORT = struct.pack(">QI", 1 << 34, 8192)
BOMBS: list[bytes] = [
    b"\x81" * (1 << 20),
    b"\xc1" * (1 << 20),
    b"\xa1" * (1 << 20),
    b"\x9f" * (1 << 20),
    b"\xbb" + LONG + bytes(1 << 20),
    b"\x9b" + LONG + bytes(1 << 20),
    b"\x5b" + LONG + bytes(1 << 20),
    b"\x7b" + LONG,
    b"\x9a" + struct.pack(">I", 1 << 20) + b"\x80" * (1 << 20),
    encode(image(data={"a": array([1 << 16, 1 << 16], 70, Tag(56500, ["bslz4", 4, SHORT]))})),
    encode(start(pixel_mask={"a": array([60_000, 60_000], 70, Tag(56500, ["lz4", 0, LONG + bytes(4)]))})),
    encode(start(image_size_x=1 << 40)),
    encode(start(image_dtype="float64")),
    encode(image(data={"a": array([8, 8], 86, bytes(512))})),
    encode(image(data={"a": array([8, 8], 69, Tag(56500, ["bszstd", 2, bytes(64)]))})),
]
"""Messages of stream v2, each wrong in another way."""


def legacy(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


HEADER = legacy(htype="dheader-1.0", series=1, header_detail="all")
DESCRIBED: dict[str, Any] = {"htype": "dimage_d-1.0", "shape": [8, 8], "type": "uint16", "encoding": "<", "size": 128}
OF_IMAGE = legacy(htype="dimage-1.0", series=1, frame=0)
ENDLESS: list[list[bytes]] = [
    [HEADER, *[bytes(1 << 20)] * 40],
    [b"[" * (1 << 20)],
    [b"x" * (1 << 22)],
    [HEADER, b'{"nimages": ' + b"9" * (1 << 16) + b"}", *[b"{}"] * 6],
    [OF_IMAGE, legacy(**DESCRIBED | {"type": "float64"}), bytes(512), b"{}"],
    [OF_IMAGE, legacy(**DESCRIBED | {"encoding": "zstd<"}), bytes(128), b"{}"],
    [OF_IMAGE, legacy(**DESCRIBED | {"shape": [1 << 40, 8]}), bytes(128), b"{}"],
]
"""Messages of stream v1, likewise."""


@pytest.mark.parametrize("stream", ["v1", "v2"])
def test_messages_that_want_too_much_are_told_in_little_memory_and_the_next_series_is_clean(
    tmp_path: Path, stream: Stream
) -> None:
    wrong = [[bomb] for bomb in BOMBS] if stream == "v2" else ENDLESS
    with pushing() as (push, port), listening(tmp_path, stream, port) as intake:
        before = peak_mib(intake)
        for message in wrong:
            push.send_multipart(message)
        wait_until(lambda: sum(faults(intake).values()) == len(wrong), 40, "all of them")
        # one image that could be understood is of a series that nobody has begun
        assert set(faults(intake)) - {"unknown_scan"} == {"bad_message"}
        push.close()
        takes_a_series(intake, stream, port)
        assert peak_mib(intake) - before < MORE_MIB
        said = [one.text for one in intake.of(FaultSeen) if one.kind == "bad_message"]
    assert all("expected" in text and "found" in text and f"{HOST}:{port}" in text for text in said)
    assert all(len(text) < 300 and "\n" not in text for text in said)


def test_a_header_of_parts_without_an_end_is_given_up_in_little_memory(tmp_path: Path) -> None:
    with pushing() as (push, port), listening(tmp_path, "v1", port) as intake:
        before = peak_mib(intake)
        push.send(HEADER)
        for _ in range(300):
            push.send(bytes(1 << 20))
        said = wait_until(lambda: [one for one in intake.of(FaultSeen) if one.kind == "bad_message"], what="a line")
        assert "stream v1: expected" in said[0].text
        push.close()
        takes_a_series(intake, "v1", port)
        assert peak_mib(intake) - before < MORE_MIB


@pytest.mark.parametrize(
    ("stream", "send"),
    [
        ("v1", lambda peer: endless(peer, UNFINISHED["large"])),
        ("v2", lambda peer: endless(peer, UNFINISHED["empty"])),
        ("v2", lambda peer: far_too_long(peer, 1 << 40)),
    ],
    ids=["without an end", "of empty parts without an end", "far too long"],
)
def test_a_message_without_an_end_is_not_kept_and_the_detector_is_connected_to_again(
    tmp_path: Path, stream: Stream, send: Callable[[socket.socket], object]
) -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with listening(tmp_path, stream, port) as intake:
            peer, _ = server.accept()
            with peer:
                peer.settimeout(20)
                shake_hands(peer)
                before = peak_mib(intake)
                send(peer)
                said = wait_until(
                    lambda: [one.text for one in intake.of(FaultSeen) if one.kind == "bad_message"], 40, "a line"
                )
                assert f"{HOST}:{port}: expected messages of ZeroMQ of at most {16 << 20} bytes" in said[0]
            server.close()
            takes_a_series(intake, stream, port)
            # without that they would be 1000; there are 96, and what comes until that is seen
            assert peak_mib(intake) - before < 400


def test_a_detector_that_is_not_there_yet_is_told_of_and_taken_when_it_comes(tmp_path: Path) -> None:
    with pushing() as (_, port):
        pass
    with listening(tmp_path, "v2", port) as intake:
        said = wait_until(lambda: [one for one in intake.of(FaultSeen) if one.kind == "connection"], what="a line")
        assert f"expected a detector at tcp://{HOST}:{port}, found nobody; trying again" in said[0].text
        takes_a_series(intake, "v2", port)


@pytest.mark.parametrize(
    ("version", "table", "text"),
    [
        ("1.8.0", {"api_version": "1.6.0"}, "/detector/api/1.6.0/status/state: expected 200, found 404"),
        ("1.8.0", {"host": "256.1.1.1"}, "expected the name or address of a host, found"),
    ],
)
def test_main_is_told_what_can_never_work(tmp_path: Path, version: str, table: dict[str, Any], text: str) -> None:
    """The twins, of the version that is found and with one that is given, are above and in test_source."""
    with emulated(FRAMES, api_version=version) as server:
        ports = {"stream_port": server.emulator.outlet.port("cbor"), "rest_port": server.port}
        with IntakeProcess(tmp_path, intake={"dectris": {"host": HOST, **ports, **table}}) as intake:
            reason = intake.next(IntakeFailed).reason
    assert reason.startswith("the detector cannot be used: ")
    assert text in reason
