"""What a calibration's task makes of a vacuum probe and of given values."""

import numpy as np
import pytest

from daemon.small_scan import CAMERA, POSITIONS, stored_scan
from livestrain_daemon.messages import CalibrateTask
from livestrain_daemon.plan import parse_calibration
from livestrain_daemon.worker.calibrating import calibration_result
from livestrain_simulator.patterns import vacuum_probe

IMAGE = vacuum_probe(CAMERA).astype("<f4").tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(stored_scan(tmp_path_factory.mktemp("scan") / "small").folder)


def task(folder: str, **fields: object) -> CalibrateTask:
    return CalibrateTask.model_validate(
        {"number": 1, "folder": folder, "positions": tuple(range(0, POSITIONS, 6)), **fields}
    )


def test_the_image_of_the_vacuum_probe_becomes_part_of_the_plan(folder: str) -> None:
    found = calibration_result(task(folder, vacuum_probe=True, template="image"), IMAGE)["calibration"]
    plan = parse_calibration(found)
    assert plan.vacuum_probe
    assert plan.probe.pattern is not None
    assert plan.g1 is not None
    plain = parse_calibration(calibration_result(task(folder, vacuum_probe=True), IMAGE)["calibration"])
    assert plain.probe.pattern is None
    assert plan.radius_px == pytest.approx(plain.radius_px, abs=0.2)
    np.testing.assert_allclose(plan.g1, plain.g1 or (), atol=0.1)


def test_given_radius_and_edge_are_not_measured(folder: str) -> None:
    measured = parse_calibration(calibration_result(task(folder), b"")["calibration"])
    given = measured.radius_px + 0.25, 0.9
    plan = parse_calibration(calibration_result(task(folder, probe=given), b"")["calibration"])
    assert (plan.radius_px, plan.edge_px) == given
    assert plan.probe_given
    assert plan.g1 is not None
    assert not measured.probe_given


def test_an_image_that_comes_with_a_request_counts_more_than_given_values(folder: str) -> None:
    plan = parse_calibration(
        calibration_result(task(folder, probe=(9.0, 0.9), vacuum_probe=True), IMAGE)["calibration"]
    )
    assert plan.vacuum_probe
    assert not plan.probe_given
    assert plan.radius_px != 9.0


@pytest.mark.parametrize("source", ["command", "automatic"])
def test_a_vacuum_probe_without_a_disk_is_refused_or_is_the_reason_of_the_plan(folder: str, source: str) -> None:
    dark = np.zeros(CAMERA.shape, "<f4").tobytes()
    answer = calibration_result(task(folder, vacuum_probe=True, source=source), dark)
    (key,) = answer
    assert key == ("refused" if source == "command" else "reason")
    assert answer[key].startswith("the vacuum probe shows no disk: nothing stands out")
    good = calibration_result(task(folder, vacuum_probe=True, source=source), IMAGE)
    assert list(good) == ["calibration"]
