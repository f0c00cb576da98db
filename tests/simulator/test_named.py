"""What a sender learns of what became of its scan, from a daemon over real sockets."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from typer.testing import CliRunner

from helpers.waiting import wait_until
from helpers.wire_daemon import WireDaemon
from livestrain_simulator.cli import simulate_app
from livestrain_simulator.named import NOT_ARMED, Fate, fate_of
from simulator.receiving import receiving


def begun(daemon: WireDaemon, scan_id: str) -> None:
    daemon.begin({"total": np.ones((2, 2), np.uint32)}, derived=(), scan_id=scan_id)


@pytest.mark.parametrize(
    ("sent", "given"), [("first", "first"), ("first", "first-2"), ("first", "first-13"), ("a" * 64, "a" * 58 + "-2")]
)
def test_the_daemon_s_name_is_told(sent: str, given: str) -> None:
    with WireDaemon() as daemon:
        begun(daemon, given)
        assert fate_of(daemon.control_endpoint, sent, 0) == Fate(given)


@pytest.mark.parametrize("other", ["second", "first-x", "first-", "firs", "2"])
def test_another_scan_gives_no_name(other: str) -> None:
    with WireDaemon() as daemon:
        begun(daemon, other)
        assert fate_of(daemon.control_endpoint, "first", 0, seconds=0.3) == Fate()


def test_an_earlier_scan_of_the_same_name_is_not_meant() -> None:
    with WireDaemon() as daemon:
        begun(daemon, "first")
        assert fate_of(daemon.control_endpoint, "first", time.time_ns() + 10**9, seconds=0.3) == Fate()


@pytest.mark.parametrize("nowhere", ["tcp://127.0.0.1:9", "nonsense"])
def test_where_nobody_answers_there_is_no_name(nowhere: str) -> None:
    assert fate_of(nowhere, "first", 0, seconds=0.2) == Fate()


@pytest.mark.parametrize(
    ("given", "told"), [("abc-2", "as scan abc, which the daemon calls abc-2"), ("abc", "as scan abc\n")]
)
def test_a_scan_that_was_renamed_is_told_so(given: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # the helper's scans begin at the epoch
    monkeypatch.setattr("time.time_ns", lambda: 0)
    with WireDaemon() as daemon, receiving() as receiver:
        begun(daemon, given)
        options = ["--scan", "2x2", "--shape", "64", "--scan-id", "abc", "--endpoint", receiver.endpoint]
        done = CliRunner().invoke(simulate_app, [*options, "--control", daemon.control_endpoint])
    assert done.exit_code == 0, done.output
    assert told in done.stdout


@pytest.mark.parametrize(("refused", "fate"), [("first", Fate(refusal="too large")), ("other", Fate()), ("", Fate())])
def test_a_refusal_is_told_with_its_reason(refused: str, fate: Fate) -> None:
    with WireDaemon() as daemon:
        daemon.last_refusal = refused and f"{refused}: too large"
        assert fate_of(daemon.control_endpoint, "first", 0, seconds=0.3) == fate


def test_a_scan_that_has_begun_was_not_refused_whatever_became_of_one_before() -> None:
    with WireDaemon() as daemon:
        daemon.last_refusal = "first: too large"
        begun(daemon, "first")
        assert fate_of(daemon.control_endpoint, "first", 0) == Fate("first")


@pytest.mark.parametrize("armed", [True, False])
def test_a_scan_that_a_daemon_ignores_because_it_is_not_armed_was_refused(armed: bool) -> None:
    with WireDaemon() as daemon:
        daemon.armed = armed
        fate = fate_of(daemon.control_endpoint, "first", 0, seconds=0.3)
        assert fate == (Fate() if armed else Fate(refusal=NOT_ARMED))


@pytest.mark.parametrize("earlier", [True, False])
def test_a_refusal_stays_why_when_the_daemon_is_disarmed_after_it(earlier: bool) -> None:
    with WireDaemon() as daemon, ThreadPoolExecutor(1) as pool:
        daemon.last_refusal, daemon.armed = "first: too large", not earlier
        fate = pool.submit(fate_of, daemon.control_endpoint, "first", 0, 1.0)
        # who asks again has had an answer
        wait_until(lambda: len(daemon.requests) >= 2, 20)
        daemon.armed = False
        assert fate.result() == Fate(refusal=NOT_ARMED if earlier else "too large")


def test_a_scan_that_began_before_the_daemon_was_disarmed_was_not_refused() -> None:
    with WireDaemon() as daemon:
        begun(daemon, "first")
        daemon.armed = False
        assert fate_of(daemon.control_endpoint, "first", 0) == Fate("first")


@pytest.mark.parametrize("refusal", ["", "abc: needs 9 bytes,\nfound 3 free"])
def test_a_refused_scan_is_a_failure_in_one_line(refusal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 0)
    with WireDaemon() as daemon, receiving() as receiver:
        daemon.last_refusal = refusal
        begun(daemon, "another" if refusal else "abc")
        options = ["--scan", "2x2", "--shape", "64", "--scan-id", "abc", "--endpoint", receiver.endpoint, "--json"]
        done = CliRunner().invoke(simulate_app, [*options, "--control", daemon.control_endpoint])
    assert json.loads(done.stdout)["refusal"] == (refusal.removeprefix("abc: ") or None)
    told = done.stderr.strip().splitlines()[-1]
    assert done.exit_code == (69 if refusal else 0)
    assert (told == "livestrain: the daemon refused scan abc: needs 9 bytes, found 3 free") == bool(refusal)
