"""How long `livestrain watch --when` waits."""

import socket
from collections.abc import Iterator

import numpy as np
import pytest

from helpers.wire_daemon import WireDaemon
from livestrain_client.cli import exits
from livestrain_client.cli.command import run


@pytest.fixture
def daemon() -> Iterator[WireDaemon]:
    """A daemon that has sent all of a scan, and has not ended it."""
    with WireDaemon() as daemon:
        e_xx = np.zeros((8, 10), np.float32)
        e_xx[4, 5] = 0.5
        daemon.begin({"e_xx": e_xx})
        daemon.acknowledge((0, 80))
        yield daemon


def watched(daemon: WireDaemon, condition: str, maps_endpoint: str = "") -> int:
    endpoints = ["--maps-endpoint", maps_endpoint or daemon.maps_endpoint, "--control", daemon.control_endpoint]
    return run(["watch", "--when", condition, "--timeout", "0.5", *endpoints])


@pytest.mark.parametrize("ended", [False, True])
def test_a_condition_that_is_not_met_in_time_gives_up(
    daemon: WireDaemon, capsys: pytest.CaptureFixture[str], ended: bool
) -> None:
    if ended:
        daemon.end()
    assert watched(daemon, "e_xx > 5") == exits.NO_DATA
    assert "no position has met e_xx > 5 within 0.5 s" in capsys.readouterr().err
    assert watched(daemon, "e_xx > 0.25") == exits.CONDITION_MET


def test_the_wrong_maps_endpoint_does_not_wait_for_ever(daemon: WireDaemon) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{one.getsockname()[1]}"
        assert watched(daemon, "e_xx > 5", nobody) == exits.NO_DATA
