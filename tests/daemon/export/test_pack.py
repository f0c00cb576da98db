"""A compressed copy of the frames, read with h5py and hdf5plugin alone."""

import subprocess
import sys
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from daemon.scanfolder.scans import new_scan, pixels, scan_start
from daemon.scanfolder.test_full_disk import on_a_small_disk
from daemon.scanfolder.test_py4dstem import LOOK, _ask_py4dstem, needs_py4dstem
from daemon.small_scan import CAMERA, POSITIONS, SCAN, frames
from livestrain_daemon.errors import NotAScan
from livestrain_daemon.export import ExportError, NothingToExport
from livestrain_daemon.export.pack import pack_frames
from livestrain_daemon.scanfolder import FrameState, FrameWriter, Ring

assert hdf5plugin  # reading needs its filters registered


def test_all_frames_are_in_the_copy_bit_by_bit(folder: Path, tmp_path: Path) -> None:
    path = pack_frames(folder, tmp_path / "deep" / "packed.h5")
    with h5py.File(path) as file, h5py.File(folder / "frames.h5") as original:
        assert np.array_equal(file["frames"][...].reshape(-1, *CAMERA.shape), frames())
        assert np.array_equal(file["ledger"][...], original["ledger"][...])
        assert file.attrs["start"] == original.attrs["start"]
        stored = file["frames"].id.get_storage_size()
    # shot noise does not compress well
    assert stored < 0.8 * frames().nbytes


def test_of_a_running_scan_only_what_is_stored_is_in(running: Path, tmp_path: Path) -> None:
    path = pack_frames(running, tmp_path)
    assert path == tmp_path / "small-frames.h5"
    with h5py.File(path) as file:
        states = file["ledger"][...]
        assert states.tolist() == [FrameState.STORED] * 170 + [FrameState.EXPECTED] * (POSITIONS - 170)
        found = file["frames"][...].reshape(-1, *CAMERA.shape)
        assert np.array_equal(found[:170], frames()[:170])
        assert not found[170:].any()
        assert file["frames"].shape == (*SCAN, *CAMERA.shape)


def test_of_a_ring_only_what_it_still_has_is_in(tmp_path: Path) -> None:
    start = scan_start()
    ring = Ring(tmp_path / "ring", 8 * 84)
    layout = new_scan(tmp_path / "s", start, ring)
    with FrameWriter(layout) as writer:
        writer.write_run(0, pixels(layout))
    with h5py.File(pack_frames(tmp_path / "s", tmp_path / "packed.h5")) as file:
        assert file["ledger"][...].tolist() == [FrameState.RECYCLED] * 12 + [FrameState.STORED] * 8
        found = file["frames"][...].reshape(20, 6, 7)
    assert np.array_equal(found[12:], pixels(layout)[12:])
    assert not found[:12].any()
    ring.close()


def test_what_exists_or_holds_no_frame_is_refused(folder: Path, tmp_path: Path) -> None:
    path = pack_frames(folder, tmp_path / "packed.h5")
    with pytest.raises(ExportError, match="exists already"):
        pack_frames(folder, path)
    assert pack_frames(folder, path, force=True) == path
    new_scan(tmp_path / "empty")
    with pytest.raises(NothingToExport, match="no frame is stored"):
        pack_frames(tmp_path / "empty", tmp_path / "out.h5")
    with pytest.raises(NotAScan):
        pack_frames(tmp_path, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_a_disk_without_space_ends_it_with_a_line_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    said = on_a_small_disk(
        tmp_path,
        f"""
from livestrain_daemon.export.pack import pack_frames
tell(lambda: pack_frames(Path({str(folder)!r}), disk / "packed.h5"))
print(os.listdir(disk))
""",
    )
    assert "the disk is full: " in said[0]
    assert said[1:] == ["[]"]


@needs_py4dstem
def test_py4dstem_opens_the_copy(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s", scan_start((4, 5), step_nm=0.5, pixel_size_mrad=0.7))
    with FrameWriter(layout) as writer:
        writer.write_run(0, pixels(layout))
    packed = pack_frames(tmp_path / "s", tmp_path / "packed.h5")
    has_filters = subprocess.run(
        [sys.executable, "-c", "import hdf5plugin; print(hdf5plugin.PLUGIN_PATH)"],
        capture_output=True,
        text=True,
        check=True,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HDF5_PLUGIN_PATH", has_filters.stdout.strip())
        assert '"DataCube"' in _ask_py4dstem(LOOK, packed)
