"""The verb export as a shell runs it."""

import os
from pathlib import Path
from shutil import copytree

import pytest
from typer.testing import CliRunner, Result

from daemon.test_cli import livestrain
from livestrain_daemon.export import Choice, NothingToExport, pack, read_scan
from livestrain_daemon.export.cli import export_app
from livestrain_daemon.scanfolder.files import free_bytes
from livestrain_daemon.scanfolder.hold import InUseError, nobody_holding
from livestrain_daemon.scanfolder.removal import set_aside

USAGE, NO_DATA, IO = 2, 3, 74


def ask(*arguments: object) -> Result:
    """The verb within this process."""
    return CliRunner().invoke(export_app, [str(argument) for argument in arguments])


def test_the_verb_writes_and_says_what(folder: Path, tmp_path: Path) -> None:
    done = livestrain(tmp_path, "export", str(folder), "--to", "csv", "--maps", "e_xx,theta", "--axes", "g1")
    assert (done.returncode, done.stdout) == (0, "small-r0001.csv\n"), done.stderr
    text = (tmp_path / "small-r0001.csv").read_text()
    assert "axes of strain: g1" in text
    assert "\nrow,column,e_xx,theta,why\n" in text


def test_region_revision_and_output_are_taken(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "deep" / "table.csv"
    done = ask(folder, "--to", "csv", "--reference", "0:9,0:20", "--revision", "1", "--output", place)
    assert (done.exit_code, done.stdout) == (0, f"{place}\n")
    assert '"kind": "region"' in place.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--to", "csv", "--maps", "e_zz"], NO_DATA, "there is no map 'e_zz'"),
        (["--to", "csv", "--revision", "3"], NO_DATA, "expected a revision among 1, found 3"),
        (["--to", "csv", "--reference", "mean"], USAGE, "expected a reference"),
        (["--to", "csv", "--reference", "0:99,0:2"], NO_DATA, "expected a region within 18 x 20"),
        (["--to", "csv", "--axes", "scan"], NO_DATA, "does not say how the scan lies"),
        (["--to", "csv", "--output", "/proc/nothing/out"], IO, "cannot be made"),
        (["--to", "jpeg"], USAGE, "jpeg"),
        (["--to", "csv", "--reference", f"{'9' * 5000}:1,0:1"], USAGE, "expected a reference"),
        (["--to", "csv", "--maps", ""], USAGE, "--maps names none"),
        (["--to", "csv", "--maps", " , "], USAGE, "--maps names none"),
        ([], USAGE, "choose a format with --to, or --pack"),
        (["--to", "csv", "--pack"], USAGE, "choose a format with --to, or --pack"),
        (["--pack", "--output", "/proc/nothing/out"], IO, "cannot be made"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = ask(folder, *arguments)
    assert done.exit_code == code
    assert words in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_scan_and_what_has_no_lattice_is_said_in_a_line(
    without_disks: Path, folder: Path, tmp_path: Path
) -> None:
    no_scan = ask(tmp_path, "--to", "png")
    assert (no_scan.exit_code, no_scan.stderr.count("\n")) == (IO, 1)
    assert f"{tmp_path}: is not a scan folder: it has no frames.h5" in no_scan.stderr
    file = ask(folder / "frames.h5", "--pack")
    assert (file.exit_code, file.stderr.count("\n"), "is no folder" in file.stderr) == (IO, 1, True)
    no_lattice = ask(without_disks, "--to", "py4dstem", "--output", tmp_path / "out")
    assert (no_lattice.exit_code, no_lattice.stderr.count("\n")) == (NO_DATA, 1)
    no_strain = ask(without_disks, "--to", "csv", "--maps", "e_xx")
    assert (no_strain.exit_code, "no lattice" in no_strain.stderr) == (NO_DATA, True)
    damaged = copytree(folder, tmp_path / "damaged")
    (damaged / "results-0001.h5").write_bytes(b"nothing of HDF5")
    broken = ask(damaged, "--to", "csv")
    assert (broken.exit_code, broken.stderr.count("\n")) == (IO, 1)


@pytest.mark.parametrize("how", [["--to", "csv"], ["--pack"]])
def test_the_folder_that_may_have_been_meant_is_named(folder: Path, tmp_path: Path, how: list[str]) -> None:
    for wrong, what in ((folder.parent, "is not a scan folder"), (folder / "results-0001.h5", "is no folder")):
        done = ask(wrong, *how)
        assert (done.exit_code, done.stderr.count("\n")) == (IO, 1)
        assert f"{wrong}: {what}" in done.stderr
        assert f"did you mean {folder}?" in done.stderr
    absent = ask(tmp_path / "absent", *how)
    assert absent.stderr == f"livestrain export: {tmp_path / 'absent'}: does not exist\n"


def test_of_many_scans_the_latest_are_named(tmp_path: Path) -> None:
    for age, name in enumerate("abcde"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "frames.h5").touch()
        os.utime(tmp_path / name / "frames.h5", (1e9 - age, 1e9 - age))
    (tmp_path / "file").touch()
    done = ask(tmp_path, "--to", "csv")
    named = " or ".join(str(tmp_path / name) for name in "abc")
    assert done.stderr.endswith(f"did you mean {named} or one of 2 more?\n")


def test_what_exists_is_kept_unless_forced(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "table.csv"
    place.write_text("precious")
    kept = ask(folder, "--to", "csv", "-o", place)
    assert (kept.exit_code, place.read_text()) == (IO, "precious")
    assert "--force" in kept.stderr
    assert ask(folder, "--to", "csv", "-o", place, "--force").exit_code == 0
    assert place.read_text().startswith("# scan small")


def test_the_frames_are_packed(folder: Path, tmp_path: Path) -> None:
    done = ask(folder, "--pack", "-o", tmp_path)
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'small-frames.h5'}\n")


def test_a_scan_is_not_removed_while_somebody_has_what_was_read_of_it(folder: Path, tmp_path: Path) -> None:
    copy = Path(copytree(folder, tmp_path / "scan"))
    scan = read_scan(copy, Choice())
    with pytest.raises(InUseError, match="is being written or exported"):
        set_aside(copy)
    assert scan.vectors is not None
    del scan
    set_aside(copy)
    assert not copy.exists()


def test_a_scan_that_could_not_be_read_is_let_go_of(folder: Path, tmp_path: Path) -> None:
    copy = Path(copytree(folder, tmp_path / "scan"))
    with pytest.raises(NothingToExport) as kept:
        read_scan(copy, Choice(revision=7))
    assert kept.value.__traceback__ is not None
    set_aside(copy)


def test_a_scan_is_not_removed_while_its_frames_are_packed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(copytree(folder, tmp_path / "scan"))
    tried: list[bool] = []

    def removed_meanwhile(place: Path) -> int:
        with pytest.raises(InUseError):
            set_aside(copy)
        tried.append(True)
        return free_bytes(place)

    # asked for before every chunk
    monkeypatch.setattr(pack, "free_bytes", removed_meanwhile)
    assert ask(copy, "--pack", "-o", tmp_path).exit_code == 0
    assert tried
    set_aside(copy)


def test_a_scan_that_is_being_removed_is_not_exported(folder: Path, tmp_path: Path) -> None:
    copy = Path(copytree(folder, tmp_path / "scan"))
    with nobody_holding(copy):
        done = ask(copy, "--to", "csv", "--output", tmp_path / "table.csv")
    assert done.exit_code == IO
    assert "is being removed" in done.stderr
    assert ask(copy, "--to", "csv", "--output", tmp_path / "table.csv").exit_code == 0
