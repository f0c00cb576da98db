"""What the emulator sends, read with nothing of the daemon's."""

import socket
from datetime import UTC, datetime

import numpy as np
import pytest

from helpers.waiting import wait_until
from livestrain_simulator.emulators.faults import Action, always
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind, from_array, from_iterable
from livestrain_simulator.emulators.merlin.headers import frame_header

KIND = PixelKind("U16", 12, "1x1")
FRAMES = np.arange(5 * 4 * 256, dtype=np.uint16).reshape(5, 4, 256)


class Client:
    """A connection to an emulator; reads messages by their lengths."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)

    def read(self) -> bytes:
        prefix = self._exactly(15)
        assert prefix[:4] == b"MPX,"
        assert prefix[14:] == b","
        return self._exactly(int(prefix[4:14]) - 1)

    def ask(self, request: str) -> str:
        self.socket.sendall(b"MPX,%010d,%b" % (len(request) + 1, request.encode()))
        return self.read().decode()

    def _exactly(self, size: int) -> bytes:
        parts = b""
        while len(parts) < size:
            part = self.socket.recv(size - len(parts))
            assert part, "the connection was closed"
            parts += part
        return parts

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@pytest.mark.parametrize(
    ("request_text", "reply"),
    [
        ("GET,DETECTORSTATUS", "GET,DETECTORSTATUS,0,0"),
        ("GET,IMAGEX", "GET,IMAGEX,256,0"),
        ("GET,NONSENSE", "GET,NONSENSE,0,2"),
        ("SET,COUNTERDEPTH,6", "SET,COUNTERDEPTH,0"),
        ("SET,COUNTERDEPTH,7", "SET,COUNTERDEPTH,3"),
        ("SET,CONTINUOUSRW,1", "SET,CONTINUOUSRW,0"),
        ("SET,ACQUISITIONTIME,0.5", "SET,ACQUISITIONTIME,0"),
        ("SET,NUMFRAMESTOACQUIRE,1.5", "SET,NUMFRAMESTOACQUIRE,3"),
        ("SET,NUMFRAMESTOACQUIRE,nan", "SET,NUMFRAMESTOACQUIRE,3"),
        ("SET,DETECTORSTATUS,1", "SET,DETECTORSTATUS,2"),
        ("CMD,NONSENSE", "CMD,NONSENSE,2"),
        ("CMD,STOPACQUISITION", "CMD,STOPACQUISITION,0"),
        ("NONSENSE", "NONSENSE,,2"),
    ],
)
def test_requests_are_answered_with_their_return_code(request_text: str, reply: str) -> None:
    with MerlinEmulator(from_array(FRAMES), KIND) as emulator, Client(emulator.control_port) as control:
        assert control.ask(request_text) == reply


def test_a_header_is_sent_at_the_start_and_frames_with_each_soft_trigger() -> None:
    emulated = MerlinEmulator(from_array(FRAMES), KIND)
    with emulated as emulator, Client(emulator.control_port) as control, Client(emulator.data_port) as data:
        wait_until(lambda: emulator.listeners)
        for setting in (
            "NUMFRAMESTOACQUIRE,5",
            "TRIGGERSTART,5",
            "NUMFRAMESPERTRIGGER,2",
            "STEMSCANX,5",
            "STEMSCANY,1",
        ):
            assert control.ask(f"SET,{setting}").endswith(",0")
        control.ask("CMD,STARTACQUISITION")
        header = data.read()
        assert len(header) == 2048
        lines = header.decode("latin-1").split("\r\n")
        assert lines[0] == "HDR,\t"
        assert "Frames in Acquisition (Number):\t5" in lines
        assert "Frames per Trigger (Number):\t2" in lines
        assert "ScanX:\t5" in lines
        assert lines[-1].strip() == "End"
        data.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            data.read()
        data.socket.settimeout(10)
        for number in range(5):
            if number % 2 == 0:
                control.ask("CMD,SOFTTRIGGER")
            message = data.read()
            begin = b"MQ1,%06d,00384,01,0256,0004,U16,   1x1,01," % (number + 1)
            assert message.startswith(begin)
            assert b",3RX," in message[:384]
            np.testing.assert_array_equal(np.frombuffer(message[384:], ">u2").reshape(4, 256), FRAMES[number])
        wait_until(lambda: control.ask("GET,DETECTORSTATUS") == "GET,DETECTORSTATUS,0,0")


@pytest.mark.parametrize("command", ["ABORT", "STOPACQUISITION"])
def test_an_acquisition_without_end_can_be_ended(command: str) -> None:
    emulated = MerlinEmulator(from_array(FRAMES), KIND)
    with emulated as emulator, Client(emulator.control_port) as control:
        control.ask("SET,NUMFRAMESTOACQUIRE,0")
        control.ask("CMD,STARTACQUISITION")
        assert control.ask("GET,DETECTORSTATUS") == "GET,DETECTORSTATUS,1,0"
        assert control.ask(f"CMD,{command}") == f"CMD,{command},0"
        wait_until(lambda: control.ask("GET,DETECTORSTATUS") == "GET,DETECTORSTATUS,0,0")


def test_everybody_who_listens_gets_every_frame() -> None:
    emulated = MerlinEmulator(from_array(FRAMES), KIND)
    with emulated as emulator, Client(emulator.data_port) as first, Client(emulator.data_port) as second:
        wait_until(lambda: emulator.listeners == 2)
        emulator.ask("SET,NUMFRAMESTOACQUIRE,5")
        emulator.ask("CMD,STARTACQUISITION")
        for client in (first, second):
            assert client.read()[:3] == b"HDR"
            assert [int(client.read()[4:10]) for _ in range(5)] == [1, 2, 3, 4, 5]


def test_frames_of_an_iterable_come_in_its_order_and_end_with_it() -> None:
    emulated = MerlinEmulator(from_iterable(iter(FRAMES)), KIND)
    with emulated as emulator, Client(emulator.data_port) as data:
        wait_until(lambda: emulator.listeners)
        emulator.ask("SET,NUMFRAMESTOACQUIRE,0")
        emulator.ask("CMD,STARTACQUISITION")
        data.read()
        for frame in FRAMES:
            np.testing.assert_array_equal(np.frombuffer(data.read()[384:], ">u2").reshape(4, 256), frame)
        wait_until(lambda: emulator.acquisitions == 1)


def test_what_goes_wrong_is_recorded() -> None:
    plan: dict[int, tuple[Action, ...]] = {1: ("drop",), 3: ("duplicate", "stall")}
    emulated = MerlinEmulator(
        from_array(FRAMES), KIND, plans=always(lambda number: plan.get(number, ())), stall_seconds=0.01
    )
    with emulated as emulator, Client(emulator.data_port) as data:
        wait_until(lambda: emulator.listeners)
        emulator.ask("SET,NUMFRAMESTOACQUIRE,5")
        emulator.ask("CMD,STARTACQUISITION")
        data.read()
        assert [int(data.read()[4:10]) for _ in range(5)] == [1, 3, 4, 4, 5]
        assert emulator.done == [(1, "drop"), (3, "duplicate"), (3, "stall")]


def test_a_request_that_is_none_closes_the_connection() -> None:
    with MerlinEmulator(from_array(FRAMES), KIND) as emulator, Client(emulator.control_port) as control:
        control.socket.sendall(b"MPX,9999999999,")
        assert control.socket.recv(1) == b""


@pytest.mark.parametrize("layout", ["1x1", "2x1", "3x1", "4x1", "2x2", "2x2G"])
def test_the_header_of_a_frame_fits_before_its_pixels(layout: str) -> None:
    kind = PixelKind("U16", 12, layout)
    header = frame_header(999_999, kind, (514, 514), datetime(2026, 4, 15, tzinfo=UTC), 99999.0)
    assert len(header) == 256 + 128 * kind.chips
    assert header.rstrip(b"\0").endswith(b",12,")
