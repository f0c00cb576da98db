"""The verb ``watch``, from its options to its exit code."""

import json
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from client.cli.scan import SHAPE
from helpers.waiting import wait_until
from helpers.wire_daemon import WireDaemon
from livestrain_client.cli import exits
from livestrain_client.cli.command import run


def test_watch_ends_with_the_scan_and_saves(
    daemon: WireDaemon, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    daemon.acknowledge((30, 50))
    daemon.end()
    assert run(["watch", "--until-end", "--save", str(tmp_path / "out")]) == exits.OK
    told = capsys.readouterr()
    for text in ("scan scan-1 8 x 10", "plan 1: e_xx, total", "stored 80/80", "complete after 2.0 s"):
        assert text in told.out
    assert "maps.npz" in told.err
    with np.load(tmp_path / "out" / "maps.npz") as saved:
        assert saved["total"].sum() == 160


def test_watch_streams_json_lines(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.end()
    assert run(["watch", "--until-end", "--json", "--maps", "e_xx"]) == exits.OK
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines[:3]] == ["scan_started", "plan", "progress"]
    maps = [line for line in lines if line["type"] == "map"]
    assert {line["name"] for line in maps} == {"e_xx"}
    assert maps[-1]["known"] == 30
    assert maps[-1]["runs"] == [[0, 30]]
    assert lines[-1]["type"] in {"map", "progress", "scan_ended"}


def test_watch_ends_when_a_condition_is_met(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.acknowledge((30, 50))
    assert run(["watch", "--when", "e_xx < -1", "--when", "e_xx > 1.25"]) == exits.CONDITION_MET
    assert "e_xx > 1.25: 1.5 at row 4, column 5" in capsys.readouterr().out
    assert run(["watch", "--when", "e_xx > 1.25", "--json"]) == exits.CONDITION_MET
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["column"] == 5
    assert run(["watch", "--when", "e_xx", "--json"]) == exits.USAGE


@pytest.mark.parametrize(("options", "code"), [([], exits.CONDITION_MET), (["--until-end"], exits.OK)])
def test_watch_goes_on_with_the_next_scan_unless_it_waits_for_the_end_of_one(
    daemon: WireDaemon, options: list[str], code: int
) -> None:
    def measure_on() -> None:
        wait_until(lambda: daemon.requests, 20, "somebody who watches")
        daemon.acknowledge((30, 50))
        daemon.end()
        daemon.begin({"e_xx": np.zeros(SHAPE, np.float32), "total": np.full(SHAPE, 7, np.uint32)}, "scan-2", derived=())
        daemon.acknowledge((0, 80))

    measuring = Thread(target=measure_on)
    measuring.start()
    # only the second scan has such counts
    found = run(["watch", "--when", "total>6", "--timeout", "20", *options])
    measuring.join(20)
    assert found == code


def test_watch_ends_where_a_map_will_never_come(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.end()
    assert run(["watch", "--when", "strain > 1"]) == exits.NO_DATA
    assert "no map strain under this plan; there are e_xx, total" in capsys.readouterr().err


def test_watch_waits_for_the_next_scan_if_wanted(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.end()
    assert run(["watch", "--until-end"]) == exits.OK
    assert run(["watch", "--until-end", "--next", "--timeout", "0.3"]) == exits.NO_DATA
    assert "complete" in capsys.readouterr().out


def test_watch_says_at_once_where_it_cannot_save(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["watch", "--save", "/proc/nothing/maps"]) == exits.IO
    assert "/proc/nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("maps", "code"), [("e_xx,", exits.OK), ("e_xx", exits.OK), (",", exits.USAGE), ("", exits.USAGE)]
)
def test_watch_takes_no_empty_name_of_a_map(daemon: WireDaemon, maps: str, code: int) -> None:
    daemon.acknowledge((30, 50))
    daemon.end()
    assert run(["watch", "--until-end", f"--maps={maps}"]) == code


def test_watch_gives_up_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    with WireDaemon() as daemon:
        endpoints = ["--maps-endpoint", daemon.maps_endpoint, "--control", daemon.control_endpoint]
        assert run(["watch", *endpoints, "--timeout", "0.1"]) == exits.NO_DATA
        daemon.begin({"e_xx": np.zeros(SHAPE, np.float32)})
        daemon.end("aborted")
        assert run(["watch", *endpoints, "--until-end"]) == exits.NO_DATA
    assert "aborted" in capsys.readouterr().out
