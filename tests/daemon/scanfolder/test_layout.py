import os
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.scanfolder.scans import new_scan, pixels, run_child, scan_start
from livestrain_daemon.errors import NotAScan, StorageError
from livestrain_daemon.scanfolder import FrameLayout, FrameWriter, Spool, create_frames, open_frames, provenance

ALIGNMENT = 4096

LIMITED = """
import resource, sys
from pathlib import Path
from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder import create_frames, provenance
from livestrain_wire.messages import ScanStart
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
start = ScanStart(scan_id="s", scan_shape=(64, 64), frame_shape=(64, 64), dtype="uint16")
try:
    create_frames(Path(sys.argv[1]), start, provenance(), None)
except StorageError as error:
    print(error)
"""

KILLED = """
import os, signal, sys
from pathlib import Path
from livestrain_daemon.scanfolder import create_frames, provenance
from livestrain_wire.messages import ScanStart
moment = sys.argv[2]
def watch(event, arguments):
    if event != moment or not str(arguments[0]).endswith("frames.h5.partial"):
        return
    # what is opened without being created has been laid out, and is about to be reserved
    if event == "os.rename" or not arguments[2] & os.O_CREAT:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
start = ScanStart(scan_id="s", scan_shape=(4, 5), frame_shape=(6, 7), dtype="uint16")
create_frames(Path(sys.argv[1]), start, provenance(), None)
"""


def test_the_layout_is_found_again(tmp_path: Path) -> None:
    start = scan_start(metadata={"note": "x" * 100_000})
    made = new_scan(tmp_path / "s", start)
    found = open_frames(tmp_path / "s")
    assert found == made
    assert found.start == start
    assert (found.positions, found.slots, found.frame_bytes, found.recording) == (20, 20, 84, True)
    assert found.slot(7) == 7


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
def test_datasets_are_contiguous_allocated_and_aligned(tmp_path: Path, dtype: str) -> None:
    layout = new_scan(tmp_path / "s", scan_start((3, 3), (5, 5), dtype=dtype))
    for offset in (layout.frames_offset, layout.ledger_offset, layout.checksums_offset):
        assert offset % ALIGNMENT == 0
    with h5py.File(layout.path) as file:
        assert file["frames"].dtype == layout.dtype == np.dtype(dtype)
        assert file["frames"].chunks is None
        assert file["frames"].id.get_create_plist().get_fill_time() == h5py.h5d.FILL_TIME_NEVER
        # the file format that every HDF5 since 1.0 reads
        assert file.id.get_create_plist().get_version()[0] == 0


def test_the_space_of_a_scan_is_reserved(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s", scan_start((32, 32), (64, 64)))
    facts = layout.path.stat()
    if facts.st_blocks * 512 < 1 << 20:
        pytest.skip("this file system cannot reserve space")
    assert facts.st_blocks * 512 >= layout.positions * layout.frame_bytes


def test_a_scan_larger_than_the_disk_is_refused_with_the_numbers_and_leaves_nothing(tmp_path: Path) -> None:
    start = scan_start((60_000, 60_000), (60_000, 60_000))
    needed = 60_000**4 * 2
    with pytest.raises(StorageError, match=rf"needs {str(needed)[:4]}\d+ bytes .* has \d+ free"):
        new_scan(tmp_path / "s", start)
    assert list((tmp_path / "s").iterdir()) == []


def test_a_limit_of_the_file_size_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    child = run_child(LIMITED, tmp_path, 1 << 20)
    assert child.returncode == 0, child.stderr
    assert str(tmp_path) in child.stdout
    assert len(child.stdout.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_without_the_limit_the_same_scan_is_laid_out(tmp_path: Path) -> None:
    child = run_child(LIMITED, tmp_path, 1 << 30)
    assert (child.returncode, child.stdout) == (0, ""), child.stderr
    assert open_frames(tmp_path).positions == 4096


@pytest.mark.parametrize("moment", ["open", "os.rename"])
def test_what_a_killed_process_has_half_made_is_not_a_scan(tmp_path: Path, moment: str) -> None:
    spool_folder = tmp_path / "spool"
    with Spool(spool_folder) as spool:
        folder = spool.new_folder("s")
        child = run_child(KILLED, folder, moment)
        assert child.returncode == -signal.SIGKILL, child.stderr
        assert [entry.name for entry in folder.iterdir()] == ["frames.h5.partial"]
        assert spool.scans() == []
        assert spool.unfinished() is None
        with pytest.raises(NotAScan, match="does not exist"):
            open_frames(folder)
        assert spool.new_folder("s") == folder
        create_frames(folder, scan_start(), provenance(), None)
        assert [entry.name for entry in folder.iterdir()] == ["frames.h5"]


def test_a_process_that_is_not_killed_makes_a_scan(tmp_path: Path) -> None:
    child = run_child(KILLED, tmp_path, "never")
    assert child.returncode == 0, child.stderr
    assert open_frames(tmp_path).positions == 20


def test_a_second_layout_in_the_same_folder_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s")
    before = layout.path.read_bytes()
    with pytest.raises(StorageError, match="exists already"):
        new_scan(tmp_path / "s")
    assert layout.path.read_bytes() == before


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(NotAScan, match=r"frames\.h5: does not exist"):
        open_frames(tmp_path / "nothing")
    with pytest.raises(StorageError, match="cannot be used"):
        create_frames(tmp_path / "nothing", scan_start(), provenance(), None)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1000)


def _flip_a_bit(path: Path) -> None:
    # in the heap of the root group; HDF5 would go on
    data = bytearray(path.read_bytes())
    data[data.index(b"livestrain_kind")] ^= 1
    path.write_bytes(data)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(9000))


def _zero_head(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(512))


def _other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = 1


def _no_ledger(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["ledger"]


def _no_start(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file.attrs["start"]


def _bad_start(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["start"] = '{"scan_id": "s"}'


def _chunked(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["ledger"]
        file.create_dataset("ledger", shape=(20,), dtype="u1", chunks=(4,))


def _short_ledger(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["ledger"]
        file.create_dataset("ledger", data=np.zeros(19, np.uint8))


def _newer_format(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["livestrain_format"] = 99


DAMAGES = [
    _cut,
    _flip_a_bit,
    _empty,
    _garbage,
    _zero_head,
    _other_hdf5,
    _no_ledger,
    _no_start,
    _bad_start,
    _chunked,
    _short_ledger,
    _newer_format,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_in_one_line_that_names_it(tmp_path: Path, damage: object) -> None:
    layout = new_scan(tmp_path / "s")
    assert open_frames(tmp_path / "s") == layout
    assert callable(damage)
    damage(layout.path)
    with pytest.raises(NotAScan) as caught:
        open_frames(tmp_path / "s")
    assert str(caught.value).startswith(str(layout.path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s")
    before = len(os.listdir("/proc/self/fd"))
    with FrameWriter(layout) as writer:
        writer.write_run(0, pixels(layout))
    open_frames(tmp_path / "s")
    with pytest.raises(StorageError):
        new_scan(tmp_path / "s")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_finished_scan_that_somebody_annotated_is_still_a_scan(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s")
    with h5py.File(layout.path, "r+") as file:
        file.attrs["remark"] = "good one"
    assert open_frames(tmp_path / "s") == layout


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=4), value=st.integers(0, 255))
def test_whatever_bytes_change_the_file_is_read_right_or_refused(
    sealed: FrameLayout, places: list[float], value: int
) -> None:
    good = sealed.path.read_bytes()
    bad = bytearray(good)
    for place in places:
        bad[int(place * len(bad))] = value
    sealed.path.write_bytes(bad)
    try:
        found = open_frames(sealed.folder)
    except NotAScan:
        found = None
    finally:
        sealed.path.write_bytes(good)
    assert found in (None, sealed) if bad != good else found == sealed


@pytest.fixture
def sealed(tmp_path: Path) -> FrameLayout:
    return new_scan(tmp_path / "s")
