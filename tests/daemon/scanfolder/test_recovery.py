from pathlib import Path

import h5py
import numpy as np
import pytest

from daemon.scanfolder.scans import new_scan, pixels, scan_start
from livestrain_daemon.errors import NotAScan
from livestrain_daemon.scanfolder import (
    FrameLayout,
    FrameState,
    FrameWriter,
    Journal,
    Ring,
    positions_lost_to_power,
    provenance,
)


@pytest.fixture
def layout(tmp_path: Path) -> FrameLayout:
    """Positions 0 to 15 stored, 16 missing; the bytes of 3, 4 and 12 did not reach the disk, 12 was synced."""
    layout = new_scan(tmp_path / "s")
    with FrameWriter(layout) as writer:
        writer.write_run(0, pixels(layout)[:16])
        writer.mark([(16, 1)], FrameState.MISSING)
    with layout.path.open("r+b") as file:
        for position in (3, 4, 12):
            file.seek(layout.frames_offset + position * layout.frame_bytes)
            file.write(bytes(layout.frame_bytes))
    return layout


def test_after_another_boot_frames_that_are_not_whole_are_lost(layout: FrameLayout) -> None:
    with Journal(layout.folder) as journal:
        journal.append("scan_started", provenance={**provenance(), "boot_id": "another"})
        journal.append("synced", runs=[(12, 2)])
    assert positions_lost_to_power(layout.folder) == [(3, 2)]


def test_a_boot_told_of_by_the_frames_file_counts_too(layout: FrameLayout) -> None:
    with h5py.File(layout.path, "r+") as file:
        file.attrs["boot_id"] = "another"
    assert positions_lost_to_power(layout.folder) == [(3, 2), (12, 1)]


def test_in_the_same_boot_nothing_is_lost(layout: FrameLayout) -> None:
    with Journal(layout.folder) as journal:
        journal.append("scan_started", provenance=provenance())
    assert positions_lost_to_power(layout.folder) == []


def test_after_another_boot_whole_frames_are_kept(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s", scan_start((70, 70), (3, 3)))
    with FrameWriter(layout) as writer:
        writer.write_run(100, pixels(layout)[100:4000])
    with Journal(layout.folder) as journal:
        journal.append("daemon_started", boot_id="another")
    assert positions_lost_to_power(layout.folder) == []


def test_marked_positions_can_be_stored_again(layout: FrameLayout) -> None:
    with Journal(layout.folder) as journal:
        journal.append("scan_started", boot_id="another")
    lost = positions_lost_to_power(layout.folder)
    assert lost == [(3, 2), (12, 1)]
    with FrameWriter(layout) as writer:
        writer.mark(lost, FrameState.EXPECTED)
        assert np.flatnonzero(writer.ledger() == FrameState.EXPECTED).tolist() == [3, 4, 12, 17, 18, 19]
        for first, count in lost:
            writer.write_run(first, pixels(layout)[first : first + count])
    assert positions_lost_to_power(layout.folder) == []


def test_frames_in_a_ring_are_checked_where_they_are(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", 10 * 84)
    layout = new_scan(tmp_path / "s", ring=ring)
    with FrameWriter(layout) as writer:
        writer.write_run(0, pixels(layout)[:14])
    with Journal(layout.folder) as journal:
        journal.append("scan_started", boot_id="another")
    assert positions_lost_to_power(layout.folder) == []
    with ring.path.open("r+b") as file:
        file.write(bytes(84))
    assert positions_lost_to_power(layout.folder) == [(10, 1)]
    ring.close()


def test_a_folder_without_a_scan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAScan):
        positions_lost_to_power(tmp_path)
