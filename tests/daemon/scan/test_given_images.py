"""A plan, a dark or a gain that the configuration gives to every scan."""

import threading
from pathlib import Path

import numpy as np
import pytest

from daemon import small_scan
from daemon.desk import EVERYTHING, Desk, only
from daemon.small_scan import CAMERA, POSITIONS, frames, known_plan
from helpers.waiting import wait_until
from livestrain_daemon.scan.calibration import Wish
from livestrain_daemon.scan.surroundings import GivenImages
from livestrain_daemon.scanfolder import ResultsFile, open_results
from livestrain_daemon.scanfolder.detector_images import DetectorImage, load_image, store_image
from livestrain_simulator.patterns import vacuum_probe
from livestrain_wire.messages import Event


def test_a_given_plan_is_used_as_it_is(tmp_path: Path) -> None:
    plan = known_plan(revision=17)
    with Desk(tmp_path, GivenImages(plan=plan)) as desk:
        hand = desk.open()
        desk.store((0, 10))
        desk.turn()
        assert hand.scan.revision is not None
        assert hand.scan.revision.plan == plan.model_copy(update={"revision": 1})
        assert "calibrate_on" not in desk.done


def test_a_given_dark_is_kept_with_the_scan_and_named_by_its_plan(tmp_path: Path) -> None:
    dark, small = np.full(CAMERA.shape, 2.0, np.float32), DetectorImage.of(np.ones((3, 3), np.float32))
    with Desk(tmp_path, GivenImages(dark=DetectorImage.of(dark), gain=small)) as desk:
        hand = desk.open()
        desk.store((0, POSITIONS))
        desk.end()
        wait_until(lambda: hand.planner.given_corrections.stored, what="the dark in the scan folder")
        desk.finish()
        assert hand.scan.revision is not None
        corrections = hand.scan.revision.plan.corrections
        assert corrections.dark is not None
        np.testing.assert_array_equal(load_image(hand.scan.folder, corrections.dark, CAMERA.shape), dark)
        # the gain was for another detector
        assert corrections.gain is None
        assert "gain_not_used" in [event.name for event in only(desk.heard(), Event)]
        with ResultsFile(open_results(hand.scan.folder, 1)) as results:
            total = results.read("total", 0, POSITIONS)
        expected = frames().sum(axis=(1, 2), dtype=np.float64) - dark.sum()
        np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_no_plan_names_a_dark_before_it_is_stored_and_the_loop_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    threads: set[threading.Thread] = set()

    def slowly(folder: Path, image: DetectorImage) -> None:
        threads.add(threading.current_thread())
        assert go_on.wait(20)
        store_image(folder, image)

    monkeypatch.setattr("livestrain_daemon.scan.corrections.store_image", slowly)
    with Desk(tmp_path, GivenImages(dark=DetectorImage.of(np.ones(CAMERA.shape, np.float32)))) as desk:
        hand = desk.open()
        desk.store(*EVERYTHING)
        desk.turn()
        assert (hand.planner.settled, desk.done) == (False, [])
        told: list[object] = []
        hand.planner.calibrator.calibrate(Wish((0,)), told.append, told.append)
        assert told == ["dark and gain are being stored with the scan; try again"]
        go_on.set()
        wait_until(lambda: hand.planner.given_corrections.stored, what="the dark in the scan folder")
        desk.turn()
        assert hand.scan.revision is not None
        assert hand.scan.revision.plan.corrections.dark is not None
    assert threading.main_thread() not in threads


def test_a_dark_that_cannot_be_stored_is_told_and_not_used(tmp_path: Path) -> None:
    dark = DetectorImage.of(np.ones(CAMERA.shape, np.float32))
    with Desk(tmp_path, GivenImages(dark=dark)) as desk:
        # a folder where the file would be made
        small_scan.new_folder(tmp_path / "small")
        (tmp_path / "small" / f"image-{dark.digest}.npy.partial").mkdir()
        hand = desk.open(resumed=True)
        desk.store(*EVERYTHING)
        wait_until(lambda: hand.planner.given_corrections.stored, what="the failure")
        desk.turn()
        assert hand.scan.revision is not None
        assert hand.scan.revision.plan.corrections.dark is None
        assert "dark_not_used" in [event.name for event in only(desk.heard(), Event)]


@pytest.mark.parametrize("good", [False, True])
def test_a_given_vacuum_probe_without_a_disk_is_the_reason_of_the_plan(tmp_path: Path, good: bool) -> None:
    image = vacuum_probe(CAMERA).astype(np.float32) if good else np.zeros(CAMERA.shape, np.float32)
    with Desk(tmp_path, GivenImages(vacuum_probe=image)) as desk:
        hand = desk.open()
        desk.store(*EVERYTHING)
        desk.end()
        desk.finish()
        assert hand.scan.revision is not None
        calibration = hand.scan.revision.plan.calibration
        assert calibration.nominal == (not good)
        assert calibration.reason.startswith("" if good else "the vacuum probe shows no disk: ")
        told = [event.text for event in only(desk.heard(), Event) if event.name == "no_lattice"]
        assert any("vacuum probe shows no disk" in text for text in told) == (not good)
