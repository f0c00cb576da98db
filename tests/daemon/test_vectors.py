from pathlib import Path

import numpy as np
import pytest

from daemon.scanfolder.scans import new_scan, scan_start
from daemon.small_scan import known_plan
from livestrain_daemon.errors import NotAScan
from livestrain_daemon.scanfolder import Output, ResultsFile, ResultState, create_results, open_results
from livestrain_daemon.vector_map import vector_map
from livestrain_daemon.vectors import centre_map, read_vectors, vector_kind

SHAPE = (4, 5)
CENTRE = known_plan().calibration.centre
FOUND = Output("centre", (2,), "float64")


def outputs(kind: str, count: int = 3) -> tuple[Output, ...]:
    return (
        Output(f"{kind}_position", (count, 2), "float32", "px"),
        Output(f"{kind}_intensity", (count,), "float32", "counts"),
    )


def results_with(folder: Path, *found: Output) -> ResultsFile:
    """A scan of 64 x 64 pixels with these outputs, all of it analysed, nothing written yet."""
    new_scan(folder, scan_start(SHAPE, (64, 64)))
    plan = known_plan().model_dump(mode="json")
    results = ResultsFile(create_results(folder, 1, SHAPE, {"diffraction": found}, plan, {}))
    results.write_ledger("diffraction", 0, ResultState.ANALYSED, 20)
    return results


@pytest.mark.parametrize("kind", ["disk", "peak"])
def test_vectors_are_found_under_either_name(tmp_path: Path, kind: str) -> None:
    with results_with(tmp_path / "s", *outputs(kind)) as results:
        assert vector_kind(results.layout.outputs) == kind
        assert centre_map(results.layout.outputs) == ""
        results.write(f"{kind}_position", 7, np.full((1, 3, 2), 9.5, np.float32))
        results.write(f"{kind}_intensity", 7, np.array([[1.0, 2.0, np.nan]], np.float32))
        about, image = vector_map(tmp_path / "s", 1, 1, centred=True)
        assert (about.vectors, about.intensity, about.centred_by) == (2, 3.0, "")
        assert image[9:11, 9:11].tolist() == [[0.75, 0.75], [0.75, 0.75]]


def test_only_what_the_ledger_calls_analysed_counts(tmp_path: Path) -> None:
    with results_with(tmp_path / "s", *outputs("disk")) as results:
        results.write("disk_position", 0, np.full((20, 3, 2), 9.0, np.float32))
        results.write("disk_intensity", 0, np.ones((20, 3), np.float32))
        assert vector_map(tmp_path / "s", 1, 1, centred=True)[0].vectors == 60
        results.write_ledger("diffraction", 3, ResultState.PENDING, 2)
        about, _ = vector_map(tmp_path / "s", 1, 1, centred=True)
        assert (about.vectors, about.positions) == (54, 18)
        analysed = results.ledger("diffraction") == ResultState.ANALYSED
        assert np.isnan(read_vectors(results, analysed, 3, 2).position).all()
        assert np.isfinite(read_vectors(results, analysed, 5, 15).position).all()


def test_positions_without_a_centre_are_counted_apart(tmp_path: Path) -> None:
    with results_with(tmp_path / "s", *outputs("disk"), FOUND) as results:
        results.write("disk_position", 0, np.full((20, 3, 2), 9.0, np.float32))
        results.write("disk_intensity", 0, np.ones((20, 3), np.float32))
        results.write("centre", 0, np.tile(np.array(CENTRE) - 1.0, (20, 1)))
        results.write("centre", 4, np.full((1, 2), np.nan))
        about, image = vector_map(tmp_path / "s", 1, 2, centred=True)
        assert (about.vectors, about.without_centre, about.outside) == (57, 3, 0)
        assert about.shape == (128, 128)
        # place 9 is moved by 1 to 10, which lies between pixels 20 and 21 of the finer map
        assert image[20:22, 20:22].sum() == image.sum() == about.intensity == 57.0
        assert vector_map(tmp_path / "s", 1, 2, centred=False)[0].vectors == 60


def test_results_without_vectors_are_refused_in_a_line(tmp_path: Path) -> None:
    with results_with(tmp_path / "s", FOUND), pytest.raises(NotAScan, match="holds no Bragg vectors"):
        vector_map(tmp_path / "s", 1, 1, centred=True)


def test_a_revision_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with results_with(tmp_path / "s", *outputs("disk")), pytest.raises(NotAScan, match="results-0002"):
        vector_map(tmp_path / "s", 2, 1, centred=True)
    assert open_results(tmp_path / "s", 1).revision == 1
