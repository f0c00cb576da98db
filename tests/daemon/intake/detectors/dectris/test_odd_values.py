"""Values that no detector should tell, to a real intake: left out or told in a line, and the scan is taken."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest
import zmq

from helpers.intake_process import IntakeProcess
from helpers.simplon import Simplon, served
from helpers.waiting import wait_until
from livestrain_daemon.messages import FaultSeen
from livestrain_simulator.emulators.dectris.cbor import Tag, encode
from livestrain_wire.closing import MOMENT_MS

Stream = Literal["v1", "v2"]
HOST = "127.0.0.1"
IMAGES = 4


def legacy(value: object, detail: object = "basic") -> list[list[bytes]]:
    """A series of stream v1, whose header tells a value."""
    config = {"nimages": IMAGES, "ntrigger": 1, "trigger_mode": "exts", "count_time": value}
    described = {"htype": "dimage_d-1.0", "shape": [4, 4], "type": "uint8", "encoding": "<", "size": 16}
    header = [{"htype": "dheader-1.0", "series": 1, "header_detail": detail}, config]
    images = [[{"htype": "dimage-1.0", "series": 1, "frame": number}, described] for number in range(IMAGES)]
    return [
        [json.dumps(part).encode() for part in header],
        *[[*(json.dumps(part).encode() for part in image), bytes(16), b"{}"] for image in images],
        [json.dumps({"htype": "dseries_end-1.0", "series": 1}).encode()],
    ]


def cbor(value: object) -> list[list[bytes]]:
    """A series of stream v2, likewise."""
    start = {"type": "start", "series_id": 1, "channels": ["a"], "image_dtype": "uint8", "count_time": value}
    size = {"image_size_x": 4, "image_size_y": 4, "number_of_images": IMAGES}
    pixels = Tag(40, [[4, 4], Tag(64, bytes(16))])
    images = [{"type": "image", "series_id": 1, "image_id": number, "data": {"a": pixels}} for number in range(IMAGES)]
    return [[encode(one)] for one in [start | size, *images, {"type": "end", "series_id": 1}]]


def taken(folder: Path, stream: Stream, messages: list[list[bytes]]) -> dict[str, Any]:
    """What the start of a scan says, of which every frame was stored."""
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.linger = MOMENT_MS
        port = push.bind_to_random_port(f"tcp://{HOST}")
        dectris = {"host": HOST, "stream": stream, "stream_port": port, "rest_port": None}
        with IntakeProcess(folder, intake={"dectris": dectris}) as intake:
            for message in messages:
                push.send_multipart(message)
            opened, closed = intake.opened(), intake.closed()
            assert (closed.reason, closed.stored, closed.missing, closed.faults) == ("complete", IMAGES, 0, {})
            assert intake.stop() == 0
    return opened.start.metadata


@pytest.mark.parametrize(("value", "is_kept"), [(0.001, True), (10**100, False), ("\ud800", False)])
def test_a_value_of_stream_v1_is_kept_where_it_can_be_written(value: object, is_kept: bool, tmp_path: Path) -> None:
    kept = taken(tmp_path, "v1", legacy(value))
    assert kept.get("count_time") == (value if is_kept else None)
    assert kept["nimages"] == IMAGES


@pytest.mark.parametrize(("value", "is_kept"), [(0.001, True), (-(1 << 64), False)])
def test_a_value_of_stream_v2_is_kept_where_it_can_be_written(value: object, is_kept: bool, tmp_path: Path) -> None:
    assert taken(tmp_path, "v2", cbor(value)) == ({"count_time": value} if is_kept else {})


@pytest.mark.parametrize("detail", [[], None])
def test_a_header_of_no_detail_that_is_known_is_told_and_the_next_is_taken(detail: object, tmp_path: Path) -> None:
    wrong = [legacy(0.5, detail)[0]]
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.linger = MOMENT_MS
        port = push.bind_to_random_port(f"tcp://{HOST}")
        dectris = {"host": HOST, "stream": "v1", "stream_port": port, "rest_port": None}
        with IntakeProcess(tmp_path, intake={"dectris": dectris}) as intake:
            for message in wrong + legacy(0.5):
                push.send_multipart(message)
            assert intake.closed().stored == IMAGES
            (said,) = [one.text for one in intake.of(FaultSeen) if one.kind == "bad_message"]
    assert "header_detail: expected all, basic or none, found " in said


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("cbor", None),
        ("\ud800", "expected a value, found {'value': '\\ud800'}"),
        ("x" * 100_000, "expected a value, found {'value': 'xxx"),
    ],
)
def test_a_value_of_the_rest_interface_that_cannot_be_written_is_told_in_a_line(
    value: object, text: str | None, tmp_path: Path
) -> None:
    simplon = Simplon()
    simplon.values["config/format"] = value
    with served(simplon) as rest, zmq.Context() as context, context.socket(zmq.PUSH) as push:
        rest_port, port = int(rest.url.rpartition(":")[2]), push.bind_to_random_port(f"tcp://{HOST}")
        dectris = {"host": HOST, "stream_port": port, "rest_port": rest_port, "api_version": "1.8.0"}
        with IntakeProcess(tmp_path, intake={"dectris": dectris}) as intake:
            wait_until(lambda: simplon.asked.get("config/format"), what="a question")
            if text:
                wait_until(lambda: any(text in one.text for one in intake.of(FaultSeen)), what=text)
            else:
                wait_until(lambda: simplon.asked.get("status/dropped"), what="the next question")
            assert all(len(one.text) < 300 and "\n" not in one.text for one in intake.of(FaultSeen))
            assert intake.stop() == 0
