"""Acquisitions that are started here, and what becomes of them if something fails."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from daemon.intake.detectors.merlin.test_acquisition import frame, header
from helpers.merlin import IMPATIENT, listening
from helpers.waiting import wait_until
from livestrain_daemon.intake.detectors.merlin.arming import Arming, Starter
from livestrain_daemon.intake.detectors.merlin.framing import framed, payload_bytes
from livestrain_daemon.intake.detectors.merlin.source import Address, MerlinDetector


class Controlled:
    """The control connection of a detector that does nothing."""

    def __init__(self, server: socket.socket) -> None:
        self.port = int(server.getsockname()[1])
        self.asked: list[str] = []
        self.status = "0"
        self.deaf_to = ""
        """A request that ends the connection, once."""
        self._server = server

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                while self._answered(connection):
                    pass

    def _answered(self, connection: socket.socket) -> bool:
        prefix = connection.recv(15, socket.MSG_WAITALL)
        if not prefix:
            return False
        verb, name, *_ = connection.recv(payload_bytes(prefix), socket.MSG_WAITALL).decode().split(",")
        self.asked.append(name)
        if name == self.deaf_to:
            self.deaf_to = ""
            return False
        found = f"{self.status}," if verb == "GET" else ""
        connection.sendall(framed(f"{verb},{name},{found}0".encode()))
        return True

    def started(self) -> int:
        return self.asked.count("STARTACQUISITION")


@contextmanager
def controlled() -> Iterator[Controlled]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = Controlled(server)
        thread = Thread(target=found.serve)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def stepped(starter: Starter, now: float, idle: bool = True) -> list[str]:
    """Kinds of what is told, once the control connection has been used."""
    trouble = starter.step(now, idle)
    if trouble is None and starter._thread:
        starter._thread.join(10)
        trouble = starter.step(now, idle)
    return [trouble.kind] if trouble else []


def test_an_acquisition_that_ends_while_nobody_is_connected_is_followed_by_the_next() -> None:
    with controlled() as control, socket.create_server(("127.0.0.1", 0)) as first:
        port = int(first.getsockname()[1])
        arming = Arming(control.port, repeat=True)
        with listening(MerlinDetector(Address("127.0.0.1", port), IMPATIENT, arming)) as heard:
            connection, _ = first.accept()
            wait_until(lambda: control.started() == 1)
            for message in (header(10), frame(0), frame(1)):
                connection.sendall(framed(message))
            wait_until(lambda: heard.starts)
            first.close()
            connection.close()
            wait_until(lambda: heard.ends)
            with socket.create_server(("127.0.0.1", port)) as second:
                again, _ = second.accept()
                with again:
                    wait_until(lambda: control.started() == 2)


def test_an_acquisition_that_is_over_before_its_first_frame_is_told_and_followed_by_the_next() -> None:
    with controlled() as control:
        starter = Starter("127.0.0.1", Arming(control.port, repeat=True), silence_seconds=10)
        starter.ended()
        assert stepped(starter, 0.0) == []
        assert stepped(starter, 1.0) == []
        assert stepped(starter, 10.0) == []
        assert control.asked == ["STARTACQUISITION"]
        assert stepped(starter, 11.5) == []
        assert stepped(starter, 11.6) == ["lost"]
        assert stepped(starter, 11.7) == []
        assert control.asked == ["STARTACQUISITION", "DETECTORSTATUS", "STARTACQUISITION"]
        starter.close()


def test_frames_that_had_come_before_the_detector_said_that_it_is_over_are_not_lost() -> None:
    with controlled() as control:
        starter = Starter("127.0.0.1", Arming(control.port, repeat=True), silence_seconds=10)
        starter.ended()
        for now, idle in ((0.0, True), (11.5, True), (11.6, False), (11.7, True)):
            assert stepped(starter, now, idle) == []
        assert control.asked == ["STARTACQUISITION", "DETECTORSTATUS"]
        starter.close()


@pytest.mark.parametrize(("status", "idle"), [("1", True), ("0", False)], ids=["waits for its trigger", "has frames"])
def test_an_acquisition_that_is_not_over_is_left_alone(status: str, idle: bool) -> None:
    with controlled() as control:
        control.status = status
        starter = Starter("127.0.0.1", Arming(control.port, repeat=True), silence_seconds=10)
        starter.ended()
        for now in (0.0, 1.0, 20.0, 40.0):
            assert stepped(starter, now, idle) == []
        assert control.started() == 1
        starter.close()
        assert control.asked[-1] == "STOPACQUISITION"


def test_an_acquisition_whose_trigger_fails_is_triggered_again_and_stopped_at_the_end() -> None:
    with controlled() as control:
        control.deaf_to = "SOFTTRIGGER"
        starter = Starter("127.0.0.1", Arming(control.port, soft_trigger=True))
        assert stepped(starter, 0.0) == ["connection"]
        starter.close()
        assert control.asked == ["STARTACQUISITION", "SOFTTRIGGER", "STOPACQUISITION"]


def test_a_trigger_that_failed_is_given_again_without_another_start() -> None:
    with controlled() as control:
        control.deaf_to = "SOFTTRIGGER"
        starter = Starter("127.0.0.1", Arming(control.port, soft_trigger=True))
        assert stepped(starter, 0.0) == ["connection"]
        assert stepped(starter, 5.0) == []
        assert control.asked == ["STARTACQUISITION", "SOFTTRIGGER", "SOFTTRIGGER"]
        starter.close()
