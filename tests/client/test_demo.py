"""What demonstration and benchmarks refuse before they start anything, and how one ends that is interrupted."""

import signal
import subprocess
from pathlib import Path

import pytest

from helpers.waiting import wait_until
from livestrain_client.cli import exits
from livestrain_client.cli.command import run
from livestrain_client.rig import asked
from livestrain_client.rig.processes import livestrain
from livestrain_client.writable import check_writable
from livestrain_simulator import limits


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--scan", "4y5"], "expected ROWSxCOLUMNS of 1 to 65536"),
        (["--scan", "0x5"], "expected ROWSxCOLUMNS of 1 to 65536"),
        (["--scan", "65536x65536"], "expected at most 16777216 in all"),
        (["--shape", "65536"], "expected at most 67108864 in all"),
        (["--rate", "-1"], "at least 0.001, or max, found -1"),
        (["--rate", "nan"], "at least 0.001, or max, found nan"),
        (["--rate", "fast"], "at least 0.001, or max, found fast"),
        (["--dose", "1e30"], "less than or equal to 1000000000"),
        (["--dose", "nan"], "less than or equal to 1000000000"),
        (["--dose", "-1"], "greater than or equal to 0"),
        (["--seed", "-1"], "greater than or equal to 0"),
        (["--seed", "x"], "valid integer"),
    ],
)
def test_wrong_options_are_refused_before_anything_starts(
    wrong: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["demo", "--output", str(tmp_path / "out"), *wrong]) == exits.USAGE
    last = capsys.readouterr().err.splitlines()[-1]
    assert wrong[0] in last
    assert told in last
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wrong",
    [["--rate", "nan"], ["--encoding", "zip"], ["--shape", "0"], ["--frames", "1"], ["--frames-per-message", "0"]],
)
def test_a_benchmark_refuses_wrong_options_before_anything_starts(
    wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "stream", "--spool", str(tmp_path), *wrong]) == exits.USAGE
    assert wrong[0] in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_file_for_the_outcome_that_cannot_be_written_is_refused_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in (tmp_path, tmp_path / "absent" / "outcome.json"):
        assert run(["demo", "--output", str(tmp_path / "out"), "--json", str(place)]) == exits.IO
        assert str(place) in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_looking_whether_a_file_can_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("precious")
    for name in ("old.json", "new.json"):
        check_writable(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "precious"


def test_the_largest_dose_is_that_of_the_simulator() -> None:
    assert asked.MOST_ELECTRONS == limits.MOST_ELECTRONS


def test_two_demonstrations_in_a_second_get_two_folders(tmp_path: Path) -> None:
    assert len({asked.new_folder(tmp_path) for _ in range(3)}) == 3
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        asked.new_folder(tmp_path / "file")


def test_an_interrupted_demonstration_says_so_in_a_line(tmp_path: Path) -> None:
    command = livestrain("demo", "--headless", "--output", str(tmp_path), "--scan", "64x64", "--rate", "10")
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as demo:
        wait_until(lambda: list(tmp_path.glob("*/simulator.log")), 60, "the simulated detector")
        demo.send_signal(signal.SIGINT)
        said = demo.communicate(timeout=60)[1]
    assert demo.returncode == 130
    (folder,) = tmp_path.iterdir()
    assert said.splitlines()[-1] == f"livestrain demo: interrupted; what there is of the scan is in {folder}"
    assert "Traceback" not in said
