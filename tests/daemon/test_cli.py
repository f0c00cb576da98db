"""The daemon's verbs as a shell runs them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from livestrain_daemon.config import load_config

CONFIG, UNAVAILABLE, IO = 78, 69, 74


def livestrain(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command; its last words must be words, not a traceback."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LIVESTRAIN_")}
    done = subprocess.run(
        [Path(sys.executable).with_name("livestrain"), *arguments],
        cwd=folder,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def written(folder: Path, text: str) -> str:
    path = folder / "livestrain.toml"
    path.write_text(text)
    return str(path)


def free_ports(folder: Path, **more: str) -> str:
    """A configuration that takes no fixed port."""
    any_port = 'endpoint = "tcp://127.0.0.1:*"'
    publish = {
        "maps_endpoint": '"tcp://127.0.0.1:*"',
        "control_endpoint": '"tcp://127.0.0.1:*"',
        "http_port": "0",
        **more,
    }
    lines = "\n".join(f"{key} = {value}" for key, value in publish.items())
    text = f'[intake]\n{any_port}\n[publish]\n{lines}\n[spool]\nfolder = "{folder / "spool"}"\nreserve_mib = 0\n'
    return written(folder, text)


def test_the_configuration_shown_is_the_one_that_holds(tmp_path: Path) -> None:
    path = written(tmp_path, "[workers]\ncount = 2\n")
    done = livestrain(tmp_path, "config", "show", path, LIVESTRAIN_WORKERS__SPARES="3")
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "shown.toml").write_text(done.stdout)
    shown = load_config(tmp_path / "shown.toml")
    assert (shown.workers.count, shown.workers.spares) == (2, 3)


def test_a_good_configuration_is_called_good(tmp_path: Path) -> None:
    done = livestrain(tmp_path, "config", "check", written(tmp_path, "[workers]\ncount = 2\n"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "the configuration can be used\n", "")


@pytest.mark.parametrize("verb", [("config", "check"), ("serve", "--config"), ("doctor", "-c")])
def test_an_unknown_key_ends_every_verb_with_78_naming_key_and_file(tmp_path: Path, verb: tuple[str, str]) -> None:
    path = written(tmp_path, "[workers]\ncuont = 2\n")
    done = livestrain(tmp_path, *verb, path)
    assert done.returncode == CONFIG
    assert f"{path}: workers.cuont: " in done.stdout + done.stderr


@pytest.mark.parametrize("verb", [("config", "check"), ("serve", "--config")])
def test_a_missing_probe_is_found_at_once_naming_file_and_key(tmp_path: Path, verb: tuple[str, str]) -> None:
    free_ports(tmp_path)
    path = written(tmp_path, (tmp_path / "livestrain.toml").read_text() + '[analysis]\nvacuum_probe = "none.npy"\n')
    done = livestrain(tmp_path, *verb, path)
    assert done.returncode == CONFIG
    told = f"{path}: analysis.vacuum_probe: there is no file {tmp_path / 'none.npy'}\n"
    assert done.stderr == f"livestrain {verb[0]}: {told}"


def test_a_probe_that_is_there_is_taken(tmp_path: Path) -> None:
    np.save(tmp_path / "probe.npy", np.ones((8, 8)))
    done = livestrain(tmp_path, "config", "check", written(tmp_path, '[analysis]\nvacuum_probe = "probe.npy"\n'))
    assert (done.returncode, done.stderr) == (0, "")


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Verdicts by what was looked at."""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["what"]: line["verdict"] for line in lines}


def test_the_doctor_finds_a_good_machine_good(tmp_path: Path) -> None:
    done = livestrain(tmp_path, "doctor", "--json", "--no-write", "-c", free_ports(tmp_path))
    assert done.returncode == 0
    verdicts = findings(done)
    assert "bad" not in verdicts.values()
    assert {"configuration", "packages", "memory", "spool", "intake.endpoint", "publish.http_port"} <= verdicts.keys()
    assert list((tmp_path / "spool").iterdir()) == []


def test_the_doctor_compiles_for_types_that_frames_have_and_refuses_others_in_a_line(tmp_path: Path) -> None:
    asked = ("doctor", "--json", "--no-write", "-c", free_ports(tmp_path), "--compile")
    assert findings(livestrain(tmp_path, *asked, "uint16"))["kernels"] == "good"
    done = livestrain(tmp_path, *asked, "uint16,int7")
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected some of uint8, uint16, uint32, float32, found 'int7'" in " ".join(done.stderr.split())


def test_the_doctor_says_74_for_a_spool_that_cannot_be_used(tmp_path: Path) -> None:
    path = free_ports(tmp_path)
    (tmp_path / "spool").write_text("a file")
    done = livestrain(tmp_path, "doctor", "--json", "--no-write", "-c", path)
    assert (done.returncode, findings(done)["spool"]) == (IO, "bad")


def test_the_doctor_says_69_for_a_port_in_use(tmp_path: Path, taken: int) -> None:
    path = free_ports(tmp_path, maps_endpoint=f'"tcp://127.0.0.1:{taken}"')
    done = livestrain(tmp_path, "doctor", "--json", "--no-write", "-c", path)
    assert (done.returncode, findings(done)["publish.maps_endpoint"]) == (UNAVAILABLE, "bad")


def test_a_daemon_whose_port_is_in_use_says_so_and_ends_with_69(tmp_path: Path, taken: int) -> None:
    path = free_ports(tmp_path, http_port=str(taken))
    sockets = tmp_path / "tmp"
    sockets.mkdir()
    done = livestrain(tmp_path, "serve", "-c", path, TMPDIR=str(sockets))
    assert done.returncode == UNAVAILABLE
    assert f"livestrain serve: publish.http_port: cannot listen on 127.0.0.1:{taken}" in done.stderr
    assert [entry.name for entry in sockets.iterdir() if entry.name.startswith("livestrain-")] == []
