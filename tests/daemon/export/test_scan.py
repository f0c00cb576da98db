"""What is read from a scan folder for an export."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.export.scans import PIXEL_MRAD, STEP_NM, recorded
from daemon.small_scan import CAMERA, LATTICE, POSITIONS, SCAN, SPECIMEN, known_plan
from livestrain_core.along_axes import along
from livestrain_core.axes import g1_axes
from livestrain_core.reference import median_reference
from livestrain_core.strain import strain
from livestrain_daemon.errors import NotAScan
from livestrain_daemon.export import BadChoice, Choice, Exported, ExportError, NothingToExport, read_scan, write_scan
from livestrain_daemon.plan import DetectorPlan
from livestrain_daemon.scanfolder import ResultsFile, open_results
from livestrain_wire.messages import Axes

STRAIN = ("e_xx", "e_yy", "e_xy", "theta")


def values(scan: Exported, name: str) -> NDArray[np.float32]:
    found = scan.map(name)
    assert found is not None
    return found.values


def fitted(folder: Path) -> NDArray[np.float64]:
    with ResultsFile(open_results(folder, 1), read_only=True) as results:
        return np.stack([results.read(name, 0, POSITIONS) for name in ("g1", "g2")], axis=1)


def test_the_maps_are_those_of_the_scan(folder: Path) -> None:
    scan = read_scan(folder, Choice())
    assert (scan.scan_id, scan.revision, scan.scan_shape, scan.frame_shape) == ("small", 1, SCAN, CAMERA.shape)
    assert (scan.sizes.step_nm, scan.sizes.detector, scan.sizes.detector_unit) == (STEP_NM, PIXEL_MRAD, "mrad")
    names = [one.name for one in scan.maps]
    assert {*STRAIN, "e_xx_error", "bright_field", "ring", "centre_row", "residual", "reason"} <= set(names)
    assert len(names) == len(set(names))
    assert all(one.values.shape == SCAN and one.values.dtype == np.float32 for one in scan.maps)
    assert [one.name for one in scan.maps if one.is_virtual] == ["bright_field", "ring"]
    with ResultsFile(open_results(folder, 1), read_only=True) as results:
        centre = results.read("centre", 0, POSITIONS).astype(np.float32)
    np.testing.assert_array_equal(values(scan, "centre_column").ravel(), centre[:, 1])
    assert np.unique(scan.reasons).tolist() == ["fitted"]
    assert scan.analysed.all()


def test_the_strain_is_the_specimen_s(folder: Path) -> None:
    """Against the true lattice of a specimen whose strain is known, to about its standard error."""
    scan = read_scan(folder, Choice(reference="plan"))
    assert scan.reference is not None
    np.testing.assert_allclose(np.array(scan.reference.vectors).reshape(2, 2), LATTICE.vectors())
    for name in STRAIN:
        error = values(scan, name) - getattr(SPECIMEN, name)
        assert np.sqrt(np.mean(error**2)) < 2.0 * np.median(values(scan, f"{name}_error"))


@pytest.mark.parametrize("region", [None, (2, 3, 9, 17)])
def test_the_reference_can_be_the_median_of_all_or_of_a_region(
    folder: Path, region: tuple[int, int, int, int] | None
) -> None:
    r0, c0, r1, c1 = region or (0, 0, *SCAN)
    wanted = "median" if region is None else f"{r0}:{r1},{c0}:{c1}"
    scan = read_scan(folder, Choice(reference=wanted))
    g = fitted(folder)
    chosen = g.reshape(*SCAN, 2, 2)[r0:r1, c0:c1].reshape(-1, 2, 2)
    expected = strain(g, median_reference(chosen))
    for name in STRAIN:
        np.testing.assert_array_equal(values(scan, name).ravel(), getattr(expected, name).astype(np.float32))
    assert scan.about["strain"]["reference"]["kind"] == ("median" if region is None else "region")


@pytest.mark.parametrize("wanted", ["region 2:9,3:17", "region2:9,3:17", " 2:9 , 3:17 "])
def test_a_region_may_be_called_one(folder: Path, wanted: str) -> None:
    found = read_scan(folder, Choice(reference=wanted)).reference
    assert found is not None
    assert found.region == (2, 3, 9, 17)


def test_what_was_recorded_last_is_the_reference_unless_another_is_wanted(folder: Path, tmp_path: Path) -> None:
    copy = copytree(folder, tmp_path / "copy")
    given = {"revision": 9, "kind": "values", "vectors": [14.0, 0.5, -0.5, 14.0]}
    later = {"kind": "reference", "reference": {**given, "vectors": [13.0, 0.5, -0.5, 13.0]}}
    with (copy / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps({"kind": "reference", "reference": given}) + "\n")
        # a reference under a later plan is not this revision's
        journal.write(json.dumps({"kind": "plan", "plan": {"revision": 2}}) + "\n")
        journal.write(json.dumps(later) + "\n")
    found = read_scan(copy, Choice()).reference
    assert found is not None
    assert (found.kind, found.vectors) == ("values", (14.0, 0.5, -0.5, 14.0))
    median = read_scan(copy, Choice(reference="median")).reference
    assert median is not None
    assert median.kind == "median"


def test_without_a_journal_the_reference_is_the_median(folder: Path, tmp_path: Path) -> None:
    copy = copytree(folder, tmp_path / "copy")
    (copy / "journal.jsonl").unlink()
    with_journal, without = read_scan(folder, Choice()), read_scan(copy, Choice())
    np.testing.assert_array_equal(values(with_journal, "e_xx"), values(without, "e_xx"))


def test_the_components_can_be_along_g1(folder: Path) -> None:
    scan = read_scan(folder, Choice(axes="g1"))
    assert scan.reference is not None
    vectors = np.array(scan.reference.vectors).reshape(2, 2)
    expected = along(strain(fitted(folder), vectors), g1_axes(vectors))
    for name in STRAIN:
        np.testing.assert_array_equal(values(scan, name).ravel(), getattr(expected, name).astype(np.float32))
    assert scan.about["strain"]["axes"] == "g1"


def test_the_components_can_be_along_the_scan_where_that_is_known(turned: Path, folder: Path) -> None:
    on_detector, on_scan = (read_scan(turned, Choice(axes=axes)) for axes in ("detector", "scan"))
    # a turn after the rows are reversed: the trace stays, theta changes its sign
    trace = [values(one, "e_xx") + values(one, "e_yy") for one in (on_detector, on_scan)]
    np.testing.assert_allclose(trace[0], trace[1], atol=1e-8)
    np.testing.assert_allclose(values(on_scan, "theta"), -values(on_detector, "theta"), atol=1e-9)
    assert np.abs(values(on_scan, "e_xy") - values(on_detector, "e_xy")).max() > 1e-3
    with pytest.raises(NothingToExport, match="does not say how the scan lies"):
        read_scan(folder, Choice(axes="scan"))


@pytest.mark.parametrize("axes", ["detector", "scan", "g1"])
def test_every_export_says_axes_and_convention(turned: Path, axes: Axes) -> None:
    told = read_scan(turned, Choice(axes=axes)).about["strain"]
    assert told["axes"] == axes
    assert "x is" in told["axes_are"]
    assert "F = R U" in told["convention"]
    assert "opposite sign" in told["py4DSTEM"]
    assert len(told["reference"]["vectors"]) == 4


def test_a_running_scan_gives_what_it_has_and_nan(running: Path) -> None:
    scan = read_scan(running, Choice())
    done = np.arange(POSITIONS).reshape(SCAN) < 170
    for one in scan.maps:
        assert np.isnan(one.values[~done]).all(), one.name
        assert np.isfinite(one.values[done]).all(), one.name
    np.testing.assert_array_equal(scan.analysed, done)
    assert set(scan.reasons[done]) == {"fitted"}
    assert set(scan.reasons[~done]) == {"pending"}
    assert (scan.about["positions_analysed"], scan.about["scan_is_over"]) == (170, False)
    assert scan.vectors is not None
    assert np.isnan(scan.vectors.position[170:]).all()


def test_a_finished_scan_says_so(folder: Path) -> None:
    about = read_scan(folder, Choice()).about
    assert (about["positions_analysed"], about["positions"], about["scan_is_over"]) == (POSITIONS, POSITIONS, True)


def test_a_scan_without_disks_has_its_virtual_images(without_disks: Path) -> None:
    scan = read_scan(without_disks, Choice())
    assert {"bright_field", "ring", "total"} <= {one.name for one in scan.maps}
    assert scan.reference is None
    assert scan.bragg is None
    assert "strain" not in scan.about
    for wanted in (Choice(maps=("e_xx",)), Choice(reference="median"), Choice(reference="0:2,0:2"), Choice(axes="g1")):
        with pytest.raises(NothingToExport, match="no lattice"):
            read_scan(without_disks, wanted)


def test_maps_are_chosen_by_name_in_the_order_given(folder: Path) -> None:
    scan = read_scan(folder, Choice(maps=("theta", "centre", "e_xx", "theta")))
    assert [one.name for one in scan.maps] == ["theta", "centre_row", "centre_column", "e_xx"]
    with pytest.raises(NothingToExport, match="there is no map 'e_zz': expected some of e_xx, e_yy"):
        read_scan(folder, Choice(maps=("e_xx", "e_zz")))


def test_a_virtual_detector_named_like_a_component_is_refused_where_it_is_wanted(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    plan = known_plan(detectors=(DetectorPlan(name="centre_row", outer=1.0),))
    twice = recorded(tmp_path_factory.mktemp("twice"), plan)
    for wanted in (None, ("centre",), ("centre_row",)):
        with pytest.raises(ExportError, match="two maps would be called 'centre_row'"):
            read_scan(twice, Choice(maps=wanted))
        assert read_scan(folder, Choice(maps=wanted)).map("centre_row") is not None
    assert [one.name for one in read_scan(twice, Choice(maps=("e_xx", "centre_column"))).maps] == [
        "e_xx",
        "centre_column",
    ]


def test_bragg_vectors_are_read_only_when_they_are_asked_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    whole = ResultsFile.read

    def noted(self: ResultsFile, name: str, first: int, count: int) -> NDArray[Any]:
        read.append(name)
        return whole(self, name, first, count)

    monkeypatch.setattr(ResultsFile, "read", noted)
    scan = read_scan(folder, Choice())
    write_scan(scan, "csv", tmp_path / "out")
    assert "g1" in read
    assert "disk_position" not in read
    vectors = scan.vectors
    assert read.count("disk_position") == 1
    assert scan.vectors is vectors is not None


def test_a_scan_in_a_folder_that_cannot_be_written_is_read(folder: Path, tmp_path: Path) -> None:
    copy = copytree(folder, tmp_path / "copy")
    before = {path.name: path.stat().st_mtime_ns for path in copy.iterdir()}
    for path in copy.iterdir():
        path.chmod(0o444)
    assert read_scan(copy, Choice()).analysed.all()
    assert {path.name: path.stat().st_mtime_ns for path in copy.iterdir()} == before


def test_what_is_no_scan_is_refused_in_a_line(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(NotAScan, match=r"frames\.h5: does not exist"):
        read_scan(tmp_path, Choice())
    with pytest.raises(NothingToExport, match="expected a revision among 1, found 7"):
        read_scan(folder, Choice(revision=7))
    with pytest.raises(BadChoice, match="expected a reference"):
        read_scan(folder, Choice(reference="average"))
    with pytest.raises(NothingToExport, match="expected a region within 18 x 20"):
        read_scan(folder, Choice(reference="0:19,0:20"))


@pytest.mark.parametrize("name", ["frames.h5", "results-0001.h5", "journal.jsonl"])
def test_a_damaged_file_is_refused_in_a_line(folder: Path, tmp_path: Path, name: str) -> None:
    copy = copytree(folder, tmp_path / "copy")
    (copy / name).write_bytes(b"\x00damaged\n" * 100)
    with pytest.raises(NotAScan) as caught:
        read_scan(copy, Choice())
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_reference_in_the_journal_that_makes_no_sense_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = copytree(folder, tmp_path / "copy")
    with (copy / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps({"kind": "reference", "reference": {"vectors": "none"}}) + "\n")
    with pytest.raises(NotAScan, match="cannot be understood"):
        read_scan(copy, Choice())
