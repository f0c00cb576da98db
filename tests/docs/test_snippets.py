"""The snippets of tutorial and how-tos, run as they stand against one daemon; only the ports are put in."""

import re
import runpy
import shlex
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from docs.pages import snippets
from helpers.rig import RenderedScan, Rig
from helpers.waiting import wait_until
from livestrain_client.cli.command import run
from livestrain_client.rig.processes import livestrain
from livestrain_daemon.config import AnalysisConfig, load_config
from livestrain_daemon.given import read_given
from livestrain_daemon.retention import Limits
from livestrain_simulator.sender import FrameSender

NOT_RUN = ("make ", ". ", "livestrain serve", "livestrain stop daemon", "LIVESTRAIN_")
"""Lines about installing, and about starting and ending the daemon, which runs for all tests."""


class Reader:
    """Does what a page tells a reader to do, in a folder of his own."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        self.folder = folder
        self._watching: subprocess.Popen[bytes] | None = None
        self._scanned = False

    def follow(self, page: str) -> None:
        """Every shell and Python snippet of a page, in order."""
        for language, text in snippets(page, "sh", "python"):
            if language == "python":
                self.python(text)
            else:
                for line in text.splitlines():
                    self.shell(line)

    def python(self, text: str) -> dict[str, Any]:
        """One Python snippet; returns its names."""
        ports = self.rig.ports
        text = text.replace("tcp://127.0.0.1:5550", ports.frames_endpoint)
        text = text.replace("Control()", f"Control({ports.control_endpoint!r})")
        file = self.folder / "snippet.py"
        file.write_text(text)
        return runpy.run_path(str(file))

    def shell(self, line: str) -> None:
        """One line of a shell; who watches before there is a scan goes on until it has been sent."""
        words = shlex.split(line, comments=True)
        if not words or line.startswith(NOT_RUN):
            return
        assert words[0] == "livestrain", line
        verb = words[1]
        if verb == "watch" and not self._scanned:
            self._watching = subprocess.Popen(livestrain(*words[1:]), cwd=self.folder)
            return
        if verb in {"simulate", "replay"}:
            words += ["--endpoint", self.rig.ports.frames_endpoint]
            words = ["max" if before == "--rate" else word for before, word in zip(["", *words], words, strict=False)]
        assert run(words[1:]) == 0, line
        self._scanned |= verb == "simulate"
        if verb == "simulate" and self._watching is not None:
            assert self._watching.wait(60) == 0


@pytest.fixture(scope="module")
def crystal() -> RenderedScan:
    return RenderedScan()


@pytest.fixture
def reader(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.setenv("LIVESTRAIN_PUBLISH__MAPS_ENDPOINT", rig.ports.maps_endpoint)
    monkeypatch.setenv("LIVESTRAIN_PUBLISH__CONTROL_ENDPOINT", rig.ports.control_endpoint)
    (tmp_path / "livestrain-spool").symlink_to(rig.spool)
    monkeypatch.chdir(tmp_path)
    return Reader(rig, tmp_path)


def test_the_tutorial_can_be_followed_to_its_end(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    reader.follow("tutorials/first-scan.md")
    assert "e_xx differs from the truth by 0.000" in capsys.readouterr().out
    assert {"maps.npz", "strain.png"} == {path.name for path in Path("first-maps").iterdir()}


def test_the_minimal_sender_s_frames_all_arrive(reader: Reader, crystal: RenderedScan) -> None:
    np.save("frames.npy", crystal.frames.reshape(32, 32, 128, 128))
    reader.follow("how-to/send-your-own-frames.md")
    ended = reader.rig.wait_until_final("mine").ended
    assert ended is not None
    assert (ended.reason, ended.stored, ended.missing, ended.faults) == ("complete", 1024, 0, {})
    with h5py.File("livestrain-spool/mine/frames.h5") as file:
        assert np.array_equal(file["frames"][...].reshape(-1, 128, 128), crystal.frames)


def test_a_scan_can_be_opened_while_the_daemon_has_it(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    reader.follow("how-to/open-a-scan-during-acquisition.md")
    said = capsys.readouterr().out
    assert "1024 of 1024 frames are stored" in said
    assert "unable to lock file" in said


def test_a_scan_is_exported_in_every_format(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    reader.follow("how-to/export.md")
    said = capsys.readouterr().out
    assert "# axes of strain: g1" in said
    assert "1024 positions, largest strain" in said
    assert "(256, 256): " in said
    assert {"mine.h5", "mine.hspy", "mine.csv", "mine-frames.h5"} < {path.name for path in Path().iterdir()}
    assert {path.stem for path in Path("mine-tiff").iterdir()} == {
        *("e_xx", "e_yy", "e_xy", "theta", "bragg_vector_map")
    }


def test_a_file_opened_while_another_handle_is_open_is_not_fresh(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        offset = file.create_dataset("ledger", data=np.zeros(100, np.uint8)).id.get_offset()
    with h5py.File(path) as held:
        ledger = held["ledger"]
        assert ledger[0] == 0
        with path.open("r+b") as raw:
            raw.seek(offset)
            raw.write(b"\1")
        with h5py.File(path) as another:
            assert another["ledger"][0] == 0
        ledger.refresh()
        assert ledger[0] == 1
    with h5py.File(path) as fresh:
        assert fresh["ledger"][0] == 1


def test_scans_are_listed_and_kept(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    reader.follow("how-to/scan-continuously.md")
    said = capsys.readouterr()
    assert "mine ended 1024 0 " in said.out
    assert said.err.splitlines()[-2:] == ["mine is retained", "mine is no longer retained"]
    ((_, text),) = snippets("how-to/scan-continuously.md", "toml")
    Path("livestrain.toml").write_text(text)
    assert load_config(Path("livestrain.toml")).spool.limits == Limits(200, 4000000 << 20, 200000 << 20)


def test_plan_and_reference_can_be_changed(reader: Reader, crystal: RenderedScan) -> None:
    if not (reader.rig.spool / "mine").exists():
        # no other page has sent it
        crystal.send(reader.rig, "mine")
    reader.rig.wait_until_final("mine")
    wait_until(lambda: reader.rig.status().reference, 60, "a reference")
    reader.follow("how-to/change-plan-and-reference.md")
    status = reader.rig.wait_until_final("mine")
    assert status.plan is not None
    assert status.plan.revision == 4  # calibrated, other detectors, analysed again
    assert {"bright_field", "ring"} <= {info.name for info in status.plan.maps}


def test_a_scan_is_calibrated_with_what_is_known(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    r, c = np.indices((128, 128))
    ring = 400 * np.exp(-((np.hypot(r - 63.5, (c - 63.5) / 1.01) - 40) ** 2) / 30) + 20
    np.save("ring.npy", np.random.default_rng(1).poisson(ring))
    np.save("probe.npy", 1000.0 * (np.hypot(r - 63.5, c - 63.5) < 6.0))
    reader.follow("how-to/calibrate.md")
    status = reader.rig.wait_until_final("mine")
    assert status.plan is not None
    calibration = status.plan.plan["calibration"]
    assert calibration["scan_axes"]["flip"] == "rows"
    assert calibration["pixel_size"]["unit"] == "mrad"
    assert calibration["ellipse"]["ratio"] == 1.004
    assert status.reference is not None
    assert status.reference.axes == "scan"
    assert "ring from 30 to 50 px in an image" in capsys.readouterr().out
    found = []
    for _, text in snippets("how-to/calibrate.md", "toml"):
        Path("livestrain.toml").write_text(text)
        found.append(load_config(Path("livestrain.toml")).analysis)
    assert [analysis.template for analysis in found] == ["disk", "image", "disk", "disk"]
    assert found[2].probe is not None
    assert found[-1].axes == "scan"


def test_the_estimator_can_be_chosen(reader: Reader) -> None:
    reader.follow("how-to/choose-an-estimator.md")
    status = reader.rig.wait_until_final("mine")
    assert status.plan is not None
    assert status.plan.plan["estimator"] == "fast"
    ((_, text),) = snippets("how-to/choose-an-estimator.md", "toml")
    Path("livestrain.toml").write_text(text)
    assert load_config(Path("livestrain.toml")).analysis.estimator == "fast"


def test_disks_are_detected_without_a_lattice(reader: Reader) -> None:
    reader.python(snippets("how-to/detect-disks.md", "python")[0][1])
    status = reader.rig.wait_until_final("mine")
    assert status.plan is not None
    assert {"peak_count", "peak_total"} <= {info.name for info in status.plan.maps}
    assert "e_xx" not in {info.name for info in status.plan.maps}


def test_an_analysis_of_another_package_makes_a_map(reader: Reader, crystal: RenderedScan) -> None:
    made = reader.python(snippets("how-to/add-an-analysis.md", "python")[1][1])
    path = reader.rig.spool / "mine" / f"results-{made['reply'].revision:04d}.h5"
    reader.rig.wait_until_final("mine")

    def final() -> bool:
        with h5py.File(path) as results:
            return bool((results["ledger/diffraction"][...] == 1).all())

    wait_until(final, what="the results of the new plan")
    with h5py.File(path) as results:
        assert np.array_equal(results["maps/brightest"][...].ravel(), crystal.frames.max(axis=(1, 2)))


def test_a_recorded_scan_is_replayed_and_its_plan_can_be_used_again(reader: Reader, crystal: RenderedScan) -> None:
    with h5py.File("recorded.h5", "w") as file:
        file["frames"] = crystal.frames.reshape(32, 32, 128, 128)
    (_, replay), *_ = snippets("how-to/replay-a-recorded-scan.md", "sh")
    reader.shell(replay)
    ended = reader.rig.wait_until_final("again").ended
    assert ended is not None
    assert (ended.stored, ended.missing) == (1024, 0)
    named = [line for _, text in snippets("how-to/replay-a-recorded-scan.md", "sh") for line in text.split()]
    (plan,) = (Path(word.partition("=")[2]) for word in named if word.startswith("LIVESTRAIN_ANALYSIS__PLAN="))
    found = read_given(AnalysisConfig(plan=plan)).plan
    assert found is not None
    assert found.revision == 1
    ((_, analyse),) = snippets("how-to/analyse-a-recorded-scan.md", "sh")
    reader.shell(analyse)
    assert Path("analysed/recorded/results-0001.h5").exists()


def test_faults_are_rehearsed(reader: Reader) -> None:
    (_, rehearsed), (_, again) = snippets("how-to/rehearse-faults.md", "sh")
    reader.shell(rehearsed)
    ended = reader.rig.wait_until_final("rehearsed").ended
    assert ended is not None
    assert ended.stored + ended.missing == 256
    assert ended.faults["duplicate"] >= 10
    assert ended.missing > 0
    reader.shell(again)


def test_a_recorded_scan_is_replayed_as_a_detector(reader: Reader, capfd: pytest.CaptureFixture[str]) -> None:
    np.save("recorded.npy", np.zeros((64, 64, 8, 8), np.uint16))
    (_, line) = snippets("how-to/replay-a-recorded-scan.md", "sh")[1]
    words = shlex.split(line.replace("recorded.h5", "recorded.npy"))
    assert run([*words[1:], "--stream-port", "0", "--control-port", "0", "--wait", "0.1"]) == 69
    ((_, table),) = snippets("how-to/replay-a-recorded-scan.md", "toml")
    said = capfd.readouterr().err
    assert re.sub("port = [0-9]+", "port = N", table) in re.sub("port = [0-9]+", "port = N", said)


def test_a_polycrystal_can_be_tried(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    for _, text in snippets("how-to/detect-disks.md", "sh"):
        for line in text.splitlines():
            reader.shell(line)
    assert "poly2_d5_u5_mixed" in capsys.readouterr().out
    status = reader.rig.wait_until_final("grains")
    assert status.plan is not None
    assert {"peak_count", "peak_total"} <= {info.name for info in status.plan.maps}
    assert "e_xx" not in {info.name for info in status.plan.maps}


def test_the_frames_file_is_locked_while_frames_may_come(reader: Reader, crystal: RenderedScan) -> None:
    with FrameSender(reader.rig.ports.frames_endpoint) as sender:
        sender.start(crystal.start("locked"))
        crystal.send_frames(sender, 0, 32)

        def stored() -> bool:
            status = reader.rig.status()
            ours = status.scan is not None and status.scan.start.scan_id == "locked"
            return ours and status.progress is not None and status.progress.stored == 32

        wait_until(stored, what="the first frames")
        with pytest.raises(BlockingIOError, match="unable to lock file"):
            h5py.File(reader.rig.spool / "locked" / "frames.h5", "r+")
        sender.end("aborted", 32)
        sender.flush()
    reader.rig.wait_until_final("locked")


def test_every_how_to_is_run() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    pages = Path(__file__).parents[2] / "docs" / "how-to"
    # tests/client/test_plain_client.py, tests/bench/test_page.py
    elsewhere = {"subscribe-with-pyzmq.md", "measure-accuracy.md"}
    with_code = {page.name for page in pages.glob("*.md") if snippets(f"how-to/{page.name}", "sh", "python")}
    assert all(f'"how-to/{name}"' in source for name in with_code - elsewhere)
