import importlib.util
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from livestrain_bench import ours
from livestrain_bench.case import Case, case_files, read_case
from livestrain_bench.disks import bench
from livestrain_bench.errors import NoCases
from livestrain_bench.timing import interleaved, speedup
from livestrain_bench.workers import scaling


def test_the_strain_of_a_case_is_found_near_its_bound(small: Case) -> None:
    assert small.lattice is not None
    result = bench(small, small.lattice, "fast", peer=False, rounds=1)
    assert result.score.failed == 0
    assert 0.5 < result.score.bound_ratio < 3
    assert 0.4 < result.score.z_rms < 2
    assert result.fps > 0
    assert result.peer == {}


def test_measured_twice_the_strain_is_nearer_to_its_bound_and_its_errors_are_right(small: Case) -> None:
    assert small.lattice is not None
    result = bench(small, small.lattice, "precise", peer=False, rounds=1)
    assert result.score.failed == 0
    assert result.score.bound_ratio < 1.6
    assert 0.6 < result.score.z_rms < 1.5


def test_hot_pixels_are_not_given(cases: Path) -> None:
    hot, small = read_case(cases / "small_hot.h5"), read_case(cases / "small.h5")
    assert hot.given.usable is None
    assert not hot.truth.usable.all()
    assert small.given.usable is not None
    assert hot.lattice is not None
    assert bench(hot, hot.lattice, "fast", peer=False, rounds=1).score.failed < 0.1


def test_a_case_without_a_lattice_has_failed_and_says_why(small: Case) -> None:
    assert small.lattice is not None
    empty = replace(small, given=replace(small.given, frames=np.zeros_like(small.given.frames)))
    result = bench(empty, small.lattice, "fast", peer=False, rounds=1)
    assert result.score.failed == 1
    assert result.reason
    assert np.isnan(result.fps)


def test_a_measurement_is_the_same_in_any_blocks(small: Case) -> None:
    prepared = ours.prepare(small.given, "fast")
    assert not isinstance(prepared, str)
    whole = ours.run(small.given.frames, prepared)
    part = ours.run(small.given.frames[5:9], prepared)
    assert np.array_equal(whole.g[5:9], part.g)
    assert np.array_equal(whole.covariance[5:9], part.covariance)


def test_a_folder_without_cases_is_refused(tmp_path: Path, cases: Path) -> None:
    with pytest.raises(NoCases, match=r"no \.h5 file"):
        case_files(tmp_path)
    with pytest.raises(NoCases, match="nonsense"):
        case_files(cases, "nonsense")
    assert [path.stem for path in case_files(cases, "small")] == ["small", "small_hot", "small_poly"]


def test_a_file_that_is_no_case_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.h5"
    path.write_text("not HDF5")
    with pytest.raises(NoCases, match="is not a case"):
        read_case(path)


def test_tasks_are_timed_in_turn_after_one_run_unseen() -> None:
    calls: list[str] = []

    def busy() -> None:
        calls.append("busy")
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass

    times = interleaved({"busy": busy, "idle": lambda: calls.append("idle")}, 2)
    assert calls == ["busy", "idle"] * 3
    assert min(times["busy"]) >= 0.02
    assert speedup(times["idle"], times["busy"]) > 1


def test_processes_share_the_work(cases: Path) -> None:
    found = scaling(cases / "small.h5", "fast", 2, 1, 0.05)
    assert found.workers == 2
    assert found.fps_one > 0
    assert found.gain > 0


@pytest.mark.skipif(
    importlib.util.find_spec("libertem_blobfinder") is None, reason="the peer libertem-blobfinder is not installed"
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_peer_is_scored_and_timed_beside_us(small: Case) -> None:
    assert small.lattice is not None
    result = bench(small, small.lattice, "fast", peer=True, rounds=2)
    assert set(result.peer) == {"libertem_fast_affine", "libertem_fast_fast"}
    for peer in result.peer.values():
        assert peer.score.failed == 0
        assert 0.5 < peer.score.bound_ratio < 10
        assert peer.fps > 0
        assert peer.error_ratio == pytest.approx(result.score.rms_normal_1e4 / peer.score.rms_normal_1e4)
        assert peer.speedup == pytest.approx(result.fps / peer.fps, rel=0.8)
