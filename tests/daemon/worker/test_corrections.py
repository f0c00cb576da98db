from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.small_scan import CAMERA, POSITIONS, frames, known_plan, lay_out, stored_scan
from livestrain_core.corrections import corrected
from livestrain_daemon.errors import StorageError
from livestrain_daemon.messages import CalibrateTask
from livestrain_daemon.plan import DIFFRACTION, REDUCTION, CorrectionsPlan
from livestrain_daemon.scanfolder import BLOCK, ResultsFile, open_results
from livestrain_daemon.scanfolder.detector_images import DetectorImage, store_image
from livestrain_daemon.worker.calibrating import calibration_result
from livestrain_daemon.worker.revision import OpenRevision

rng = np.random.default_rng(4)
DARK = rng.uniform(3, 7, CAMERA.shape).astype(np.float32)
GAIN = rng.uniform(0.8, 1.2, CAMERA.shape).astype(np.float32)
RUNS = [(0, 40)]
Maps = dict[str, NDArray[Any]]


def kept(folder: Path, image: NDArray[np.float32]) -> str:
    """The digest of an image that is with the scan from now on."""
    store_image(folder, DetectorImage.of(image))
    return DetectorImage.of(image).digest


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = stored_scan(tmp_path_factory.mktemp("scans") / "small").folder
    kept(folder, DARK)
    kept(folder, GAIN)
    return folder


def plan_of(scan: Path, revision: int, *, images: bool, saturation: float | None = None) -> CorrectionsPlan:
    named = {"dark": kept(scan, DARK), "gain": kept(scan, GAIN)} if images else {}
    plan = CorrectionsPlan(**named, saturation=saturation)
    lay_out(scan, known_plan(revision, corrections=plan))
    return plan


def maps_of(scan: Path, revision: int) -> Maps:
    opened = OpenRevision(scan, revision)
    assert opened.analyse_positions(DIFFRACTION, RUNS)[0] == []
    assert opened.analyse_blocks(REDUCTION, [(0, 1)])[0] == []
    opened.close()
    with ResultsFile(open_results(scan, revision)) as results:
        names = results.layout.stages[DIFFRACTION]
        blocks = {name: results.read_block(name, 0) for name in ("sum", "largest")}
        return {name: results.read(name, *RUNS[0]) for name in names} | blocks


def test_maps_are_those_of_corrected_frames(scan: Path) -> None:
    plan_of(scan, 1, images=True)
    maps = maps_of(scan, 1)
    seen = corrected(frames()[:BLOCK], DARK, GAIN)
    np.testing.assert_allclose(maps["total"], seen[:40].sum(axis=(1, 2), dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(maps["sum"], seen.sum(axis=0, dtype=np.float64), rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(maps["largest"], seen.max(axis=0))
    assert np.isfinite(maps["g1"]).all()
    assert (maps["left_out"] == 0).all()


def test_without_corrections_no_map_counts_what_was_left_out(scan: Path) -> None:
    plan_of(scan, 2, images=False)
    maps = maps_of(scan, 2)
    assert "left_out" not in maps
    np.testing.assert_array_equal(maps["total"], frames()[:40].sum(axis=(1, 2), dtype=np.float64))


@pytest.mark.parametrize("images", [True, False])
def test_saturated_pixels_are_left_out_counted_and_still_in_the_summed_pattern(scan: Path, images: bool) -> None:
    level = float(np.quantile(frames()[:40].max(axis=(1, 2)), 0.5))
    plan_of(scan, 3 + images, images=images, saturation=level)
    maps = maps_of(scan, 3 + images)
    lost = frames()[:40] >= level
    assert 0 < lost.any(axis=(1, 2)).mean() < 1
    np.testing.assert_array_equal(maps["left_out"], lost.sum(axis=(1, 2)))
    seen = corrected(frames()[:40], DARK, GAIN) if images else frames()[:40]
    np.testing.assert_allclose(maps["total"], np.where(lost, 0, seen).sum(axis=(1, 2), dtype=np.float64), rtol=1e-5)
    assert np.isfinite(maps["sum"]).all()


def test_a_plan_whose_image_is_not_in_the_folder_cannot_be_opened(scan: Path) -> None:
    with pytest.raises(StorageError, match="image-00000000"):
        lay_out(scan, known_plan(9, corrections=CorrectionsPlan(dark="0" * 32)))


def test_a_calibration_sees_corrected_frames(tmp_path: Path) -> None:
    folder = stored_scan(tmp_path / "small").folder
    blind = np.ones(CAMERA.shape, np.float32)
    blind[:, 42:] = 0.0
    task = CalibrateTask(number=1, folder=str(folder), positions=tuple(range(0, POSITIONS, 6)))
    plan = CorrectionsPlan(gain=kept(folder, blind))
    half = calibration_result(task.model_copy(update={"corrections": plan.model_dump()}), b"")["calibration"]
    whole = calibration_result(task, b"")["calibration"]
    # the disks in the blind part are no longer looked for
    assert 0 < len(half["hk"]) < len(whole["hk"])
