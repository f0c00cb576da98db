"""The verb ``calibrate``."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.wire_daemon import WireDaemon
from livestrain_client.cli import calibrate, exits
from livestrain_client.cli.calibrate import parse_positions
from livestrain_client.cli.command import run
from livestrain_client.cli.found import calibration_rows
from livestrain_wire.messages import (
    ApplyCalibrationRequest,
    CalibrateReply,
    CalibrateRequest,
)


def test_calibrate_shows_and_applies_only_when_told(
    daemon: WireDaemon, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["calibrate"]) == exits.OK
    told = capsys.readouterr()
    assert "(3.5, 3.25)" in told.out
    assert "nothing is changed" in told.err
    np.save(tmp_path / "probe.npy", np.ones((8, 8)))
    options = ["--yes", "--vacuum-probe", str(tmp_path / "probe.npy"), "--positions", "0:80:16", "--json"]
    assert run(["calibrate", *options]) == exits.OK
    assert json.loads(capsys.readouterr().out)["revision"] == 2
    asked = [request for request in daemon.requests if isinstance(request, CalibrateRequest)]
    assert [request.apply for request in asked] == [False, False]
    assert asked[-1].positions == (0, 16, 32, 48, 64)
    assert asked[-1].vacuum_probe
    (applied,) = (request for request in daemon.requests if isinstance(request, ApplyCalibrationRequest))
    assert applied.proposal == "abc"
    assert len(daemon.payloads[daemon.requests.index(asked[-1])]) == 4 * 64


@pytest.mark.parametrize("options", [["--dry-run"], ["--dry-run", "--yes"], ["--json"], []])
def test_calibrate_changes_nothing_without_a_word_of_a_person(daemon: WireDaemon, options: list[str]) -> None:
    assert run(["calibrate", *options]) == exits.OK
    assert not [request for request in daemon.requests if isinstance(request, ApplyCalibrationRequest)]


@pytest.mark.parametrize(("answer", "applied"), [("y\n", 1), ("\n", 0)])
def test_calibrate_asks_a_person_at_a_terminal(daemon: WireDaemon, answer: str, applied: int) -> None:
    person, terminal = pty.openpty()
    code = "from livestrain_client.cli.command import run; raise SystemExit(run(['calibrate']))"
    with subprocess.Popen([sys.executable, "-c", code], stdin=terminal, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(person, 4096)
        assert b"disk radius" in shown
        os.write(person, answer.encode())
        with contextlib.suppress(OSError):  # the terminal is gone with its process
            while os.read(person, 4096):
                pass
        assert process.wait(30) == exits.OK
    os.close(person)
    assert len([one for one in daemon.requests if isinstance(one, ApplyCalibrationRequest)]) == applied


def test_calibrate_shows_every_quantity_with_its_source(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert daemon.scan is not None
    assert run(["calibrate"]) == exits.OK
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "disk radius 2 px found on request: 2 frames",
        "g1 to g2 90.00 degrees",
        "broken pixels 3",
        "axis 0 reversed, then turned by -12.5 degrees given in the configuration",
        "1.02000 to 1, long axis at 30.0 degrees, 0.1 px off found on request: a ring",
        "(0.01, 0) px per row",
        "0.125 1/nm",
    ):
        assert text in shown


@pytest.mark.parametrize(("source", "told"), [("command", "given by request"), ("given", "given in the configuration")])
def test_what_was_given_is_not_said_to_be_found(source: str, told: str) -> None:
    axes = {"source": source, "how": "as given", "rotation_deg": 0.0, "flip": "none"}
    (row,) = (row for row in calibration_rows({"scan_axes": axes}) if row[0] == "scan axes")
    assert row[2] == told


def test_what_the_sender_said_is_not_said_to_be_found() -> None:
    pixel = {"source": "automatic", "how": "as the sender says", "size": 0.25, "unit": "mrad"}
    (row,) = (row for row in calibration_rows({"pixel_size": pixel}) if row[0] == "pixel")
    assert row == ("pixel", "0.25 mrad", "as the sender says")


@pytest.mark.parametrize(
    ("found", "keep", "told"),
    [
        ({"g1": (3.0, 0.0)}, False, "--yes makes a new plan revision"),
        ({"g1": None, "reason": "dark"}, False, "no lattice was found"),
        ({"g1": None, "reason": "dark"}, True, "--yes makes a new plan revision"),
    ],
)
def test_nobody_is_told_to_apply_a_calibration_without_a_lattice(
    found: dict[str, object], keep: bool, told: str
) -> None:
    reply = CalibrateReply(id="1", epoch="e", scan_id="s", proposal="abc", calibration=found, revision=None)
    assert told in calibrate.outcome(reply, keep)


def test_what_is_known_goes_with_the_request(daemon: WireDaemon, tmp_path: Path) -> None:
    np.save(tmp_path / "ring.npy", np.ones((8, 8)))
    options = ["--keep", "--rotation", "-12.5", "--flip", "columns", "--spacing", "0.192", "--spacing-of", "g2"]
    options += ["--ring", "10", "20", "--ring-image", str(tmp_path / "ring.npy")]
    assert run(["calibrate", *options]) == exits.OK
    (asked,) = (request for request in daemon.requests if isinstance(request, CalibrateRequest))
    assert (asked.keep, asked.ring_image, asked.vacuum_probe) == (True, True, False)
    given = asked.given
    assert (given.rotation_deg, given.flip, given.spacing_nm, given.spacing_of) == (-12.5, "columns", 0.192, "g2")
    assert given.ring == (10.0, 20.0)
    assert len(daemon.payloads[daemon.requests.index(asked)]) == 4 * 64


@pytest.mark.parametrize(
    "options",
    [
        ["--pixel-size", "1", "--spacing", "0.2"],
        ["--pixel-size", "-1"],
        ["--ellipse", "1.1", "0", "--ring", "10", "20"],
        ["--ellipse", "0.9", "0"],
        ["--ring", "20", "10"],
        ["--rotation", "1000"],
        ["--flip", "sideways"],
        ["--ring-image", "pyproject.toml"],
    ],
)
def test_what_cannot_be_known_is_a_usage_error(daemon: WireDaemon, options: list[str]) -> None:
    assert run(["calibrate", *options]) == exits.USAGE
    assert not daemon.requests


def test_a_vacuum_probe_that_is_none_is_a_usage_error(
    daemon: WireDaemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "probe.h5").write_bytes(b"\x89HDF\r\n\x1a\n\x00")
    np.save(tmp_path / "cube.npy", np.ones((2, 2, 2)))
    np.save(tmp_path / "objects.npy", np.array([[{}]], object))
    found = {
        "text.npy": "is not a .npy file, found text that begins with 'no array'",
        "probe.h5": "is not a .npy file, found an HDF5 file",
        "cube.npy": "holds no image of numbers",
        "objects.npy": "cannot be read",
        "absent.npy": "does not exist",
    }
    for name, told in found.items():
        assert run(["calibrate", "--vacuum-probe", str(tmp_path / name)]) == exits.USAGE
        said = capsys.readouterr().err
        assert told.replace(" ", "") in "".join(said.replace("│", "").split())
        assert "unsafe" not in said
    assert not daemon.requests


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "1:b",
        "5:2",
        "-1",
        "1,,2",
        "0:9:0",
        "0:4:1:1",
        "9" * 20,
        "9" * 5000,
        "0:99999999999",
        "1 2",
        "1 2,3",
        "0:4 096",
        "0:9:" + "9" * 50,
    ],
)
def test_positions_that_are_none_are_a_usage_error(
    text: str, daemon: WireDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["calibrate", f"--positions={text}"]) == exits.USAGE
    last = capsys.readouterr().err.splitlines()[-1]
    assert "--positions" in last
    assert "expected" in last
    assert "found" in last
    assert not daemon.requests


def test_positions_are_a_list_or_a_slice() -> None:
    assert parse_positions("3, 4") == [3, 4]
    assert parse_positions("0:3") == [0, 1, 2]
    assert parse_positions("0 : 8 : 4") == [0, 4]
    assert parse_positions(str((1 << 26) - 1)) == [(1 << 26) - 1]
    assert len(parse_positions("0:65536")) == 1 << 16
