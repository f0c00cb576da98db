import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zmq
from numpy.typing import NDArray

from helpers.frames_out import FramesOut
from helpers.hostile import hostile_multiparts
from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_daemon.intake.placement import joined
from livestrain_daemon.messages import (
    FROM_INTAKE,
    FaultSeen,
    IntakeCounts,
    IntakeFailed,
    RoomWanted,
    ScanClosed,
    ScanRefused,
    SetArmed,
    Synced,
)
from livestrain_wire.codec import decode

Pixels = NDArray[Any]
EXPECTED, STORED, MISSING, RECYCLED = range(4)


def pixels(count: int, dtype: str = "uint16", shape: tuple[int, int] = (5, 7)) -> Pixels:
    return np.random.default_rng(count).integers(0, 200, (count, *shape)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
def test_a_raster_scan_is_stored_and_main_hears_of_every_position(
    shared: IntakeProcess, out: FramesOut, dtype: str
) -> None:
    frames = pixels(24, dtype)
    scan = f"raster-{dtype}"
    out.start(scan, (4, 6), frames)
    for first in range(0, 24, 5):
        out.frames(scan, first, frames[first : first + 5])
    out.end(scan, frames_sent=24)
    opened = shared.opened()
    closed = shared.closed()
    assert (opened.scan_id, opened.recording, opened.resumed) == (scan, True, False)
    assert (closed.reason, closed.stored, closed.missing, closed.faults) == ("complete", 24, 0, {})
    assert shared.positions_told(scan) == ((0, 24),)
    ledger, stored = shared.on_disk(scan)
    assert ledger.tolist() == [STORED] * 24
    np.testing.assert_array_equal(stored, frames)


@pytest.mark.parametrize("together", [1, 7, 40])
def test_serpentine_rows_with_flyback_go_to_their_places(shared: IntakeProcess, out: FramesOut, together: int) -> None:
    frames = pixels(3 * 7)
    scan = f"serpentine-{together}"
    out.start(scan, (3, 5), frames, order="serpentine", flyback_frames=2)
    for first in range(0, len(frames), together):
        out.frames(scan, first, frames[first : first + together])
    out.end(scan)
    closed = shared.closed()
    assert (closed.faults, closed.stored, closed.missing) == ({"flyback": 6}, 15, 0)
    assert not [message for message in shared.of(FaultSeen) if message.scan_id == scan]
    rows = frames.reshape(3, 7, 5, 7)[:, :5]
    expected = np.stack([rows[0], rows[1, ::-1], rows[2]]).reshape(15, 5, 7)
    np.testing.assert_array_equal(shared.on_disk(scan)[1], expected)


def test_explicit_positions_in_any_order_go_to_their_places(shared: IntakeProcess, out: FramesOut) -> None:
    frames = pixels(18)
    positions = np.random.default_rng(5).permutation(20)[:18]
    out.start("explicit", (4, 5), frames, positions=positions)
    for first in (9, 0):
        out.frames("explicit", first, frames[first : first + 9])
    out.end("explicit")
    closed = shared.closed()
    assert (closed.faults, closed.stored, closed.missing) == ({}, 18, 2)
    ledger, stored = shared.on_disk("explicit")
    np.testing.assert_array_equal(stored[positions], frames)
    assert sorted(np.flatnonzero(ledger == MISSING)) == sorted(set(range(20)) - set(positions.tolist()))


def test_explicit_positions_outside_the_scan_are_refused(shared: IntakeProcess, out: FramesOut) -> None:
    out.start("outside", (4, 5), pixels(1), positions=[3, 20])
    refused = shared.next(ScanRefused)
    assert (refused.scan_id, refused.text) == ("outside", "expected positions below 20, found 20 for frame 1")
    assert not (shared.spool / "outside").exists()


def test_frames_are_told_of_at_once_when_nothing_else_comes(shared: IntakeProcess, out: FramesOut) -> None:
    out.start("alone", (2, 2), pixels(4))
    out.frames("alone", 2, pixels(4)[2:3])
    wait_until(lambda: shared.positions_told("alone") == ((2, 1),))
    out.end("alone")
    shared.closed()


def test_what_is_stored_is_forced_to_the_disk_and_told(shared: IntakeProcess, out: FramesOut) -> None:
    def synced() -> tuple[tuple[int, int], ...]:
        return joined(run for message in shared.of(Synced) if message.scan_id == "synced" for run in message.runs)

    out.start("synced", (2, 3), pixels(6))
    out.frames("synced", 0, pixels(6)[:4])
    wait_until(lambda: synced() == ((0, 4),))
    out.frames("synced", 4, pixels(6)[4:])
    out.end("synced")
    shared.closed()
    wait_until(lambda: synced() == ((0, 6),))


def test_no_bytes_at_all_harm_a_scan_in_progress(shared: IntakeProcess, out: FramesOut) -> None:
    frames = pixels(6, "uint16", (4, 5))
    out.start("unharmed", (2, 3), frames)
    out.frames("unharmed", 0, frames[:3])
    corpus = list(hostile_multiparts())
    for _, parts in corpus:
        out.parts(*parts)
    out.frames("unharmed", 3, frames[3:])
    out.end("unharmed", frames_sent=6)
    closed = shared.closed()
    assert (closed.scan_id, closed.stored, closed.missing) == ("unharmed", 6, 0)
    assert sum(closed.faults.values()) == len(corpus)
    assert set(closed.faults) == {"bad_message", "newer_protocol"}
    np.testing.assert_array_equal(shared.on_disk("unharmed")[1], frames)


def test_bytes_that_are_not_zeromq_harm_nobody(shared: IntakeProcess, out: FramesOut) -> None:
    raw: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.STREAM)
    raw.set(zmq.LINGER, 1000)
    raw.connect(shared.endpoint)
    peer = raw.get(zmq.ROUTING_ID)
    assert isinstance(peer, bytes)
    raw.send_multipart([peer, b"GET / HTTP/1.1\r\n\r\n" * 100])
    raw.close()
    out.start("after-http", (1, 1), pixels(1))
    out.frames("after-http", 0, pixels(1))
    out.end("after-http")
    assert shared.closed().stored == 1


def test_a_scan_without_room_is_refused_with_the_numbers(tmp_path: Path) -> None:
    frames = pixels(1)
    with IntakeProcess(tmp_path, spool={"reserve_mib": 1 << 24}) as intake, FramesOut(intake.endpoint) as out:
        out.start("large", (4, 4), frames)
        out.frames("large", 0, frames)
        refused = intake.next(ScanRefused)
        needed = 16 * (70 + 9 + 1024) + 35 * (2 + 8)
        assert f"needs {needed} bytes with its results, and {1 << 44} must stay free" in refused.text
        assert list(intake.spool.iterdir()) == []
        assert intake.next(FaultSeen).kind == "refused"
        assert intake.next(IntakeCounts).faults == {"refused": 1}
        # without limits of the spool nothing is removed for it
        assert intake.of(RoomWanted) == []


def test_a_disk_error_is_counted_with_its_numbers_and_costs_only_its_frames(intake: IntakeProcess) -> None:
    frames = pixels(64, "uint16", (64, 64))
    with FramesOut(intake.endpoint) as out:
        out.start("full", (8, 8), frames)
        out.frames("full", 0, frames[:8])
        wait_until(lambda: intake.positions_told("full") == ((0, 8),))
        # writing beyond this limit fails like a disk that is full: with an error, not a signal
        resource.prlimit(intake.process.pid, resource.RLIMIT_FSIZE, (1 << 16, 1 << 20))
        out.frames("full", 8, frames[8:24])
        assert intake.next(FaultSeen).kind == "disk_error"
        resource.prlimit(intake.process.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        out.frames("full", 24, frames[24:])
        out.end("full")
        closed = intake.closed()
    assert (closed.stored, closed.missing, closed.faults) == (48, 16, {"disk_error": 16})
    assert re_numbers(intake.of(FaultSeen)[0].text)
    ledger, stored = intake.on_disk("full")
    assert ledger.tolist() == [STORED] * 8 + [MISSING] * 16 + [STORED] * 40
    np.testing.assert_array_equal(stored[24:], frames[24:])


def re_numbers(text: str) -> bool:
    """The line names the file and how much could not be written."""
    return "frames.h5" in text and any(word.isdigit() for word in text.split())


def test_commands_arm_and_disarm(intake: IntakeProcess) -> None:
    frames = pixels(4)
    with FramesOut(intake.endpoint) as out:
        intake.command(SetArmed(armed=False))

        # again and again, because a command and a message on another socket can overtake each other
        ids = (f"scan-{number}" for number in count())
        ignored = ""

        def refused() -> bool:
            nonlocal ignored
            ignored = next(ids)
            out.start(ignored, (2, 2), frames)
            return any(fault.kind == "not_armed" for fault in intake.of(FaultSeen))

        def accepted() -> bool:
            out.start("wanted", (2, 2), frames)
            return (intake.spool / "wanted" / "frames.h5").exists()

        wait_until(refused)
        out.frames(ignored, 0, frames)
        wait_until(lambda: any(counts.faults.get("not_armed", 0) >= 4 for counts in intake.of(IntakeCounts)))
        intake.command(SetArmed(armed=True))
        wait_until(accepted)
        out.frames("wanted", 0, frames)
        out.end("wanted")
        wait_until(lambda: intake.positions_told("wanted") == ((0, 4),))


def test_it_ends_when_main_says_so_and_not_by_a_signal(intake: IntakeProcess) -> None:
    intake.process.send_signal(signal.SIGINT)
    intake.process.send_signal(signal.SIGTERM)
    with FramesOut(intake.endpoint) as out:
        out.start("cut", (2, 3), pixels(6))
        out.frames("cut", 0, pixels(6)[:2])
        wait_until(lambda: intake.positions_told("cut"))
    assert intake.stop() == 0
    # the scan is left as it is: the next intake goes on with it
    assert not intake.of(ScanClosed)
    assert joined(run for message in intake.of(Synced) for run in message.runs) == ((0, 2),)
    assert intake.on_disk("cut")[0].tolist() == [STORED] * 2 + [EXPECTED] * 4


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    settings = {
        "intake": {"endpoint": "tcp://127.0.0.1:*"},
        "spool": {"folder": str(tmp_path)},
        "main_endpoint": f"ipc://{tmp_path}/main",
    }
    script = (
        "import time\n"
        "from livestrain_daemon.processes import spawn\n"
        f"child = spawn('livestrain_daemon.intake', {settings!r})\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(100)\n"
    )
    main: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    main.bind(settings["main_endpoint"])  # type: ignore[arg-type]
    with main, subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        assert main.poll(20_000)
        parent.kill()
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


@contextmanager
def main_at(endpoint: str) -> Iterator[Callable[[], IntakeFailed]]:
    """Main's socket, and what it is told last."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.bind(endpoint)

        def heard() -> IntakeFailed:
            assert socket.poll(20_000)
            message = decode(socket.recv_multipart()[1], FROM_INTAKE)
            assert isinstance(message, IntakeFailed)
            return message

        yield heard


def ended(settings: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "livestrain_daemon.intake", json.dumps(settings)]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_a_ring_without_room_ends_it_with_the_numbers(tmp_path: Path) -> None:
    spool = {"folder": str(tmp_path), "record": False, "ring_mib": 16_000_000}
    rest = {"main_endpoint": f"ipc://{tmp_path}/main", "parent_pid": os.getpid()}
    with main_at(str(rest["main_endpoint"])) as heard:
        outcome = ended({"intake": {"endpoint": "tcp://127.0.0.1:*"}, "spool": spool, **rest})
        failure = heard()
    assert (outcome.returncode, outcome.stderr, failure.storage) == (74, "", True)
    assert f"needs {16_000_000 << 20} bytes" in failure.reason


def test_a_port_in_use_and_settings_that_make_no_sense_are_said(intake: IntakeProcess, tmp_path: Path) -> None:
    rest = {"main_endpoint": f"ipc://{tmp_path}/its-main", "parent_pid": os.getpid()}
    with main_at(str(rest["main_endpoint"])) as heard:
        taken = ended({"intake": {"endpoint": intake.endpoint}, **rest})
        failure = heard()
    assert (taken.returncode, taken.stderr, failure.storage) == (69, "", False)
    assert f"cannot bind {intake.endpoint}" in failure.reason
    wrong = ended({"intake": {"endpiont": "tcp://127.0.0.1:*"}, **rest})
    assert wrong.returncode == 78
    assert "endpiont" in wrong.stderr
    assert taken.stdout == wrong.stdout == ""
    orphan = ended({"intake": {"endpoint": "tcp://127.0.0.1:*"}, **rest, "parent_pid": os.getppid()})
    assert orphan.returncode == 1
