import os
from pathlib import Path

import numpy as np
import pytest

from daemon.small_scan import (
    CAMERA,
    LATTICE,
    POSITIONS,
    SCAN,
    frames,
    known_calibration,
    known_plan,
    lay_out,
    new_folder,
    stored_scan,
)
from livestrain_daemon.messages import (
    AnalyseTask,
    CalibrateTask,
    MedianTask,
    OpenRevisionTask,
    PatternTask,
    PrepareTask,
)
from livestrain_daemon.plan import parse_calibration
from livestrain_daemon.scanfolder import BLOCK, ResultsFile, ResultState, open_results, revisions
from livestrain_daemon.worker.tasks import Tasks
from livestrain_simulator.patterns import vacuum_probe
from livestrain_wire.messages import Run

WHOLE = ((0, POSITIONS),)
BLOCKS = ((0, -(-POSITIONS // BLOCK)),)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = stored_scan(tmp_path_factory.mktemp("scans") / "small").folder
    lay_out(folder, known_plan())
    tasks = Tasks()
    for stage, runs in (("diffraction", WHOLE), ("reduction", BLOCKS)):
        tasks.run(AnalyseTask(number=1, folder=str(folder), revision=1, stage=stage, runs=runs), b"")
    tasks.close()
    return folder


@pytest.fixture
def acknowledged(scan: Path) -> ResultsFile:
    """The results, all acknowledged; closed by the test."""
    results = ResultsFile(open_results(scan, 1))
    results.write_ledger("diffraction", 0, int(ResultState.ANALYSED), POSITIONS)
    return results


def median(scan: Path, region: tuple[int, int, int, int] | None = None) -> dict[str, object]:
    return Tasks().run(MedianTask(number=1, folder=str(scan), revision=1, region=region), b"").result


def calibrate(scan: Path, positions: tuple[int, ...], payload: bytes = b"", **more: object) -> dict[str, object]:
    fields = {"number": 1, "folder": str(scan), "positions": positions, **more}
    return Tasks().run(CalibrateTask.model_validate(fields), payload).result


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_the_median_is_taken_over_every_analysed_position(scan: Path, acknowledged: ResultsFile) -> None:
    with acknowledged as results:
        g = np.concatenate([results.read(name, 0, POSITIONS) for name in ("g1", "g2")], axis=1)
    found = median(scan)
    assert found["positions"] == POSITIONS
    assert found["vectors"] == np.median(g, axis=0).tolist()
    assert found["vectors"] == pytest.approx(LATTICE.vectors().ravel().tolist(), abs=0.05)


def test_the_median_of_a_region_leaves_its_last_row_and_column_out(scan: Path, acknowledged: ResultsFile) -> None:
    with acknowledged as results:
        g = np.concatenate([results.read(name, 0, POSITIONS) for name in ("g1", "g2")], axis=1)
    found = median(scan, (2, 3, 5, 7))
    assert found["positions"] == 3 * 4
    assert found["vectors"] == np.median(g.reshape(*SCAN, 4)[2:5, 3:7].reshape(-1, 4), axis=0).tolist()


@pytest.mark.parametrize("region", [(0, 0, 0, 5), (5, 5, 2, 2), (18, 0, 99, 99), (1 << 62, 0, 1 << 62, 1)])
def test_an_empty_region_has_no_median(
    scan: Path, acknowledged: ResultsFile, region: tuple[int, int, int, int]
) -> None:
    acknowledged.close()
    assert median(scan, region) == {"positions": 0}


def test_only_analysed_positions_with_a_finite_lattice_count(scan: Path, acknowledged: ResultsFile) -> None:
    with acknowledged as results:
        kept = results.read("g1", 0, 2)
        results.write_ledger("diffraction", 2, int(ResultState.FAILED), POSITIONS - 2)
        assert median(scan)["positions"] == 2
        results.write("g1", 0, np.full((1, 2), np.nan))
        found = median(scan)
        assert found["positions"] == 1
        assert found["vectors"] == [*kept[1].tolist(), *results.read("g2", 1, 1)[0].tolist()]
        results.write("g1", 1, np.full((1, 2), np.nan))
        assert median(scan) == {"positions": 0}
        results.write("g1", 0, kept)


@pytest.mark.parametrize("blocks", [((0, 2),), ((1, 1),), ((0, 1), (1, 1))])
def test_added_blocks_are_the_sum_and_the_largest_of_their_frames(scan: Path, blocks: tuple[Run, ...]) -> None:
    chosen = np.concatenate([frames()[first * BLOCK : (first + count) * BLOCK] for first, count in blocks])
    for kind, expected in (("sum", chosen.sum(axis=0, dtype=np.uint64)), ("largest", chosen.max(axis=0))):
        task = PatternTask.model_validate(
            {"number": 1, "folder": str(scan), "revision": 1, "kind": kind, "blocks": blocks}
        )
        found = Tasks().run(task, b"")
        assert found.result == {"shape": list(CAMERA.shape), "dtype": expected.dtype.name}
        np.testing.assert_array_equal(np.frombuffer(found.payload, expected.dtype).reshape(CAMERA.shape), expected)


def test_a_revision_is_laid_out_once(tmp_path: Path) -> None:
    folder = stored_scan(tmp_path / "scan").folder
    lay_out(folder, known_plan())
    with ResultsFile(open_results(folder, 1)) as results:
        results.write("total", 7, np.array([42.0]))
        results.write_ledger("diffraction", 7, int(ResultState.ANALYSED))
    lay_out(folder, known_plan())
    with ResultsFile(open_results(folder, 1)) as results:
        assert results.read("total", 7, 1) == [42.0]
        assert results.ledger("diffraction")[7] == ResultState.ANALYSED
    assert revisions(folder) == [1]


def test_a_plan_with_an_unheard_of_analysis_leaves_no_file(tmp_path: Path) -> None:
    folder = stored_scan(tmp_path / "scan").folder
    plan = known_plan().model_dump(mode="json") | {"stages": {"diffraction": ["alchemy"]}}
    with pytest.raises(Exception, match="alchemy"):
        Tasks().run(OpenRevisionTask(number=1, folder=str(folder), plan=plan), b"")
    assert revisions(folder) == []


def test_tasks_give_their_files_back(scan: Path, tmp_path: Path) -> None:
    empty = new_folder(tmp_path / "empty").folder

    def every_kind() -> None:
        tasks = Tasks()
        lay_out(scan, known_plan())
        tasks.run(PrepareTask(number=1, folder=str(scan), revision=1), b"")
        median(scan)
        calibrate(scan, tuple(range(16)))
        calibrate(empty, (1, 2))
        tasks.run(PatternTask(number=1, folder=str(scan), revision=1, kind="sum", blocks=BLOCKS), b"")
        tasks.close()

    every_kind()
    before = open_files()
    every_kind()
    assert open_files() == before


def test_only_so_many_revisions_stay_open(scan: Path) -> None:
    for revision in range(1, 8):
        lay_out(scan, known_plan(revision))
    before = open_files()
    tasks = Tasks()
    for _ in range(2):
        for revision in range(1, 8):
            tasks.run(PrepareTask(number=1, folder=str(scan), revision=revision), b"")
            assert open_files() - before <= 8
    tasks.close()
    assert open_files() == before


def test_the_calibration_finds_the_disks_that_were_drawn(scan: Path) -> None:
    positions = tuple(range(0, POSITIONS, 7))
    found = parse_calibration(calibrate(scan, positions)["calibration"])  # type: ignore[arg-type]
    known = known_calibration()
    assert found.positions == positions
    assert found.radius_px == pytest.approx(known.radius_px, abs=0.3)
    assert found.centre == pytest.approx(CAMERA.centre, abs=0.5)
    assert found.g1 is not None
    assert found.g2 is not None
    area = abs(np.linalg.det([found.g1, found.g2]))
    assert area == pytest.approx(abs(np.linalg.det(LATTICE.vectors())), rel=0.02)


def test_the_calibration_takes_the_radius_from_a_vacuum_probe(scan: Path) -> None:
    probe = vacuum_probe(CAMERA)
    found = calibrate(scan, tuple(range(32)), probe.astype("<f4").tobytes(), vacuum_probe=True)["calibration"]
    assert isinstance(found, dict)
    assert found["vacuum_probe"] is True
    assert found["radius_px"] == pytest.approx(CAMERA.radius_px, abs=0.2)


def test_the_calibration_leaves_out_positions_without_frames(tmp_path: Path) -> None:
    folder = stored_scan(tmp_path / "holes", without=(0, 5)).folder
    found = calibrate(folder, (*range(20), POSITIONS, 1 << 62))["calibration"]
    assert isinstance(found, dict)
    assert found["positions"] == [position for position in range(20) if position not in (0, 5)]


@pytest.mark.parametrize("positions", [(), (1, 2, 3), (POSITIONS,)])
def test_a_calibration_without_frames_says_why(tmp_path: Path, positions: tuple[int, ...]) -> None:
    folder = new_folder(tmp_path / "empty").folder
    assert calibrate(folder, positions) == {"reason": f"none of the {len(positions)} positions asked for is stored"}


def test_a_calibration_of_dark_frames_says_why(tmp_path: Path) -> None:
    from livestrain_daemon.scanfolder import FrameWriter

    layout = new_folder(tmp_path / "dark")
    with FrameWriter(layout) as writer:
        writer.write_run(0, np.zeros((20, *CAMERA.shape), np.uint16))
    found = calibrate(layout.folder, tuple(range(20)))
    assert found["reason"]
    assert "calibration" not in found
