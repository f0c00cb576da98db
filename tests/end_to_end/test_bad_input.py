"""What cannot work is said before the scan starts, in one line, with the numbers."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from helpers.dectris import emulated, noise
from helpers.rig import RenderedScan, Rig
from helpers.waiting import wait_until
from livestrain_client.cli.command import run
from livestrain_client.rig.processes import free_ports, livestrain
from livestrain_simulator.sender import FrameSender


def _serve(folder: Path, settings: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    ports = free_ports()
    environment = {
        "spool__folder": str(folder / "spool"),
        "intake__endpoint": ports.frames_endpoint,
        "publish__maps_endpoint": ports.maps_endpoint,
        "publish__control_endpoint": ports.control_endpoint,
        "publish__http_port": str(ports.http),
        "workers__spares": "0",
        **settings,
    }
    return subprocess.run(
        livestrain("serve", *arguments),
        env={**os.environ, **{f"LIVESTRAIN_{key.upper()}": value for key, value in environment.items()}},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("[intake]\nendpoit = 'tcp://127.0.0.1:1'\n", "intake.endpoit"),
        ("[workers]\ncount = 'many'\n", "workers.count"),
        ("[nonsense]\nx = 1\n", "nonsense"),
        ("[publish]\nmaps_endpoint = 'tcp://0.0.0.0:5551'\n", "publish.maps_endpoint"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str, key: str
) -> None:
    for name in [name for name in os.environ if name.startswith("LIVESTRAIN_")]:
        monkeypatch.delenv(name)
    file = tmp_path / "livestrain.toml"
    file.write_text(content)
    assert run(["serve", "--config", str(file)]) == 78
    said = _last_line(capsys.readouterr().err)
    assert key in said
    assert str(file) in said


@pytest.mark.parametrize(
    ("key", "endpoint"),
    [
        ("intake.endpoint", "frames_endpoint"),
        ("publish.maps_endpoint", "maps_endpoint"),
        ("publish.control_endpoint", "control_endpoint"),
    ],
)
def test_a_port_in_use_is_named(tmp_path: Path, rig: Rig, key: str, endpoint: str) -> None:
    taken: str = getattr(rig.ports, endpoint)
    outcome = _serve(tmp_path, {key.replace(".", "__"): taken})
    assert outcome.returncode == 69
    assert taken in outcome.stderr


def test_the_http_port_in_use_is_named(tmp_path: Path, rig: Rig) -> None:
    outcome = _serve(tmp_path, {"publish__http_port": str(rig.ports.http)})
    assert outcome.returncode == 69
    assert str(rig.ports.http) in _last_line(outcome.stderr)


def test_a_spool_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = _serve(tmp_path, {"spool__folder": str(tmp_path / "file")})
    assert outcome.returncode == 74
    assert str(tmp_path / "file") in _last_line(outcome.stderr)


def test_a_ring_that_does_not_fit_is_refused_with_the_numbers(tmp_path: Path) -> None:
    outcome = _serve(tmp_path, {"spool__record": "false", "spool__ring_mib": "16000000"})
    assert outcome.returncode == 74
    line = _last_line(outcome.stderr)
    assert line.startswith("livestrain serve: the intake could not start: ")
    assert f"needs {16000000 << 20} bytes" in line


def test_a_detector_that_can_never_work_ends_the_daemon_with_the_reason(tmp_path: Path) -> None:
    """The twin, a detector that works, is in test_detectors."""
    with emulated(noise(4, 8, 8)) as server:
        ports = {"stream_port": server.emulator.outlet.port("cbor"), "rest_port": server.port}
        table = {"host": "127.0.0.1", "api_version": "9.9.9", **ports}
        outcome = _serve(tmp_path, {"intake__dectris": json.dumps(table)})
    assert outcome.returncode == 69
    line = _last_line(outcome.stderr)
    assert line.startswith("livestrain serve: the detector cannot be used: GET http://127.0.0.1:")
    assert "9.9.9" in line


@pytest.mark.parametrize("name", ["dectris", "merlin", "asi"])
def test_a_host_that_there_is_not_is_told_in_one_line_before_anything_is_started(tmp_path: Path, name: str) -> None:
    outcome = _serve(tmp_path, {f"intake__{name}": json.dumps({"host": "256.1.1.1"})})
    text = "expected the name or address of a host, found '256.1.1.1': Name or service not known"
    assert outcome.returncode == 69
    assert outcome.stderr == f"livestrain serve: intake.{name}.host: {text}\n"


def test_a_setting_that_a_detector_refuses_ends_the_daemon_with_the_reason(tmp_path: Path) -> None:
    """The twin, a detector that is armed, is in test_arming."""
    with emulated(noise(4, 8, 8)) as server:
        ports = {"stream_port": server.emulator.outlet.port("cbor"), "rest_port": server.port}
        table = {"host": "127.0.0.1", "arm": {"detector": {"trigger_mode": "now"}}, **ports}
        outcome = _serve(tmp_path, {"intake__dectris": json.dumps(table)})
    assert outcome.returncode == 69
    line = _last_line(outcome.stderr)
    assert line.startswith("livestrain serve: the detector cannot be used: ")
    assert "config/trigger_mode" in line
    assert "found 400" in line


def test_a_list_of_positions_that_makes_no_sense_is_refused_with_its_name(tmp_path: Path) -> None:
    """The twin, one that makes sense, is in the tests of the intake."""
    (tmp_path / "list.csv").write_text("0,0\n5,5\n")
    table = {"shape": [2, 2], "positions": str(tmp_path / "list.csv")}
    outcome = _serve(tmp_path, {"intake__scan": json.dumps(table)})
    assert outcome.returncode == 78
    line = _last_line(outcome.stderr)
    assert "intake.scan.positions: expected positions within 2 x 2" in line
    assert line.endswith("list.csv, found [5, 5] for frame 1")


def test_a_spool_in_use_is_refused(tmp_path: Path, rig: Rig) -> None:
    outcome = _serve(tmp_path, {"spool__folder": str(rig.spool)})
    assert outcome.returncode == 69
    assert str(rig.main.pid) in _last_line(outcome.stderr)


def test_a_scan_that_does_not_fit_is_refused_with_the_numbers_and_the_next_one_goes_on(
    rig: Rig, scan: RenderedScan
) -> None:
    with rig.live() as live:
        with FrameSender(rig.ports.frames_endpoint) as sender:
            sender.start(
                scan.start("huge").model_copy(update={"scan_shape": (4096, 4096), "frame_shape": (4096, 4096)})
            )
            sender.flush()

        def refused() -> str | None:
            live.poll(0.05)
            texts = [event.text for event in live.events if event.name == "scan_refused"]
            return texts[-1] if texts else None

        text = wait_until(refused, what="the refusal")
        assert text is not None
        assert "huge" in text
        needed = re.search(r"needs (\d+) bytes", text)
        assert needed is not None
        assert int(needed[1]) > 4096**4 * 2
        scan.send(rig, "small")
        ended = rig.wait_until_final("small").ended
        assert ended is not None
        assert ended.stages["diffraction"].analysed == 1024


@pytest.mark.parametrize("verb", [("status",), ("watch", "--timeout", "1"), ("calibrate",), ("stop",)])
def test_a_client_without_a_daemon_says_so(verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    endpoint = free_ports().control_endpoint
    assert run([*verb, "--control", endpoint, "--deadline", "0.5"]) == 69
    assert endpoint in capsys.readouterr().err
