"""The verbs that tell or change what the daemon does."""

import json
import re
import time

import pytest

from helpers.wire_daemon import WireDaemon
from livestrain_client.cli import exits, status
from livestrain_client.cli.command import run
from livestrain_client.requests import Control
from livestrain_wire.messages import (
    DetectorStatus,
    StopRequest,
)


def test_status_tells_people_and_machines(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status"]) == exits.OK
    shown = capsys.readouterr().out
    for text in ("scan-1  8 x 10", "stored 30/80", "revision 1: e_xx, total", "1,000 frames/s"):
        assert text in shown
    assert run(["status", "--json"]) == exits.OK
    told = json.loads(capsys.readouterr().out)
    assert told["progress"]["stored"] == 30
    assert told["epoch"] == daemon.epoch


def test_an_endpoint_on_every_interface_is_reached_over_loopback(
    daemon: WireDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    anywhere = daemon.control_endpoint.replace("127.0.0.1", "*")
    monkeypatch.setenv("LIVESTRAIN_PUBLISH__CONTROL_ENDPOINT", anywhere)
    assert run(["status"]) == exits.OK


def test_arm_and_disarm_say_what_holds_then(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["arm"]) == exits.OK
    held = [daemon.armed]
    assert run(["disarm"]) == exits.OK
    assert [*held, daemon.armed] == [True, False]
    told = capsys.readouterr()
    assert (told.out, "accepted" in told.err, "ignored" in told.err) == ("", True, True)


def test_status_says_what_the_detector_does_and_which_pixels_are_left_out(daemon: WireDaemon) -> None:
    with Control(daemon.control_endpoint) as control:
        reply = control.status()
    assert {"detector", "left out"}.isdisjoint(status.status_fields(reply))
    assert reply.plan is not None
    plan = {**reply.plan.plan, "unusable": [[3, 4], [90, 1]], "corrections": {"saturation": 4095.0}}
    detector = DetectorStatus(name="merlin", endpoint="tcp://merlin:6342", state="waiting", trouble="it is busy")
    told = {"plan": reply.plan.model_copy(update={"plan": plan}), "detector": detector}
    fields = status.status_fields(reply.model_copy(update=told))
    assert fields["detector"] == "merlin tcp://merlin:6342: connected, waiting for a series to begin  (it is busy)"
    assert fields["left out"] == "5 pixels and saturated ones, from 4095 counts on"


def test_status_says_since_when_a_detector_is_gone() -> None:
    never = DetectorStatus(name="asi", endpoint="tcp://asi:8088", state="connecting")
    assert status.detector_line(never) == "asi tcp://asi:8088: not reached yet"
    gone = never.model_copy(update={"lost_ns": time.time_ns(), "trouble": "Connection refused"})
    assert re.fullmatch(
        r"asi tcp://asi:8088: not connected since (\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d  \(Connection refused\)",
        status.detector_line(gone),
    )
    assert re.fullmatch(r"(1969-12-31|1970-01-01) \d\d:\d\d:\d\d", status.clock(0))


def test_stop_asks_for_the_scan_or_the_daemon(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stop"]) == exits.OK
    assert run(["stop", "daemon"]) == exits.OK
    asked = [request.what for request in daemon.requests if isinstance(request, StopRequest)]
    assert asked == ["scan", "daemon"]
    assert run(["stop", "everything"]) == exits.USAGE
    assert capsys.readouterr().out == ""
