"""What a Merlin and an ASI detector must not send, to a real intake: told in a line, in little memory, and no harm."""

import json
import re
import struct
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_client.rig.processes import free_ports
from livestrain_daemon.messages import FaultSeen, IntakeCounts, IntakeFailed
from livestrain_simulator.emulators.asi import AsiEmulator, AsiSettings, Form, ServalServer, tpx3
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind

HOST = "127.0.0.1"
FRAMES = np.random.default_rng(5).integers(0, 4096, (6, 8, 256), np.uint16)
MORE_MIB = 48
"""Memory that bytes without an end may take, together with a scan of a few frames [MiB]."""
MIB = 1 << 20

MERLIN = {
    "a length of 2**40": b"MPX,1099511627776,MQ1," + bytes(MIB),
    "a length of ten digits": b"MPX,9999999999,MQ1,000001," + bytes(MIB),
    "a header without an end": b"MPX,0016777000,HDR,\t\r\n" + b"Key:\tValue\r\n" * (3 * MIB),
    "another protocol": b"GET / HTTP/1.1\r\n\r\n" * MIB,
}
IMAGES = {
    "sides of 10**9": b"P5 999999999 999999999 65535\n" + bytes(MIB),
    "a side of 2**40": json.dumps({"height": 1 << 40, "width": 4, "frameNumber": 0, "bitDepth": 16}).encode() + b"\n",
    "an unknown type": b'{"height": 4, "width": 4, "frameNumber": 0, "pixelFormat": "float64"}\n' + bytes(128),
    "JSON without an end": b'{"' + b"x" * (40 * MIB),
    "a PGM without an end": b"P5 " + b" " * (40 * MIB),
}
CHUNKS = {
    "JSON of 2**40 bytes": struct.pack("<BIQ19x", 1, 1, 1 << 40) + bytes(MIB),
    "a chunk of 2**32 counts": tpx3.acquisition_start(1, (2, 3), (8, 256))
    + struct.pack("<BBIIII14x", 2, 5, 6, (1 << 32) - 1, 28, (1 << 32) - 1),
    "another version": b"\0\x08" + tpx3.acquisition_start(1, (2, 3), (8, 256))[2:],
    "frames of 2**32 pixels": tpx3.acquisition_start(1, (2, 3), (65535, 65535)),
    "bytes without an end": b"\xff" * (40 * MIB),
}


@dataclass
class Rig:
    """A detector and the table that the intake has of it."""

    table: dict[str, Any]
    emulator: MerlinEmulator | AsiEmulator
    begin: Callable[[], object]


def merlin(stack: ExitStack, _: Path, port: int = 0) -> Rig:
    emulator = MerlinEmulator(lambda number: FRAMES[number], PixelKind("U16", 12), data_port=port)
    stack.enter_context(emulator)
    for request in ("SET,NUMFRAMESTOACQUIRE,6", "SET,STEMSCANX,3", "SET,STEMSCANY,2"):
        emulator.ask(request)
    table = {"merlin": {"host": HOST, "data_port": emulator.data_port}}
    return Rig(table, emulator, lambda: emulator.ask("CMD,STARTACQUISITION"))


def asi(form: Form) -> Callable[..., Rig]:
    def rig(stack: ExitStack, _: Path, port: int = 0) -> Rig:
        settings = AsiSettings(form=form, scan_shape=(2, 3), data_port=port)
        emulator = AsiEmulator(lambda number: FRAMES[number], settings)
        serval = stack.enter_context(ServalServer(emulator))
        own = {"form": "tpx3"} if form == "tpx3" else {"rest_port": serval.port}
        table = {"host": HOST, "data_port": emulator.data_port, **own}
        return Rig({"asi": table, "scan": {"shape": [2, 3]}}, emulator, emulator.start)

    return rig


KINDS = [(merlin, MERLIN), (asi("jsonimage"), IMAGES), (asi("tpx3"), CHUNKS)]
NAMES = ["merlin", "images", "tpx3"]


def peak_mib(intake: IntakeProcess) -> float:
    """The most memory that the process has had so far [MiB]."""
    status = Path(f"/proc/{intake.process.pid}/status").read_text()
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kib) / 1024


def told(intake: IntakeProcess) -> int:
    """Faults so far that are of no scan."""
    counts = [one.faults for one in intake.of(IntakeCounts) if not one.scan_id]
    return sum(count for kind, count in (counts[-1] if counts else {}).items() if kind != "connection")


def takes_a_scan(rig: Rig, intake: IntakeProcess) -> None:
    wait_until(lambda: rig.emulator.listeners, 60, "a data connection")
    rig.begin()
    closed = intake.closed()
    assert (closed.stored, closed.missing, closed.faults) == (6, 0, {})
    np.testing.assert_array_equal(intake.on_disk(closed.scan_id)[1], FRAMES)


@pytest.mark.parametrize(("kind", "wrong"), KINDS, ids=NAMES)
def test_bytes_that_want_too_much_are_told_in_little_memory_and_the_next_scan_is_clean(
    kind: Callable[..., Rig], wrong: dict[str, bytes], tmp_path: Path
) -> None:
    with ExitStack() as stack:
        rig = kind(stack, tmp_path)
        intake = stack.enter_context(IntakeProcess(tmp_path, intake=rig.table))
        for name, data in wrong.items():
            wait_until(lambda: rig.emulator.listeners, 60, "a data connection")
            before, memory = told(intake), peak_mib(intake)
            rig.emulator.send(data)
            wait_until(lambda: told(intake) > before, 60, name)  # noqa: B023  called at once
            # what comes on a new connection begins anew
            rig.emulator.dismiss()
            wait_until(lambda: not rig.emulator.listeners, 60, "the end of the connection")
            assert peak_mib(intake) - memory < MORE_MIB, name
        takes_a_scan(rig, intake)
        said = [one.text for one in intake.of(FaultSeen) if one.kind != "connection"]
    assert said
    assert all("expected" in text and "found" in text for text in said)
    assert all(len(text) < 300 and "\n" not in text for text in said)


@pytest.mark.parametrize("kind", [kind for kind, _ in KINDS[:2]], ids=NAMES[:2])
def test_a_detector_that_refuses_is_told_of_and_taken_when_it_comes(kind: Callable[..., Rig], tmp_path: Path) -> None:
    port = free_ports().frames
    with ExitStack() as stack:
        table = kind(ExitStack(), tmp_path).table
        name = next(iter(table))
        tables = {**table, name: {"host": HOST, "data_port": port}, "scan": {"shape": [2, 3]}}
        intake = stack.enter_context(IntakeProcess(tmp_path, intake=tables))
        said = wait_until(lambda: [one for one in intake.of(FaultSeen) if one.kind == "connection"], what="a line")
        assert f"expected frames from tcp://{HOST}:{port}, found: " in said[0].text
        assert said[0].text.endswith("Connection refused; trying again")
        takes_a_scan(kind(stack, tmp_path, port), intake)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"merlin": {"host": "256.1.1.1"}}, "expected the name or address of a host, found '256.1.1.1'"),
        ({"asi": {"host": "256.1.1.1"}}, "expected the name or address of a host, found '256.1.1.1'"),
        ({"asi": {"host": HOST, "listen": "256.1.1.1"}}, "expected to listen at tcp://256.1.1.1:8088, found"),
    ],
)
def test_main_is_told_of_a_host_that_there_is_not(table: dict[str, Any], text: str, tmp_path: Path) -> None:
    with IntakeProcess(tmp_path, intake=table) as intake:
        assert intake.next(IntakeFailed).reason.startswith(f"the detector cannot be used: {text}")
