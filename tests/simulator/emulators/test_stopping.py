"""Emulated detectors that are stopped, and those whose receiver has gone."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import zmq

from helpers.waiting import wait_until
from livestrain_simulator.delivery import Delivery, EmulatedDetector, Report
from livestrain_simulator.emulators.asi.emulator import AsiEmulator, AsiSettings
from livestrain_simulator.emulators.dectris.emulator import DectrisEmulator, EmulatorSettings
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind
from livestrain_simulator.emulators.serving import Listener
from livestrain_simulator.errors import NobodyListens
from livestrain_simulator.replay import replay
from livestrain_simulator.send import Sending

HOST = "127.0.0.1"
SLOW = 0.02
"""A frame in 50 s [1/s]."""
SOON = 20.0
"""Less than the pause between two frames [s]."""
FRAME = np.ones((8, 8), np.uint16)


def merlin(rate: float | None = SLOW, burst: int = 1) -> MerlinEmulator:
    return MerlinEmulator(lambda number: FRAME, PixelKind("U16", 12), frames_per_second=rate, burst=burst)


def seconds(call: Callable[[], object]) -> float:
    begin = time.monotonic()
    call()
    return time.monotonic() - begin


def test_a_merlin_is_closed_between_two_frames() -> None:
    emulator = merlin()
    with socket.create_connection((HOST, emulator.data_port)):
        wait_until(lambda: emulator.listeners == 1, 20, "a listener")
        emulator.ask("CMD,STARTACQUISITION")
        wait_until(lambda: bool(emulator.record) and emulator.record[0].sent == 1, 20, "a frame")
        assert seconds(emulator.close) < SOON


@pytest.mark.parametrize("burst", [1, 5])
def test_a_merlin_that_is_stopped_ends_at_once_and_does_not_call_that_its_regular_end(burst: int) -> None:
    with merlin(burst=burst) as emulator, socket.create_connection((HOST, emulator.data_port)):
        wait_until(lambda: emulator.listeners == 1, 20, "a listener")
        emulator.ask("SET,NUMFRAMESTOACQUIRE,100")
        emulator.ask("CMD,STARTACQUISITION")
        wait_until(lambda: bool(emulator.record) and emulator.record[0].sent == burst, 20, "a burst")
        emulator.ask("CMD,STOPACQUISITION")
        wait_until(lambda: emulator.is_idle, SOON, "an end")
        assert (emulator.record[0].sent, emulator.record[0].ended) == (burst, False)


def test_a_merlin_that_is_not_stopped_comes_to_its_regular_end() -> None:
    with merlin(None) as emulator:
        emulator.ask("SET,NUMFRAMESTOACQUIRE,4")
        emulator.ask("CMD,STARTACQUISITION")
        wait_until(lambda: emulator.acquisitions == 1, 20, "an end")
        assert emulator.record[0].ended


def test_an_asi_detector_is_stopped_between_two_frames() -> None:
    with AsiEmulator(lambda number: FRAME, AsiSettings(frames_per_second=SLOW)) as emulator:
        emulator.start()
        wait_until(lambda: bool(emulator.record) and bool(emulator.unheard), 20, "a frame")
        emulator.stop()
        wait_until(lambda: not emulator.recording, SOON, "an end")
        assert not emulator.record[0].ended


def test_a_dectris_detector_is_disarmed_between_two_images() -> None:
    emulator = DectrisEmulator(
        lambda number: {"threshold_1": FRAME},
        EmulatorSettings(images_per_second=SLOW, config={"nimages": 9}, when_full="drop"),
    )
    emulator.arm()
    wait_until(lambda: emulator.outlet.dropped > 1, 20, "a start and an image")
    assert seconds(emulator.disarm) < SOON
    assert emulator.state == "idle"
    emulator.close()


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    np.save(tmp_path / "scan.npy", np.ones((4, 5, 256, 512), np.uint16))
    return tmp_path / "scan.npy"


def played(recorded: Path, name: Any, stop: bool = False, **others: Any) -> tuple[Thread, int, list[BaseException]]:
    """A thread that plays a scan, the port where its frames are, and how that ended."""
    with socket.create_server((HOST, 0)) as taken:
        port = int(taken.getsockname()[1])
    detector = EmulatedDetector(name, stream_port=port, control_port=0)
    ends: list[BaseException] = []

    def tell(report: Report) -> None:
        if stop:
            raise KeyboardInterrupt

    def run() -> None:
        try:
            replay(recorded, Delivery(detector=detector, **others), tell=tell)
        except (NobodyListens, KeyboardInterrupt) as error:
            ends.append(error)

    player = Thread(target=run)
    player.start()
    return player, port, ends


def test_who_interrupts_a_detector_waits_for_no_receiver(recorded: Path) -> None:
    player, port, ends = played(recorded, "dectris-v2", stop=True, wait_seconds=60.0)
    with zmq.Context() as context, context.socket(zmq.PULL) as receiver:
        receiver.rcvhwm, receiver.rcvbuf = 1, 4096
        receiver.connect(f"tcp://{HOST}:{port}")
        assert receiver.poll(20_000)
        player.join(SOON)
        assert not player.is_alive()
        receiver.linger = 0
    assert [type(end) for end in ends] == [KeyboardInterrupt]


def test_a_dectris_detector_whose_receiver_leaves_says_so(recorded: Path) -> None:
    player, port, ends = played(recorded, "dectris-v2", wait_seconds=0.5, sending=Sending(frames_per_second=30.0))
    with zmq.Context() as context, context.socket(zmq.PULL) as receiver:
        receiver.connect(f"tcp://{HOST}:{port}")
        assert receiver.poll(20_000)
        receiver.recv()
    player.join(SOON)
    assert not player.is_alive()
    assert f"nobody took frames any more: dectris-v2 at tcp://{HOST}:{port}" in str(ends[0])


@pytest.mark.parametrize("name", ["merlin", "asi"])
def test_a_detector_whose_receiver_takes_nothing_more_says_so(recorded: Path, name: str) -> None:
    player, port, ends = played(recorded, name, wait_seconds=0.5, scans=4)
    with socket.socket() as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wait_until(lambda: receiver.connect_ex((HOST, port)) == 0, 20, "a detector")
        player.join(SOON)
        assert not player.is_alive()
    assert f"nobody took frames any more: {name} at tcp://{HOST}:{port}" in str(ends[0])


def test_a_receiver_that_takes_all_is_no_reason_to_complain(recorded: Path) -> None:
    player, port, ends = played(recorded, "merlin", wait_seconds=20.0)
    with socket.socket() as receiver:
        wait_until(lambda: receiver.connect_ex((HOST, port)) == 0, 20, "a detector")
        while receiver.recv(1 << 20):
            continue
    player.join(SOON)
    assert not ends


def test_connections_that_have_gone_are_not_remembered() -> None:
    listener = Listener(HOST, 0, lambda connection, stop: None)
    for _ in range(30):
        with socket.create_connection((HOST, listener.port)) as connection:
            assert connection.recv(1) == b""
    assert listener.threads < 10
    listener.close()
