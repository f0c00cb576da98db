import socket
import threading
from collections.abc import Iterator

import pytest

from daemon.web import get
from helpers.waiting import wait_until
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.health import HealthServer
from livestrain_daemon.metrics import Metrics


class Patient:
    """What is wrong, by the page that tells."""

    alive = ""
    ready = ""


@pytest.fixture
def patient() -> Patient:
    return Patient()


@pytest.fixture
def server(patient: Patient) -> Iterator[HealthServer]:
    one = HealthServer("127.0.0.1", 0, Metrics(), lambda: patient.alive, lambda: patient.ready)
    yield one
    one.close()


def ask(server: HealthServer, page: str) -> tuple[int, str]:
    return get(f"http://127.0.0.1:{server.port}{page}")


@pytest.mark.parametrize("page", ["/healthz", "/readyz", "/readyz?verbose=1"])
def test_all_is_well_until_somebody_complains(server: HealthServer, page: str) -> None:
    assert ask(server, page) == (200, "ok\n")


def test_a_loop_that_does_not_turn_is_not_healthy_but_may_be_ready(server: HealthServer, patient: Patient) -> None:
    patient.alive = "the main loop has not turned for 7.0 s"
    assert ask(server, "/healthz") == (503, "the main loop has not turned for 7.0 s\n")
    assert ask(server, "/readyz")[0] == 200
    patient.alive = ""
    assert ask(server, "/healthz")[0] == 200


def test_cold_workers_are_not_ready_but_healthy(server: HealthServer, patient: Patient) -> None:
    patient.ready = "the workers are not warm"
    assert ask(server, "/readyz") == (503, "the workers are not warm\n")
    assert ask(server, "/healthz")[0] == 200


@pytest.mark.parametrize("page", ["/", "/metricsx", "/../etc/passwd", "//"])
def test_other_pages_are_not_found(server: HealthServer, page: str) -> None:
    assert ask(server, page)[0] == 404


@pytest.mark.parametrize("junk", [b"junk\r\n\r\n", b"\xff\xfe\x00\r\n\r\n", b"GET " + b"x" * 70_000 + b"\r\n\r\n", b""])
def test_garbage_harms_nobody_and_is_not_worth_a_line(
    server: HealthServer, junk: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(junk)
    assert ask(server, "/healthz")[0] == 200
    wait_until(lambda: not [one for one in threading.enumerate() if "process_request_thread" in one.name])
    assert capfd.readouterr().err == ""


def test_a_silent_client_keeps_nobody_waiting(server: HealthServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5):
        assert ask(server, "/metrics")[0] == 200


def test_a_port_in_use_is_said_with_its_key(server: HealthServer) -> None:
    with pytest.raises(Unavailable, match=rf"publish\.http_port: cannot listen on 127\.0\.0\.1:{server.port}"):
        HealthServer("127.0.0.1", server.port, Metrics(), str, str)


@pytest.mark.parametrize("host", ["256.1.1.1", "no.such.host.invalid", "203.0.113.7"])
def test_a_host_that_is_not_ours_is_said(host: str) -> None:
    with pytest.raises(Unavailable, match=r"publish\.http_port: cannot listen"):
        HealthServer(host, 0, Metrics(), str, str)
