import json
from pathlib import Path

import pytest

from livestrain_client.cli.command import run
from livestrain_client.cli.exits import NO_DATA, OK, USAGE

FIELDS = {
    "case": str,
    "estimator": str,
    "template": str,
    "rms_normal_1e4": float,
    "rms_shear_1e4": float,
    "rms_theta_mrad": float,
    "failed": float,
    "bias_1e4": float,
    "z_rms": float,
    "fps": float,
    "peer": dict,
}


def test_disks_are_measured_case_by_case_as_json(cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "disks", "--cases", str(cases), "--only", "small_", "--repeats", "1", "--json"]) == OK
    output = capsys.readouterr()
    found = json.loads(output.out)["cases"]
    assert [one["case"] for one in found] == ["small_hot"]
    assert "small_poly: a polycrystal" in output.err
    for one in found:
        for name, kind in FIELDS.items():
            assert isinstance(one[name], kind), name


def test_disks_are_shown_as_a_table(cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "disks", "--cases", str(cases), "--only", "small_hot", "--estimator", "precise"]
    assert run([*arguments, "--repeats", "1"]) == OK
    out = capsys.readouterr().out
    assert "small_hot" in out
    assert "precise" in out
    assert "/ bound" in out
    assert "[mrad]" in out


def test_a_folder_without_cases_is_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "disks", "--cases", str(tmp_path)]) == NO_DATA
    assert str(tmp_path) in capsys.readouterr().err
    assert run(["bench", "disks", "--cases", str(tmp_path / "absent")]) == USAGE


def test_benchmarks_of_all_packages_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--help"]) == OK
    out = capsys.readouterr().out
    for name in ("disks", "workers", "cases", "stream"):
        assert f"  {name} " in out
