"""What is asked for happens or is refused, and what is reported is what left."""

import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from livestrain_simulator.cli import replay_app, simulate_app
from livestrain_simulator.delivery import Acquisition, Delivery, EmulatedDetector, no_news
from livestrain_simulator.emulators.choice import deliver
from livestrain_simulator.emulators.faults import Among, Faults, WrongFault
from livestrain_simulator.emulators.playing import _plans
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.pacing import Pacer
from livestrain_wire.messages import ScanStart
from simulator.receiving import receiving

SMALL = ["--scan", "4x4", "--shape", "32", "--wait", "0.2"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--as", "merlin", "--times", "t.npy"], "--times: does not go with --as merlin"),
        (["--as", "dectris-v2", "--scan-id", "mine"], "--scan-id: does not go with --as dectris-v2"),
        (["--as", "asi", "--frames-per-message", "8"], "--frames-per-message: does not go with --as asi"),
        (["--as", "asi", "--endpoint", "tcp://127.0.0.1:9"], "--endpoint: does not go with --as asi"),
        (["--as", "asi", "--control", "tcp://127.0.0.1:9"], "--control: does not go with --as asi"),
        (["--as", "merlin", "--encoding", "lz4"], "--encoding: merlin sends pixels as they are"),
        (["--as", "asi-tpx3", "--control-port", "0"], "--control-port: asi-tpx3 takes no commands"),
        (["--host", "127.0.0.1"], "--host: goes with --as only"),
        (["--stream-port", "0"], "--stream-port: goes with --as only"),
        (["--control-port", "0"], "--control-port: goes with --as only"),
        (["--arm", "wait"], "--arm: goes with --as only"),
        (["--stall-seconds", "2"], "--stall-seconds: goes with --stall only"),
        (["--abort-at", "16"], "--abort-at: expected a scan of the frames 0 to 15, found 16"),
        (["--rearm", "1000"], "--rearm: expected a scan of the frames 0 to 15, found 1000"),
        (["--drop", "3,10-20"], "--drop: expected a scan of the frames 0 to 15, found 20"),
        (["--short-by", "17"], "--short-by: expected 16 frames at most, found 17"),
        (["--as", "merlin", "--drop", "16"], "--drop: expected a scan of the frames 0 to 15, found 16"),
    ],
)
def test_what_would_do_nothing_is_refused_in_one_line(options: list[str], said: str) -> None:
    done = CliRunner().invoke(simulate_app, [*SMALL, *options])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"livestrain: {said}"


def test_a_dwell_time_goes_with_real_time_only(tmp_path: Path) -> None:
    done = CliRunner().invoke(replay_app, [str(tmp_path / "scan.npy"), "--dwell-us", "5"])
    assert (done.exit_code, done.stderr) == (2, "livestrain: --dwell-us: goes with --rate real only\n")


def test_what_the_environment_says_is_for_others_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESTRAIN_INTAKE__ENDPOINT", "tcp://127.0.0.1:9")
    ports = ["--stream-port", "0", "--control-port", "0"]
    done = CliRunner().invoke(simulate_app, [*SMALL, "--as", "merlin", *ports])
    assert done.exit_code == 69
    assert "nobody took frames" in done.stderr


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        ([], 16),
        (["--drop", "0-9"], 6),
        (["--duplicate", "0-3"], 20),
        (["--short-by", "6"], 10),
        (["--abort-at", "5"], 5),
        (["--corrupt", "3"], 16),
        (["--late-header", "4"], 16),
    ],
)
def test_the_frames_of_a_report_are_those_that_left(options: list[str], frames: int) -> None:
    with receiving() as receiver:
        endpoint = ["--endpoint", receiver.endpoint, "--frames-per-message", "1", "--wait", "20", "--json"]
        done = CliRunner().invoke(simulate_app, [*SMALL, *endpoint, *options])
    facts = json.loads(done.stdout)
    assert (facts["frames"], facts["messages"], facts["bytes"]) == (frames, frames, frames * 32 * 32 * 2)


def actions_of(faults: dict[Any, Among], number: int, **others: int) -> tuple[str, ...]:
    absent = np.zeros(10, bool)
    absent[[0, 3]] = True
    start = ScanStart(scan_id="some", scan_shape=(2, 5), frame_shape=(8, 8), dtype="uint8")
    acquisition = Acquisition(start, 10, lambda: iter([]), absent=absent)
    return tuple(_plans(acquisition, Delivery(faults=Faults(faults, **others)))(0, 10)(number))


def test_what_a_file_lacks_is_neither_lost_nor_repeated_on_purpose() -> None:
    always = Among(1.0)
    assert actions_of({"duplicate": always, "second_series": always}, 3) == ("absent",)
    assert actions_of({"drop": always}, 3) == ("absent",)
    assert actions_of({"drop": always}, 4) == ("drop",)
    assert set(actions_of({"stall": always}, 3, late_header=5)) == {"stall", "late_header", "absent"}
    record = ScanRecord(0, 10)
    record.do(3, ("absent",))
    assert (record.counts(), record.sent) == ({}, 0)


def test_the_end_of_a_scan_is_not_absent() -> None:
    assert actions_of({}, 10) == ()


def test_who_commands_a_detector_may_ask_it_for_longer_scans() -> None:
    start = ScanStart(scan_id="some", scan_shape=(2, 5), frame_shape=(8, 8), dtype="uint8")
    acquisition = Acquisition(start, 10, lambda: iter([np.zeros((10, 8, 8), np.uint8)]))
    faults = Faults({"drop": Among(numbers=(range(50, 60),))})
    with pytest.raises(WrongFault, match="--drop"):
        deliver(acquisition, Delivery(faults=faults, detector=EmulatedDetector("merlin")), no_news, no_news)
    waits = EmulatedDetector("merlin", stream_port=0, control_port=0, arm="wait")
    with pytest.raises(RuntimeError, match="nobody began a scan"):
        deliver(acquisition, Delivery(faults=faults, detector=waits, wait_seconds=0.05), no_news, no_news)


def test_every_burst_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(Pacer, "wait_for", lambda self, frame: asked.append(frame))
    with receiving() as receiver:
        options = ["--endpoint", receiver.endpoint, "--frames-per-message", "1", "--rate", "1000", "--burst", "4"]
        done = CliRunner().invoke(simulate_app, [*SMALL, *options, "--wait", "20"])
    assert done.exit_code == 0, done.output
    assert asked == list(range(16))


def test_an_address_that_is_taken_is_named_with_its_host() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(
            simulate_app, [*SMALL, "--as", "merlin", "--stream-port", str(port), "--control-port", "0"]
        )
    assert done.exit_code == 69
    assert f"127.0.0.1: cannot listen at port {port}: Address already in use" in done.stderr


@pytest.mark.parametrize("name", ["merlin", "asi", "dectris-v1"])
def test_a_daemon_is_told_an_address_that_it_can_reach(name: str) -> None:
    ports = ["--host", "0.0.0.0", "--stream-port", "0", "--control-port", "0"]  # noqa: S104 - what is tested
    done = CliRunner().invoke(simulate_app, [*SMALL, "--as", name, *ports])
    assert 'host = "127.0.0.1"' in done.stderr
    assert f"{name} at tcp://0.0.0.0:" in done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [("native", "interrupted: the scan ends as aborted"), ("asi", "interrupted: asi has stopped, as if it were off")],
)
def test_an_interruption_says_what_becomes_of_the_scan(monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("livestrain_simulator.simulate.simulate", interrupted)
    done = CliRunner().invoke(simulate_app, [*SMALL, "--as", name])
    assert done.exit_code == 130
    assert done.stderr.splitlines()[-1] == f"livestrain: {said}"
