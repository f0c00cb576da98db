import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from daemon.small_scan import POSITIONS, bits, frames, known_plan, lay_out, stored_scan
from livestrain_daemon.plan import DIFFRACTION, REDUCTION
from livestrain_daemon.scanfolder import BLOCK, FrameState, FrameWriter, ResultsFile, open_frames, open_results
from livestrain_daemon.worker.revision import OpenRevision
from livestrain_wire.messages import Run

BLOCKS = -(-POSITIONS // BLOCK)
EVERYTHING = {DIFFRACTION: [(0, POSITIONS)], REDUCTION: [(0, BLOCKS)]}


def run(folder: Path, ranges: dict[str, list[Run]], revision: int = 1) -> None:
    opened = OpenRevision(folder, revision)
    for stage, runs in ranges.items():
        work = opened.analyse_positions if stage == DIFFRACTION else opened.analyse_blocks
        assert work(stage, runs)[0] == []
    opened.close()


def shuffled(units: int, rng: random.Random) -> list[Run]:
    """Everything in random pieces and order, some of it twice."""
    cuts = sorted({0, units, *(rng.randrange(units + 1) for _ in range(rng.randrange(1, 30)))})
    pieces = [(first, stop - first) for first, stop in pairwise(cuts)]
    repeated = [rng.choice(pieces) for _ in range(rng.randrange(5))]
    overlapping = [(first := rng.randrange(units), rng.randrange(1, units - first + 1)) for _ in range(2)]
    everything = [*pieces, *repeated, *overlapping]
    rng.shuffle(everything)
    return everything


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored_scan(tmp_path_factory.mktemp("scans") / "small").folder


@pytest.fixture(scope="module")
def expected(scan: Path) -> dict[str, bytes]:
    lay_out(scan, known_plan(1))
    run(scan, EVERYTHING)
    return bits(scan, 1)


def test_every_map_and_block_is_written(scan: Path, expected: dict[str, bytes]) -> None:
    maps = {name: np.frombuffer(raw, open_results(scan, 1).outputs[name].dtype) for name, raw in expected.items()}
    assert {"total", "bright_field", "ring", "g1", "g2", "disk_position", "sum", "largest"} <= maps.keys()
    assert all(np.isfinite(values).all() for name, values in maps.items() if name not in {"disk_position"})
    np.testing.assert_array_equal(maps["total"], frames().sum(axis=(1, 2), dtype=np.float64))


@pytest.mark.parametrize("seed", range(20))
def test_order_splits_and_repetitions_change_no_bit(scan: Path, expected: dict[str, bytes], seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - no secret
    revision = 2 + seed
    lay_out(scan, known_plan(revision))
    stages = [DIFFRACTION, REDUCTION]
    rng.shuffle(stages)
    run(scan, {stage: shuffled(POSITIONS if stage == DIFFRACTION else BLOCKS, rng) for stage in stages}, revision)
    found = bits(scan, revision)
    assert [name for name in expected if found[name] != expected[name]] == []


def test_one_position_at_a_time_gives_the_same_bits_as_all_at_once(scan: Path, expected: dict[str, bytes]) -> None:
    lay_out(scan, known_plan(50))
    run(scan, {DIFFRACTION: [(position, 1) for position in range(POSITIONS)], REDUCTION: [(1, 1), (0, 1)]}, 50)
    assert bits(scan, 50) == expected


def test_missing_frames_leave_not_measured_and_add_nothing(tmp_path: Path) -> None:
    without = (3, 4, 300)
    folder = stored_scan(tmp_path / "holes", without).folder
    lay_out(folder, known_plan())
    opened = OpenRevision(folder, 1)
    recycled, _ = opened.analyse_positions(DIFFRACTION, [(0, 10), (295, 10)])
    assert recycled == [(3, 2), (300, 1)]
    assert opened.analyse_blocks(REDUCTION, [(0, BLOCKS)])[0] == []
    opened.close()
    with ResultsFile(open_results(folder, 1)) as results:
        assert np.isnan(results.read("total", 3, 2)).all()
        assert np.isfinite(results.read("total", 0, 3)).all()
        present = [position for position in range(BLOCK) if position not in without]
        np.testing.assert_array_equal(results.read_block("sum", 0), frames()[present].sum(axis=0))


def test_frames_that_were_overwritten_give_no_results(tmp_path: Path) -> None:
    folder = stored_scan(tmp_path / "gone").folder
    lay_out(folder, known_plan())
    with FrameWriter(open_frames(folder)) as writer:
        writer.mark([(5, 3)], FrameState.RECYCLED)
    opened = OpenRevision(folder, 1)
    assert opened.analyse_positions(DIFFRACTION, [(0, 20)])[0] == [(5, 3)]
    with FrameWriter(open_frames(folder)) as writer:
        writer.mark([(0, BLOCK)], FrameState.RECYCLED)
    assert opened.analyse_blocks(REDUCTION, [(0, BLOCKS)])[0] == [(0, 1)]
    opened.close()
    with ResultsFile(open_results(folder, 1)) as results:
        assert np.flatnonzero(np.isnan(results.read("total", 0, 20))).tolist() == [5, 6, 7]
        assert not results.read_block("sum", 0).any()


def test_the_time_is_booked_to_its_parts(scan: Path, expected: dict[str, bytes]) -> None:
    assert expected
    opened = OpenRevision(scan, 1)
    _, spans = opened.analyse_positions(DIFFRACTION, [(0, 50)])
    opened.close()
    assert spans.seconds.keys() == {"read", "virtual", "disks", "write"}
    assert all(seconds >= 0 for seconds in spans.seconds.values())
