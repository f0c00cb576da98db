"""The command: verbs from entry points, output for people and machines, exit codes."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from helpers.wire_daemon import WireDaemon
from livestrain_client.cli import arm, calibrate, exits, reference, status, stop, verbs, watch
from livestrain_client.cli.calibrate import parse_positions
from livestrain_client.cli.command import run
from livestrain_client.cli.found import calibration_rows
from livestrain_client.cli.reference import parse_region
from livestrain_client.errors import BadRegion
from livestrain_client.requests import Control
from livestrain_wire.messages import (
    ApplyCalibrationRequest,
    CalibrateReply,
    CalibrateRequest,
    DetectorStatus,
    ReferenceInfo,
    ReferenceRequest,
    StopRequest,
)

VERBS = ("watch", "status", "arm", "stop", "calibrate", "reference")
SHAPE = (8, 10)


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two real packages on the path: one with the client's verbs, one of a stranger."""
    own = "".join(f"{verb} = livestrain_client.cli.{verb}:app\n" for verb in VERBS)
    own += "disarm = livestrain_client.cli.arm:disarm_app\n"
    strange = "wander = livestrain_daemon_absent.cli:app\ngreet = strange:app\nfall = strange:fall\n"
    (tmp_path / "strange.py").write_text(
        "import typer\n"
        "app = typer.Typer(help='Greet somebody.\\n\\nMore.')\n"
        "@app.command()\n"
        "def greet(name: str):\n    typer.echo('hello ' + name)\n"
        "fall = typer.Typer(pretty_exceptions_enable=False)\n"
        "class Wrong(Exception):\n    exit_code = 78\n"
        "@fall.command()\n"
        "def fall_over(how: str):\n    raise {'config': Wrong, 'io': OSError, 'bug': KeyError}[how]('over')\n"
    )
    for name, entries in (("own", own), ("strange", strange)):
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[{verbs.GROUP}]\n{entries}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name in ("LIVESTRAIN_PUBLISH__MAPS_ENDPOINT", "LIVESTRAIN_PUBLISH__CONTROL_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[WireDaemon]:
    """A daemon that the environment points to, with a scan in progress."""
    with WireDaemon() as daemon:
        monkeypatch.setenv("LIVESTRAIN_PUBLISH__MAPS_ENDPOINT", daemon.maps_endpoint)
        monkeypatch.setenv("LIVESTRAIN_PUBLISH__CONTROL_ENDPOINT", daemon.control_endpoint)
        e_xx = np.zeros(SHAPE, np.float32)
        e_xx[4, 5] = 0.5
        daemon.begin({"e_xx": e_xx, "total": np.ones(SHAPE, np.uint32)}, derived=())
        daemon.acknowledge((0, 30))
        yield daemon


def test_help_shows_each_verb_and_loads_none_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == exits.OK
    shown = capsys.readouterr().out
    for verb in VERBS:
        assert verb in shown
        assert verbs.HELP[verb][:30] in shown
    assert "Greet somebody." in shown
    assert "More." not in shown


@pytest.mark.parametrize("verb", VERBS)
def test_the_line_in_the_help_agrees_with_the_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == exits.OK
    shown = " ".join(capsys.readouterr().out.split())
    assert f"livestrain {verb}" in shown
    assert verbs.HELP[verb].rstrip(".").split(";")[0] in shown


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == exits.OK
    assert capsys.readouterr().out == f"livestrain {version('livestrain')}\n"


def test_no_verb_or_a_wrong_one_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == exits.USAGE
    assert run(["wach"]) == exits.USAGE
    assert "did you mean 'watch'?" in capsys.readouterr().err
    assert run(["watch", "--no-such-option"]) == exits.USAGE


def test_a_missing_extra_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(verbs.EXTRAS, "livestrain_daemon_absent", "daemon")
    assert run(["wander"]) == exits.UNAVAILABLE
    assert capsys.readouterr().err == (
        "livestrain wander needs the extra 'daemon': "
        "pip install 'livestrain[daemon]', or in a clone pip install -e '.[daemon]' "
        "(No module named 'livestrain_daemon_absent')\n"
    )


def test_verbs_of_other_packages_run_and_their_errors_have_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["greet", "world"]) == exits.OK
    assert capsys.readouterr().out == "hello world\n"
    assert run(["fall", "config"]) == exits.CONFIG
    assert run(["fall", "io"]) == exits.IO
    assert "livestrain fall: over" in capsys.readouterr().err
    with pytest.raises(KeyError):
        run(["fall", "bug"])


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_when_no_daemon_answers(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--control", "tcp://127.0.0.1:9", "--deadline", "0.2"]) == exits.UNAVAILABLE
    told = capsys.readouterr()
    assert "tcp://127.0.0.1:9" in told.err
    assert told.out == ""


def test_the_command_is_light_and_ends_with_the_code_of_its_verb() -> None:
    code = (
        "import sys; from livestrain_client.cli import main; sys.argv[1:] = ['status', '--deadline', '0.1', "
        "'--control', 'tcp://127.0.0.1:9']\n"
        "try:\n    main()\nfinally:\n"
        "    heavy = {'numba', 'h5py', 'matplotlib', 'livestrain_daemon', 'livestrain_core'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (exits.UNAVAILABLE, ""), done.stderr


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


def test_stop_asks_for_the_scan_or_the_daemon(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stop"]) == exits.OK
    assert run(["stop", "daemon"]) == exits.OK
    asked = [request.what for request in daemon.requests if isinstance(request, StopRequest)]
    assert asked == ["scan", "daemon"]
    assert run(["stop", "everything"]) == exits.USAGE
    assert capsys.readouterr().out == ""


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


def test_reference_is_set_and_undone(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reference", "--region", "0:4,2:10"]) == exits.OK
    told = capsys.readouterr()
    assert "region 0:4,2:10" in told.out
    assert "--revert-to 1" in told.err
    assert run(["reference", "--values", "0", "3", "3.5", "-1", "--json"]) == exits.OK
    assert json.loads(capsys.readouterr().out)["reference"]["vectors"] == [0.0, 3.0, 3.5, -1.0]
    assert run(["reference", "--revert-to", "2"]) == exits.OK
    assert run(["reference", "--median"]) == exits.OK
    assert run(["reference", "--axes", "scan"]) == exits.OK
    assert run(["reference", "--axes", "g1", "--region", "0:4,2:10"]) == exits.OK
    asked = [request for request in daemon.requests if isinstance(request, ReferenceRequest)]
    assert asked[0].region == (0, 2, 4, 10)
    assert [request.revert_to for request in asked] == [None, None, 2, None, None, None]
    assert [request.axes for request in asked] == [None, None, None, None, "scan", "g1"]


def test_undo_goes_to_before_the_latest_request_and_says_what_it_undoes(
    daemon: WireDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    # two medians have come by themselves since somebody gave values
    daemon.reference = ReferenceInfo(revision=7, kind="region", vectors=(0.0, 3.0, 3.0, 0.0), undo_to=4)
    assert run(["reference", "--undo"]) == exits.OK
    assert "undone: revision 7 (region)" in capsys.readouterr().err
    asked = [request.revert_to for request in daemon.requests if isinstance(request, ReferenceRequest)]
    assert asked == [4]


def test_without_a_request_there_is_nothing_to_undo(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.reference = ReferenceInfo(revision=7, kind="median", vectors=(0.0, 3.0, 3.0, 0.0))
    assert run(["reference", "--undo"]) == exits.NO_DATA
    assert "no change of the reference to undo" in capsys.readouterr().err
    assert not [request for request in daemon.requests if isinstance(request, ReferenceRequest)]


def test_a_wrong_reference_is_a_usage_error_and_none_is_no_data(
    daemon: WireDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["reference", "--region", "4:4,0:2"]) == exits.USAGE
    assert run(["reference", "--median", "--undo"]) == exits.USAGE
    assert run(["reference", "--axes", "sideways"]) == exits.USAGE
    assert run(["reference", "--axes", "scan", "--undo"]) == exits.USAGE
    assert not daemon.requests
    assert run(["reference"]) == exits.NO_DATA
    assert run(["reference", "--undo"]) == exits.NO_DATA
    told = capsys.readouterr().err
    assert "there is no reference yet" in told
    assert "no change of the reference to undo" in told
    for text in ("", "1:2", "1:2,3", "a:b,c:d", "2:1,0:1", "-1:2,0:1", f"0:1,0:{'9' * 30}"):
        with pytest.raises(BadRegion, match=r"expected .* found"):
            parse_region(text)


@pytest.mark.parametrize("values", ["0 0 0 0", "1 2 2 4", "nan 1 2 3", "inf 0 0 1"])
def test_vectors_that_span_no_area_are_a_usage_error(
    values: str, daemon: WireDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["reference", "--values", *values.split()]) == exits.USAGE
    assert f"expected g1 and g2 that span an area [px], found {values}" in capsys.readouterr().err
    assert not daemon.requests


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


def test_each_verb_module_has_its_app() -> None:
    for module in (watch, status, arm, stop, calibrate, reference):
        assert module.app.registered_commands
