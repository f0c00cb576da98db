import json
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.scanfolder.scans import ask, child, new_scan, pixels, run_child, scan_start
from livestrain_daemon.errors import NotAScan, StorageError
from livestrain_daemon.scanfolder import (
    FrameLayout,
    FrameReader,
    FrameState,
    FrameWriter,
    Ring,
    files,
    open_frames,
    runs_of,
)

FRAME_BYTES = 84

SECOND = """
import sys
from pathlib import Path
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.scanfolder import Ring
try:
    Ring(Path(sys.argv[1]), int(sys.argv[2])).close()
except Unavailable as error:
    sys.exit(str(error))
"""


CHANGE = """
import h5py, json, sys
with h5py.File(sys.argv[1], "r+"):
    for line in sys.stdin:
        print(json.dumps("open"), flush=True)
"""


def test_a_ring_is_written_full_once_and_used_again(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", 10 * FRAME_BYTES)
    assert (tmp_path / "ring").stat().st_size == 840
    first = ring.id
    ring.close()
    ring = Ring(tmp_path / "ring", 10 * FRAME_BYTES)
    assert ring.id == first
    ring.close()


def test_frames_wrap_round_and_older_ones_are_recycled(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", 8 * FRAME_BYTES + 5)
    layout = new_scan(tmp_path / "s", ring=ring)
    assert (layout.slots, layout.recording, layout.slot(11), layout.frames_path) == (8, False, 3, ring.path)
    frames = pixels(layout)
    with FrameWriter(layout) as writer, FrameReader(layout) as reader:
        assert writer.write_run(0, frames[:6]) == []
        assert writer.write_run(6, frames[6:11]) == [(layout, [(0, 3)])]
        assert writer.write(11, frames[11]) == [(layout, [(3, 1)])]
        assert reader.ledger().tolist() == [3] * 4 + [1] * 8 + [0] * 8
        np.testing.assert_array_equal(reader.read(4, 8), frames[4:12])
        assert ring.holds() == [(layout, [(4, 8)])]
        with h5py.File(layout.path) as file:
            np.testing.assert_array_equal(file["ring"][5], frames[5])
            assert file.attrs["ring_path"] == str(ring.path)


def test_a_run_longer_than_the_ring_leaves_its_end(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", 3 * FRAME_BYTES)
    layout = new_scan(tmp_path / "s", ring=ring)
    frames = pixels(layout)
    with FrameWriter(layout) as writer, FrameReader(layout) as reader:
        displaced = writer.write_run(0, frames)
        assert [runs for _, runs in displaced] == [[(first, 3)] for first in range(0, 15, 3)] + [[(15, 2)]]
        assert runs_of(reader.ledger() == FrameState.STORED) == [(17, 3)]
        np.testing.assert_array_equal(reader.read(17, 3), frames[17:])


def test_a_scan_that_fits_loses_nothing(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", 20 * FRAME_BYTES)
    layout = new_scan(tmp_path / "s", ring=ring)
    with FrameWriter(layout) as writer, FrameReader(layout) as reader:
        assert writer.write_run(0, pixels(layout)) == []
        assert (reader.ledger() == FrameState.STORED).all()
        np.testing.assert_array_equal(reader.read(0, 20), pixels(layout))


def test_a_slot_is_marked_before_it_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring(tmp_path / "ring", 8 * FRAME_BYTES)
    old = new_scan(tmp_path / "old", ring=ring)
    with FrameWriter(old) as writer:
        writer.write_run(0, pixels(old)[:8])
    layout = new_scan(tmp_path / "s", ring=ring)
    seen = []
    write_at = files.write_at

    def watched(descriptor: int, data: memoryview, offset: int, path: Path) -> None:
        if path == ring.path:
            with FrameReader(old) as before, FrameReader(layout) as now:
                seen.append((before.ledger(0, 8).tolist(), now.ledger(0, 10).tolist()))
        write_at(descriptor, data, offset, path)

    monkeypatch.setattr(files, "write_at", watched)
    with FrameWriter(layout) as writer:
        writer.write_run(0, pixels(layout)[:6])
        writer.write_run(6, pixels(layout)[6:10])
    assert seen == [
        ([3] * 6 + [1] * 2, [0] * 10),
        ([3] * 8, [3] * 2 + [1] * 4 + [0] * 4),
        ([3] * 8, [3] * 2 + [1] * 4 + [0] * 4),
    ]


def test_scans_with_other_frames_recycle_each_other_also_after_a_restart(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", 1000)
    small = new_scan(tmp_path / "small", scan_start((5, 5), (4, 5)), ring)
    with FrameWriter(small) as writer:
        writer.write_run(0, pixels(small))
    ring.close()

    ring = Ring(tmp_path / "ring", 1000)
    large = new_scan(tmp_path / "large", scan_start((5, 5), (10, 15), dtype="uint8"), ring)
    with FrameWriter(large) as writer:
        # bytes 0 to 150 hold frames 0 to 3 of 40 bytes
        assert writer.write(0, pixels(large)[0]) == [(small, [(0, 4)])]
        assert writer.write_run(1, pixels(large)[1:3]) == [(small, [(4, 8)])]
        with FrameReader(small) as reader:
            assert reader.ledger().tolist() == [3] * 12 + [1] * 13
            np.testing.assert_array_equal(reader.read(12, 13), pixels(small)[12:])
        assert [(layout.folder.name, runs) for layout, runs in ring.holds()] == [
            ("small", [(12, 13)]),
            ("large", [(0, 3)]),
        ]


def test_a_writer_opened_again_knows_its_slots(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", 8 * FRAME_BYTES)
    layout = new_scan(tmp_path / "s", ring=ring)
    with FrameWriter(layout) as writer:
        writer.write_run(0, pixels(layout)[:8])
    with FrameWriter(open_frames(layout.folder)) as writer:
        writer.mark([(2, 1)], FrameState.EXPECTED)
        assert writer.write_run(8, pixels(layout)[8:12]) == [(layout, [(0, 2), (3, 1)])]
        assert writer.ledger().tolist() == [3, 3, 0, 3] + [1] * 8 + [0] * 8


def test_a_deleted_scan_does_not_hinder_the_next(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", 8 * FRAME_BYTES)
    old = new_scan(tmp_path / "old", ring=ring)
    with FrameWriter(old) as writer:
        writer.write_run(0, pixels(old)[:8])
    old.path.unlink()
    layout = new_scan(tmp_path / "s", ring=ring)
    with FrameWriter(layout) as writer:
        assert writer.write_run(0, pixels(layout)[:8]) == []
    facts = json.loads((tmp_path / "ring.json").read_text())
    assert facts["tenants"] == [str(layout.folder)]


def test_an_old_scan_open_for_writing_elsewhere_is_still_marked(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", 8 * FRAME_BYTES)
    old = new_scan(tmp_path / "old", ring=ring)
    with FrameWriter(old) as writer:
        writer.write_run(0, pixels(old)[:8])
    layout = new_scan(tmp_path / "s", ring=ring)
    with child(CHANGE, old.path) as changing:
        assert ask(changing) == "open"
        with FrameWriter(layout) as writer:
            assert writer.write_run(0, pixels(layout)[:8]) == [(old, [(0, 8)])]


def test_another_capacity_makes_the_ring_anew_and_old_frames_are_gone(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", 8 * FRAME_BYTES)
    old = new_scan(tmp_path / "old", ring=ring)
    with FrameWriter(old) as writer:
        writer.write_run(0, pixels(old)[:8])
    ring.close()
    ring = Ring(tmp_path / "ring", 9 * FRAME_BYTES)
    assert ring.holds() == []
    with pytest.raises(NotAScan, match="was made anew"):
        FrameReader(old)
    with pytest.raises(NotAScan, match="was made anew"):
        FrameWriter(old)
    with h5py.File(old.path) as file:
        assert file["ledger"][:8].tolist() == [3] * 8


def test_a_ring_smaller_than_a_frame_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", FRAME_BYTES - 1)
    with pytest.raises(StorageError, match="holds 83 bytes, one frame needs 84"):
        new_scan(tmp_path / "s", ring=ring)
    assert list((tmp_path / "s").iterdir()) == []


def test_a_ring_larger_than_the_disk_is_refused_with_the_numbers(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"needs 1000000000000000000 bytes .* has \d+ free"):
        Ring(tmp_path / "ring", 10**18)
    assert [entry.name for entry in tmp_path.iterdir()] == ["ring.lock"]


def test_a_second_process_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", 100)
    second = run_child(SECOND, tmp_path / "ring", 100)
    assert "is used by another daemon" in second.stderr
    ring.close()
    assert run_child(SECOND, tmp_path / "ring", 100).returncode == 0


def test_after_a_loss_of_power_frames_that_never_reached_the_disk_are_recycled(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", 8 * FRAME_BYTES)
    layout = new_scan(tmp_path / "s", ring=ring)
    with FrameWriter(layout) as writer:
        writer.write_run(0, pixels(layout)[:8])
    ring.close()
    with (tmp_path / "ring").open("r+b") as file:
        file.seek(3 * FRAME_BYTES)
        file.write(bytes(2 * FRAME_BYTES))
    with FrameReader(layout) as reader:
        Ring(tmp_path / "ring", 8 * FRAME_BYTES).close()
        assert reader.ledger(0, 8).tolist() == [1] * 8
        facts = tmp_path / "ring.json"
        facts.write_text(json.dumps({**json.loads(facts.read_text()), "boot_id": "another"}))
        Ring(tmp_path / "ring", 8 * FRAME_BYTES).close()
        assert reader.ledger(0, 8).tolist() == [1, 1, 1, 3, 3, 1, 1, 1]


sizes = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
writes = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 11), st.integers(1, 6)), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(capacity=st.integers(30, 200), sides=sizes, order=writes)
def test_what_any_ledger_calls_stored_is_whole(
    tmp_path_factory: pytest.TempPathFactory,
    capacity: int,
    sides: tuple[int, int, int],
    order: list[tuple[int, int, int]],
) -> None:
    folder = tmp_path_factory.mktemp("ring")
    ring = Ring(folder / "ring", capacity)
    layouts = [new_scan(folder / str(n), scan_start((3, 4), (side, 3)), ring) for n, side in enumerate(sides)]
    for scan, first, count in order:
        with FrameWriter(layouts[scan]) as writer:
            frames = pixels(layouts[scan], scan)[first : first + count]
            before = [_stored(layout) for layout in layouts]
            displaced = writer.write_run(first, frames)
        for layout, was in zip(layouts, before, strict=True):
            now = _stored(layout)
            lost = {p for of, runs in displaced if of == layout for start, n in runs for p in range(start, start + n)}
            assert was - now <= lost
    for scan, layout in enumerate(layouts):
        with FrameReader(layout) as reader:
            for position in _stored(layout):
                np.testing.assert_array_equal(reader.read(position, 1)[0], pixels(layout, scan)[position])
    ring.close()


def _stored(layout: FrameLayout) -> set[int]:
    with FrameReader(layout) as reader:
        return set(np.flatnonzero(reader.ledger() == FrameState.STORED).tolist())


def test_a_frame_still_called_stored_after_it_was_read_is_whole(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", 4 << 19)
    layout = new_scan(tmp_path / "s", scan_start((20, 20), (512, 512)), ring)
    wrong, whole = [], 0
    with FrameWriter(layout) as writer, FrameReader(layout) as reader:

        def write_all() -> None:
            for position in range(layout.positions):
                writer.write(position, np.full(layout.frame_shape, position, layout.dtype))

        writing = threading.Thread(target=write_all)
        writing.start()
        last = 0
        while writing.is_alive() or not whole:
            # the oldest frame in the ring is the next to be overwritten
            stored = np.flatnonzero(reader.ledger() == FrameState.STORED)
            last = int(stored[0]) if stored.size else last
            frame = reader.read(last, 1)
            if reader.ledger(last, 1)[0] == FrameState.STORED:
                whole += 1
                wrong += [] if (frame == last).all() else [last]
        writing.join()
    assert wrong == []
