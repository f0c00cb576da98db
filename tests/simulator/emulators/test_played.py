"""Recorded scans played by detectors that are emulated, into a real intake."""

import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import zmq

from helpers.intake_process import IntakeProcess
from livestrain_client.rig.processes import free_ports
from livestrain_daemon.messages import ScanClosed
from livestrain_simulator.delivery import Delivery, EmulatedDetector, Report
from livestrain_simulator.emulators.faults import Among, Faults, WrongFault
from livestrain_simulator.errors import CannotListen, NobodyListens, NotReplayable
from livestrain_simulator.replay import replay
from livestrain_simulator.send import Sending

SHAPE = (4, 5)
CUBE = np.random.default_rng(5).poisson(3.0, (*SHAPE, 16, 16)).astype(np.uint16)
CUBE[..., 0, 0] = np.arange(20).reshape(SHAPE)
FRAMES = CUBE.reshape(20, 16, 16)
DETECTORS = ("dectris-v1", "dectris-v2", "merlin", "asi", "asi-jsonimage", "asi-tpx3")
STORED, MISSING = 1, 2
HOST = "127.0.0.1"


def free_port() -> int:
    return free_ports().frames


def table_of(name: str, stream: int, control: int) -> dict[str, Any]:
    """What the intake must be told."""
    if name == "merlin":
        return {"merlin": {"host": HOST, "data_port": stream}}
    if name.startswith("asi"):
        form = {"form": "tpx3"} if name == "asi-tpx3" else {"form": "frames", "rest_port": control}
        return {"asi": {"host": HOST, "data_port": stream, **form}}
    return {"dectris": {"host": HOST, "stream": name[-2:], "stream_port": stream, "rest_port": control}}


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    np.save(tmp_path / "scan.npy", CUBE)
    return tmp_path / "scan.npy"


def delivery_as(name: Any, stream: int = 0, control: int = 0, **others: Any) -> Delivery:
    return Delivery(detector=EmulatedDetector(name, stream_port=stream, control_port=control), **others)


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_plays_a_recorded_scan_again_and_again(tmp_path: Path, recorded: Path, name: str) -> None:
    stream, control = free_port(), free_port()
    delivery = delivery_as(name, stream, control, scans=2, sending=Sending("lz4"))
    told: list[Report] = []
    said: list[str] = []
    player = Thread(target=replay, args=(recorded, delivery), kwargs={"say": said.append, "tell": told.append})
    player.start()
    with IntakeProcess(tmp_path, intake={**table_of(name, stream, control), "scan": {"shape": SHAPE}}) as intake:
        for _ in range(2):
            closed = intake.closed()
            # that the detector goes after its last frame may be seen before the scan is closed
            faults = {kind: count for kind, count in closed.faults.items() if kind != "connection"}
            assert (closed.reason, closed.stored, faults) == ("complete", 20, {})
            ledger, stored = intake.on_disk(closed.scan_id)
            assert ledger.tolist() == [STORED] * 20
            np.testing.assert_array_equal(stored, FRAMES)
        player.join(30)
    assert not player.is_alive()
    assert [(report.sent.frames, report.sent.aborted, report.faults, report.lost) for report in told] == [
        (20, False, {}, 0)
    ] * 2
    assert f"tcp://{HOST}:{stream}" in said[0]
    assert "[intake." in said[1]
    assert "shape = [4, 5]" in said[1]


def test_faults_asked_for_on_the_command_line_are_made_by_the_detector(tmp_path: Path, recorded: Path) -> None:
    stream, control = free_port(), free_port()
    options = ["--stream-port", str(stream), "--control-port", str(control), "--drop", "3,7-9", "--corrupt", "12"]
    command = [
        sys.executable,
        "-m",
        "livestrain_simulator.cli",
        "replay",
        str(recorded),
        "--as",
        "dectris-v2",
        *options,
    ]
    table = {**table_of("dectris-v2", stream, control), "scan": {"shape": SHAPE}}
    with (
        subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as player,
        IntakeProcess(tmp_path, intake=table) as intake,
    ):
        closed = intake.closed()
        ledger, stored = intake.on_disk(closed.scan_id)
        out, said = player.communicate(timeout=30)
    assert player.returncode == 0, said
    facts = json.loads(out)
    assert (facts["frames"], facts["lost"], facts["faults"]) == (16, 5, {"drop": 4, "corrupt": 1})
    lost = [3, 7, 8, 9, 12]
    assert np.flatnonzero(ledger == MISSING).tolist() == lost
    there = np.delete(np.arange(20), lost)
    np.testing.assert_array_equal(stored[there], FRAMES[there])
    assert said.splitlines()[0].startswith(f"dectris-v2 at tcp://{HOST}:{stream}, commanded at http://")


@pytest.mark.parametrize("frames", [{}, {"duplicate": Among(numbers=(range(5, 6), range(17, 18)))}])
def test_images_beyond_the_last_are_counted_with_their_scan_and_begin_no_other(
    tmp_path: Path, recorded: Path, frames: Any
) -> None:
    stream, control = free_port(), free_port()
    tables = {**table_of("asi", stream, control), "scan": {"shape": SHAPE}}
    with IntakeProcess(tmp_path, intake=tables) as intake:
        report = replay(recorded, delivery_as("asi", stream, control, faults=Faults(frames)))
        closed = intake.closed()
        intake.stop()
        assert closed.faults == ({"wrong_count": 2} if frames else {})
        assert (closed.reason, closed.stored, report.sent.frames) == ("complete", 20, 22 if frames else 20)
        assert len(intake.of(ScanClosed)) == 1


@pytest.mark.parametrize("name", ["dectris-v2", "merlin", "asi"])
def test_a_detector_can_wait_for_somebody_who_begins_its_scans(recorded: Path, name: str) -> None:
    delivery = delivery_as(name, wait_seconds=0.3)
    with pytest.raises(NobodyListens, match=r"nobody took frames: .* within 0.3 s"):
        replay(recorded, delivery)
    waiting = delivery_as(name, wait_seconds=0.3)
    detector = EmulatedDetector(waiting.detector.name, HOST, 0, 0, "wait")  # type: ignore[union-attr]
    with pytest.raises(NobodyListens, match=r"nobody began a scan: .* within 0.3 s"):
        replay(recorded, Delivery(detector=detector, wait_seconds=0.3))


@pytest.mark.parametrize("name", ["dectris-v1", "dectris-v2"])
@pytest.mark.parametrize("takes", [True, False], ids=["taken", "not taken"])
def test_images_that_nobody_takes_in_the_end_are_said(tmp_path: Path, name: str, takes: bool) -> None:
    # more than the buffers of a connection hold
    np.save(tmp_path / "large.npy", np.random.default_rng(4).integers(0, 9, (2, 8, 1024, 1024)).astype("uint16"))
    stream = free_port()
    delivery = delivery_as(name, stream, wait_seconds=20.0 if takes else 1.0, sending=Sending(encoding="raw"))
    with zmq.Context() as context, context.socket(zmq.PULL) as receiver, ThreadPoolExecutor(1) as player:
        receiver.rcvhwm, receiver.linger = 1, 0
        receiver.connect(f"tcp://{HOST}:{stream}")
        played = player.submit(replay, tmp_path / "large.npy", delivery)
        while takes and not played.done():
            if receiver.poll(50):
                receiver.recv_multipart()
        if takes:
            assert played.result().sent.frames == 16
        else:
            with pytest.raises(NobodyListens, match=rf"the last messages at .*:{stream} were not taken within 1 s"):
                played.result(30)


@pytest.mark.parametrize("name", DETECTORS)
def test_frames_that_a_detector_cannot_send_are_refused(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "float.npy", CUBE.astype(np.float32))
    with pytest.raises(NotReplayable, match=r"sends uint8, uint16, uint32, found float32"):
        replay(tmp_path / "float.npy", delivery_as(name))


@pytest.mark.parametrize("name", DETECTORS)
def test_an_address_that_is_taken_is_said(recorded: Path, name: str) -> None:
    with socket.create_server((HOST, 0)) as taken:
        with pytest.raises(CannotListen, match="cannot listen at port"):
            replay(recorded, delivery_as(name, stream=taken.getsockname()[1]))
        if name != "asi-tpx3":
            with pytest.raises(CannotListen, match="cannot listen at port"):
                replay(recorded, delivery_as(name, control=taken.getsockname()[1]))


@pytest.mark.parametrize(
    ("name", "faults", "text"),
    [
        ("merlin", {"second_series": Among(0.1)}, "--second-series: merlin cannot do that"),
        ("asi", {"reorder": Among(0.1)}, "--reorder: asi cannot do that: its frames have no numbers"),
        ("asi-tpx3", {"second_series": Among(0.1)}, "--second-series: asi-tpx3 cannot do that"),
    ],
)
def test_faults_that_a_protocol_cannot_express_are_refused(recorded: Path, name: str, faults: Any, text: str) -> None:
    with pytest.raises(WrongFault, match=text):
        replay(recorded, delivery_as(name, faults=Faults(faults)))


def test_a_start_that_a_protocol_has_not_cannot_come_late(recorded: Path) -> None:
    with pytest.raises(WrongFault, match="--late-header: asi cannot do that: nothing is sent before its first image"):
        replay(recorded, delivery_as("asi", faults=Faults(late_header=2)))


def test_bursts_need_a_rate(recorded: Path) -> None:
    with pytest.raises(WrongFault, match="burst: expected a rate"):
        replay(recorded, delivery_as("merlin", sending=Sending(burst=5)))
