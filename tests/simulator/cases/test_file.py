import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from livestrain_simulator.cases.blind import blind_set, detect_set
from livestrain_simulator.cases.case import Case
from livestrain_simulator.cases.cli import app
from livestrain_simulator.cases.contrast import MODELS
from livestrain_simulator.cases.file import write_case

CASE = Case("small", (64, 64), spacing_px=17.0, radius_px=4.0, disks=9, scan_shape=(2, 3), seed=3)


def test_a_file_holds_frames_probe_truth_and_bounds(tmp_path: Path) -> None:
    path = write_case(tmp_path, CASE)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["small.h5"]
    with h5py.File(path) as file:
        assert file["frames"].shape == (2, 3, 64, 64)
        assert file["frames"].dtype == np.uint16
        assert file["usable_pixels"][:].all()
        assert file["vacuum_probe"].shape == (64, 64)
        hk, truth = file["hk"][:], file["truth"]
        positions = truth["centre"][:][:, :, None] + np.einsum("rcij,mj->rcmi", truth["G"][:], hk)
        assert truth["positions"][:] == pytest.approx(positions)
        f = truth["F"][:]
        assert truth["G"][:] == pytest.approx(np.linalg.inv(f).swapaxes(-1, -2) @ file["G0"][:])
        for modes in (0, 6):
            assert json.loads(file.attrs[f"bound_modes_{modes}"])["e00"] > 0
        assert file.attrs["dose_electrons"] == 1e5


def test_a_polycrystal_has_positions_but_no_lattice(tmp_path: Path) -> None:
    with h5py.File(write_case(tmp_path, replace(CASE, grains=2))) as file:
        assert "G0" not in file
        assert file.attrs["lattice"] == "polycrystal"
        assert np.isfinite(file["truth/positions"][:, :, 0]).all()


def test_a_case_without_noise_has_no_bound(tmp_path: Path) -> None:
    with h5py.File(write_case(tmp_path, replace(CASE, dose=float("inf")))) as file:
        assert "bound_modes_6" not in file.attrs
        assert file["frames"].dtype == np.float32


def test_the_blind_set_has_every_kind_of_case_and_is_another_for_each_seed() -> None:
    cases, others = blind_set(1), blind_set(2)
    assert blind_set(1) == cases
    assert [case.name for case in cases] == [case.name for case in others]
    assert all(a.spacing_px != b.spacing_px for a, b in zip(cases, others, strict=True))
    assert {case.contrast for case in cases} == {*MODELS, "mixed"}
    assert {case.lattice for case in cases} == {"square", "hexagonal", "oblique"}
    assert {fault for case in cases for fault in case.faults} == {"hot", "stop", "gap"}
    assert {case.dose for case in cases} == {1e4, 1e5, 1e6, float("inf")}
    assert {case.nonuniformity for case in cases} == {0.0, 0.5, 0.9}
    assert any(case.grains for case in detect_set(1))


def test_the_verb_writes_the_cases_chosen(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path / "made"), "--scan", "2", "--only", "base_d5_u5_mixed_gap"])
    assert result.exit_code == 0, result.output
    assert [item.name for item in (tmp_path / "made").iterdir()] == ["base_d5_u5_mixed_gap.h5"]


def test_the_verb_says_what_there_is_when_nothing_is_chosen(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path / "made"), "--only", "nonsense"])
    assert result.exit_code == 2
    assert "base_d5_u5_mixed" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said_in_a_line() -> None:
    result = CliRunner().invoke(app, ["/proc/nothing/made", "--only", "base_d5_u5_mixed_gap"])
    assert (result.exit_code, result.stderr.count("\n")) == (74, 1)
    assert "/proc/nothing/made: cannot be written" in result.stderr
