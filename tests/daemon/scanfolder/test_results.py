import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from daemon.scanfolder.scans import ask, child, run_child
from livestrain_daemon.errors import NotAScan, StorageError
from livestrain_daemon.scanfolder import (
    BLOCK,
    Output,
    ResultsFile,
    ResultsLayout,
    ResultState,
    create_results,
    open_results,
    provenance,
    revisions,
)

STAGES = {
    "diffraction": [
        Output("strain", (2, 2), "float32", unit="1", colours="diverging", limit=0.03, description="strain"),
        Output("total", dtype="uint64", unit="counts"),
        Output("centre", (2,), "float64"),
        Output("sum", (6, 7), "float64", per_block=True),
    ],
    "patterns": [Output("largest", (6, 7), "uint32", per_block=True)],
}
SHAPE = (20, 30)

LOOK_AFRESH = """
import h5py, json, sys
for line in sys.stdin:
    with h5py.File(sys.argv[1]) as file:
        seen = file["maps/total"][()].reshape(-1), file["ledger/diffraction"][()]
        print(json.dumps([values.tolist() for values in seen]), flush=True)
"""

LOOK_AGAIN = """
import h5py, json, sys
with h5py.File(sys.argv[1]) as file:
    total, ledger = file["maps/total"], file["ledger/diffraction"]
    total[()], ledger[()]
    for line in sys.stdin:
        total.refresh()
        ledger.refresh()
        print(json.dumps([total[()].reshape(-1).tolist(), ledger[()].tolist()]), flush=True)
"""

OPEN = """
import h5py, sys
for mode in sys.argv[2:]:
    try:
        h5py.File(sys.argv[1], mode).close()
        print(mode, "opened")
    except OSError as error:
        print(mode, "refused" if "lock" in str(error) else str(error))
"""


@pytest.fixture
def layout(tmp_path: Path) -> ResultsLayout:
    return create_results(tmp_path, 1, SHAPE, STAGES, {"revision": 1}, provenance())


def test_the_layout_is_found_again(layout: ResultsLayout) -> None:
    found = open_results(layout.folder, 1)
    assert found == layout
    assert (found.positions, found.blocks, BLOCK) == (600, 3, 256)
    assert found.plan == {"revision": 1}
    assert found.outputs == {output.name: output for stage in STAGES.values() for output in stage}
    assert found.stages == {"diffraction": ("strain", "total", "centre", "sum"), "patterns": ("largest",)}


def test_datasets_are_aligned_and_described(layout: ResultsLayout) -> None:
    for offset in (*layout.output_offsets.values(), *layout.ledger_offsets.values()):
        assert offset % 4096 == 0
    with h5py.File(layout.path) as file:
        assert file["maps/strain"].shape == (20, 30, 2, 2)
        assert dict(file["maps/strain"].attrs) == {"stage": "diffraction", "unit": "1", "description": "strain"}
        assert np.isnan(file["maps/strain"].fillvalue)
        assert file["blocks/largest"].shape == (3, 6, 7)


def test_nothing_is_measured_at_first(layout: ResultsLayout) -> None:
    with h5py.File(layout.path) as file, ResultsFile(layout) as results:
        for name in ("strain", "centre"):
            assert np.isnan(file[f"maps/{name}"][()]).all()
            assert np.isnan(results.read(name, 0, 600)).all()
        assert not results.read("total", 0, 600).any()
        assert not results.read_block("sum", 2).any()
        assert not results.ledger("diffraction").any()


def test_what_is_written_is_read(layout: ResultsLayout) -> None:
    strain = np.random.default_rng(1).normal(size=(50, 2, 2)).astype(np.float32)
    largest = np.arange(42, dtype=np.uint32).reshape(6, 7)
    with ResultsFile(layout) as writer, ResultsFile(layout) as reader:
        writer.write("strain", 130, strain)
        writer.write("centre", 0, strain[:, 0].astype(np.float32))
        writer.write("strain", 0, strain[:0])
        writer.write_block("largest", 1, largest)
        np.testing.assert_array_equal(reader.read("strain", 130, 50), strain)
        np.testing.assert_array_equal(reader.read("centre", 0, 50), strain[:, 0].astype(np.float64))
        assert np.isnan(reader.read("strain", 129, 1)).all()
        assert reader.read("strain", 5, 0).shape == (0, 2, 2)
        np.testing.assert_array_equal(reader.read_block("largest", 1), largest)
        writer.sync()
    with h5py.File(layout.path) as file:
        np.testing.assert_array_equal(file["maps/strain"][()].reshape(600, 2, 2)[130:180], strain)
        np.testing.assert_array_equal(file["blocks/largest"][1], largest)


def test_ledgers_count_positions_or_blocks(layout: ResultsLayout) -> None:
    with ResultsFile(layout) as results:
        results.write_ledger("diffraction", 10, ResultState.ANALYSED, 3)
        results.write_ledger("diffraction", 12, np.array([2, 3], np.uint8))
        results.write_ledger("diffraction", 599, ResultState.MISSING)
        results.write_ledger("patterns", 2, ResultState.ANALYSED)
        states = results.ledger("diffraction")
        assert np.flatnonzero(states).tolist() == [10, 11, 12, 13, 599]
        assert states[states > 0].tolist() == [1, 1, 2, 3, 4]
        assert results.ledger("patterns").tolist() == [0, 0, 1]


def test_ranges_and_values_that_do_not_fit_are_refused(layout: ResultsLayout) -> None:
    before = layout.path.read_bytes()
    with ResultsFile(layout) as results:
        for wrong in (
            lambda: results.write("total", 599, np.zeros(2, np.uint64)),
            lambda: results.write("strain", 0, np.zeros((3, 4), np.float32)),
            lambda: results.read("total", -1, 2),
            lambda: results.write_block("sum", 3, np.zeros((6, 7))),
            lambda: results.write_ledger("patterns", 3, 1),
        ):
            with pytest.raises(ValueError, match="expected"):
                wrong()
        with pytest.raises(TypeError):
            results.write("total", 0, np.full(2, 0.5))
        with pytest.raises(KeyError):
            results.write("sum", 0, np.zeros((1, 6, 7)))
    assert layout.path.read_bytes() == before


@pytest.mark.parametrize("look", [LOOK_AFRESH, LOOK_AGAIN], ids=["opened anew", "kept open and refreshed"])
def test_another_process_sees_maps_while_they_are_written(layout: ResultsLayout, look: str) -> None:
    total, ledger = np.zeros(600, np.uint64), np.zeros(600, np.uint8)
    with ResultsFile(layout) as results, child(look, layout.path) as looking:
        for first in range(0, 600, 200):
            assert ask(looking) == [total.tolist(), ledger.tolist()]
            total[first : first + 200] = np.arange(200) + first
            ledger[first : first + 200] = ResultState.ANALYSED
            results.write("total", first, total[first : first + 200])
            results.write_ledger("diffraction", first, ResultState.ANALYSED, 200)
        assert ask(looking) == [total.tolist(), ledger.tolist()]


def test_nobody_opens_the_file_for_writing_while_the_daemon_has_it(layout: ResultsLayout) -> None:
    modes = ("r", "r+", "a")
    with ResultsFile(layout):
        assert run_child(OPEN, layout.path, *modes).stdout.splitlines() == ["r opened", "r+ refused", "a refused"]
    assert run_child(OPEN, layout.path, *modes).stdout.splitlines() == ["r opened", "r+ opened", "a opened"]


def test_each_revision_has_its_file(layout: ResultsLayout) -> None:
    create_results(layout.folder, 12, SHAPE, {}, {}, {})
    (layout.folder / "results-0007.h5.partial").touch()
    assert revisions(layout.folder) == [1, 12]
    with pytest.raises(StorageError, match="exists already"):
        create_results(layout.folder, 1, SHAPE, STAGES, {}, {})


def test_a_revision_larger_than_the_disk_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    stages = {"patterns": [Output("sum", (60_000, 60_000), "float64", per_block=True)]}
    with pytest.raises(StorageError, match=r"needs \d+ bytes .* has \d+ free"):
        create_results(tmp_path, 1, (60_000, 60_000), stages, {}, {})
    assert list(tmp_path.iterdir()) == []


def test_outputs_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="different names"):
        create_results(tmp_path, 1, SHAPE, {"a": [Output("x")], "b": [Output("x")]}, {}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_large_plan_is_kept(tmp_path: Path) -> None:
    plan = {"probe": list(range(50_000))}
    assert create_results(tmp_path, 1, SHAPE, STAGES, plan, {}).plan == plan


def test_a_damaged_file_is_refused_in_one_line(layout: ResultsLayout) -> None:
    assert open_results(layout.folder, 1) == layout
    os.truncate(layout.path, layout.path.stat().st_size - 1000)
    with pytest.raises(NotAScan, match=r"results-0001\.h5: is damaged"):
        open_results(layout.folder, 1)
    with pytest.raises(NotAScan, match=r"results-0002\.h5: does not exist"):
        open_results(layout.folder, 2)
