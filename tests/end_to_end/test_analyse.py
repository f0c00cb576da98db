"""A file analysed without a detector gives the bits that the same frames gave live."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from helpers.rig import RenderedScan, follow, running
from helpers.waiting import wait_until
from livestrain_bench.analysing import Alone
from livestrain_bench.errors import NoCases
from livestrain_client.rig.processes import livestrain
from livestrain_daemon.analyse.again import once
from livestrain_daemon.worker.revision import OpenRevision

SHAPE = (16, 16)


def analyse(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    command = livestrain("analyse", *map(str, arguments))
    environment = {**os.environ, **{f"LIVESTRAIN_{key.upper()}": value for key, value in settings.items()}}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)


def results(folder: Path) -> dict[str, bytes]:
    """The bits of everything that was measured, by its name in the file."""
    found: dict[str, bytes] = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf":
            found[name] = np.asarray(item[...]).tobytes()

    (file,) = folder.glob("results-*.h5")
    with h5py.File(file) as opened:
        opened.visititems(keep)
    return found


@pytest.fixture(scope="module")
def small() -> RenderedScan:
    return RenderedScan(SHAPE)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, small: RenderedScan) -> Path:
    path = tmp_path_factory.mktemp("file") / "small.npy"
    np.save(path, small.frames.reshape(*SHAPE, 128, 128))
    return path


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, small: RenderedScan) -> tuple[Path, dict[str, Any]]:
    """The scan folder and the plan of the same frames, sent to a daemon."""
    folder = tmp_path_factory.mktemp("live")
    with running(folder) as rig, rig.live() as subscriber:
        small.send(rig, "scan")
        follow(subscriber, "scan")
        assert subscriber.plan is not None
        return rig.spool / "scan", subscriber.plan.plan


def frames_of(folder: Path) -> NDArray[Any]:
    with h5py.File(folder / "frames.h5") as opened:
        return np.asarray(opened["frames"][...])


def test_the_same_plan_gives_the_same_bits(tmp_path: Path, file: Path, live: tuple[Path, dict[str, Any]]) -> None:
    folder, plan = live
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    outcome = analyse(file, "--plan", tmp_path / "plan.json", "--spool", tmp_path / "spool", "--workers", "2", "--json")
    assert outcome.returncode == 0, outcome.stderr
    said = json.loads(outcome.stdout)
    assert (said["positions"], said["analysed"], said["missing"], said["reason"]) == (256, 256, 0, "complete")
    made = Path(said["folder"])
    assert made == tmp_path / "spool" / "small"
    assert np.array_equal(frames_of(made), frames_of(folder))
    expected = results(folder)
    assert len(expected) > 10
    assert results(made) == expected


def test_without_a_plan_it_is_calibrated_as_a_live_scan_is(
    tmp_path: Path, file: Path, live: tuple[Path, dict[str, Any]]
) -> None:
    # a detector that runs otherwise says nothing of a file that has a place for each position
    detector = json.dumps({"order": "serpentine", "skip_frames": 3, "shape": [8, 8], "repeat": True})
    outcome = analyse(file, "--spool", tmp_path / "spool", "--workers", "1", intake__scan=detector)
    assert outcome.returncode == 0, outcome.stderr
    assert "intake.scan.repeat is for detectors" in outcome.stderr
    assert outcome.stdout.startswith("analysed 256 of 256 positions")
    assert results(tmp_path / "spool" / "small") == results(live[0])


def test_workers_alone_do_the_same_work_again(live: tuple[Path, dict[str, Any]]) -> None:
    folder, plan = live
    expected = results(folder)
    opened = OpenRevision(folder, plan["revision"])
    assert [once(opened, part, 2) for part in range(2)] == [256, 0]
    opened.close()
    assert results(folder) == expected


def test_workers_alone_are_timed_until_one_of_them_has_ended(live: tuple[Path, dict[str, Any]]) -> None:
    folder, plan = live
    before = set(psutil.Process().children())
    with Alone(folder, plan["revision"], 1) as alone:
        (member,) = set(psutil.Process().children()) - before
        assert min(alone.rate()) > 0
        member.kill()
        wait_until(lambda: member.status() == psutil.STATUS_ZOMBIE, 20)
        with pytest.raises(NoCases, match=r"ended with code -9"):
            alone.rate()


def test_an_interrupted_analysis_leaves_an_ended_scan(tmp_path: Path, file: Path) -> None:
    frames = np.load(file)
    long = tmp_path / "long.npy"
    np.save(long, np.concatenate([frames] * 16))
    command = livestrain("analyse", str(long), "--spool", str(tmp_path / "spool"), "--workers", "1", "--json")
    journal = tmp_path / "spool" / "long" / "journal.jsonl"
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        wait_until(lambda: journal.exists() and '"kind": "plan"' in journal.read_text(), 60, "the plan")
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    outcome = json.loads(out)
    assert outcome["pending"] > 0
    assert outcome["analysed"] + outcome["pending"] == outcome["positions"] - outcome["missing"]
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    (ended,) = [entry for entry in entries if entry["kind"] == "scan_ended"]
    assert ended["stages"]["diffraction"]["analysed"] == outcome["analysed"]
    (file_of_results,) = journal.parent.glob("results-*.h5")
    with h5py.File(file_of_results) as opened:
        assert np.isfinite(opened["maps/g1"][...]).reshape(-1, 2).all(axis=1).sum() == outcome["analysed"]


@pytest.mark.parametrize(
    ("content", "arguments", "code", "said"),
    [
        (None, (), 74, "No such file"),
        (np.zeros((4, 4, 8, 8), np.complex64), (), 2, "complex64"),
        (np.zeros((4, 4), np.uint16), (), 3, "expected (scan_rows, scan_columns, rows, columns)"),
        (np.zeros((5, 8, 8), np.uint16), (), 2, "give --scan-shape"),
        (np.zeros((4, 4, 8, 8), np.uint16), ("--scan-shape", "4x"), 2, "--scan-shape"),
        (np.zeros((4, 4, 8, 8), np.uint16), ("--plan", "/nowhere.json"), 78, "/nowhere.json"),
    ],
)
def test_what_cannot_be_analysed_is_refused_in_a_line(
    tmp_path: Path, content: NDArray[Any] | None, arguments: tuple[str, ...], code: int, said: str
) -> None:
    path = tmp_path / "scan.npy"
    if content is not None:
        np.save(path, content)
    outcome = analyse(path, "--spool", tmp_path / "spool", *arguments)
    assert outcome.returncode == code, outcome.stderr
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not (tmp_path / "spool" / "scan").exists()


def test_one_value_that_does_not_fit_costs_one_frame_and_is_told(tmp_path: Path, file: Path) -> None:
    frames = np.load(file).astype(np.float64)
    frames[7, 7, 3, 3] = 1e300
    np.save(tmp_path / "bad.npy", frames)
    outcome = analyse(tmp_path / "bad.npy", "--spool", tmp_path / "spool", "--workers", "1", "--json")
    assert outcome.returncode == 74, outcome.stderr
    said = json.loads(outcome.stdout)
    assert (said["analysed"], said["missing"], said["faults"]) == (255, 1, {"unreadable": 1})
    assert outcome.stderr.startswith("starting (a minute or two longer where kernels are still to be compiled)")
    assert "frame 119 holds 1e+300" in outcome.stderr
