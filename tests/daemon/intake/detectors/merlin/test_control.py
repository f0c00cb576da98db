import socket
from threading import Thread

import pytest

from helpers.merlin import frames_of
from livestrain_daemon.intake.detectors.merlin.control import Control
from livestrain_daemon.intake.detectors.merlin.errors import ControlRefused
from livestrain_recordings.merlin.errors import WrongMessage
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind, from_array

KIND = PixelKind("U16", 12, "1x1")
FRAMES = from_array(frames_of(KIND))


@pytest.mark.parametrize("short", [False, True], ids=["right", "one-too-small"])
def test_settings_can_be_changed_and_read_whatever_the_length_of_replies(short: bool) -> None:
    emulated = MerlinEmulator(FRAMES, KIND, short_replies=short)
    with emulated as emulator, Control("127.0.0.1", emulator.control_port) as control:
        control.set("NUMFRAMESTOACQUIRE", 12)
        assert control.get("NUMFRAMESTOACQUIRE") == "12"
        control.set("ACQUISITIONTIME", 0.5)
        assert control.get("ACQUISITIONTIME") == "0.5"
        assert (control.get("IMAGEY"), control.get("IMAGEX")) == ("64", "256")
        assert control.get("DETECTORSTATUS") == "0"


@pytest.mark.parametrize(
    ("name", "value", "code", "reason"),
    [
        ("NOSUCHNAME", "1", 2, "it does not know this name"),
        ("COUNTERDEPTH", "13", 3, "the value is out of range"),
        ("NUMFRAMESTOACQUIRE", "-1", 3, "the value is out of range"),
        ("NUMFRAMESTOACQUIRE", "many", 3, "the value is out of range"),
    ],
)
def test_what_is_refused_is_said_with_its_return_code(name: str, value: str, code: int, reason: str) -> None:
    with MerlinEmulator(FRAMES, KIND) as emulator, Control("127.0.0.1", emulator.control_port) as control:
        expected = f"^SET,{name},{value}: expected return code 0, found {code}: {reason}$"
        with pytest.raises(ControlRefused, match=expected):
            control.set(name, value)
        # the connection is as good as before
        assert control.get("NUMFRAMESTOACQUIRE") == "1"


def test_a_detector_that_acquires_is_busy() -> None:
    with MerlinEmulator(FRAMES, KIND) as emulator, Control("127.0.0.1", emulator.control_port) as control:
        control.set("TRIGGERSTART", 5)
        control.command("STARTACQUISITION")
        assert control.get("DETECTORSTATUS") == "1"
        with pytest.raises(ControlRefused, match="the detector is busy"):
            control.command("STARTACQUISITION")
        with pytest.raises(ControlRefused, match="the detector is busy"):
            control.set("TRIGGERSTART", 0)
        control.command("ABORT")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"MPX,9999999999,", "expected a message of 1 to 16384 bytes, found a length of 9999999999"),
        (b"HTTP/1.0 400 Bad Request", "expected MPX, and a length of 10 digits"),
        (b"MPX,0000000010,GET,A,1,0", "expected an answer to GET,B, found 'GET,A,1,0'"),
        (b"MPX,0000000011,GET,B,1,ok", "expected an answer to GET,B, found 'GET,B,1,ok'"),
    ],
)
def test_an_answer_that_is_none_is_refused(reply: bytes, expected: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(reply)

        answering = Thread(target=answer)
        answering.start()
        with Control("127.0.0.1", server.getsockname()[1], 5) as control, pytest.raises(WrongMessage, match=expected):
            control.get("B")
        answering.join()


def test_a_detector_that_does_not_answer_costs_no_more_than_the_time_out() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with server, Control("127.0.0.1", server.getsockname()[1], 0.1) as control, pytest.raises(TimeoutError):
        control.get("DETECTORSTATUS")
