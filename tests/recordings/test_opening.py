import fcntl
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from livestrain_recordings.errors import NoFrames
from livestrain_recordings.opening import open_recording

CUBE = np.random.default_rng(3).poisson(2.0, (6, 5, 16, 24)).astype(np.uint16)


def test_files_without_frames_are_told_from_files_that_cannot_be_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["maps"] = np.zeros((4, 4))
    (tmp_path / "text.h5").write_text("not HDF5")
    np.save(tmp_path / "short.npy", CUBE)
    (tmp_path / "short.npy").write_bytes((tmp_path / "short.npy").read_bytes()[:500])
    np.save(tmp_path / "flat.npy", np.zeros(5))
    for name in ("maps.h5", "flat.npy"):
        with pytest.raises(NoFrames, match=name):
            open_recording(tmp_path / name)
    for name in ("text.h5", "short.npy", "absent.h5"):
        with pytest.raises(OSError, match=name):
            open_recording(tmp_path / name)
    with pytest.raises(OSError, match=r"expected \.npy, .*HDF5, .*, found text that begins with 'not HDF5'"):
        open_recording(tmp_path / "text.h5")
    with pytest.raises(NoFrames, match="no dataset elsewhere"):
        open_recording(tmp_path / "maps.h5", "elsewhere")


def test_a_scan_whose_frames_lived_in_a_ring_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["ring"] = CUBE[0]
        file.attrs["ring_path"] = "/dev/shm/ring"
    with pytest.raises(NoFrames, match="was not recorded"):
        open_recording(tmp_path / "frames.h5")


def locked_out(folder: Path) -> bool:
    """Whether whoever wants to remove a folder must wait."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@pytest.mark.parametrize("spooled", [True, False], ids=["a scan of ours", "another file"])
def test_a_scan_in_a_spool_is_held_as_long_as_it_is_read(tmp_path: Path, spooled: bool) -> None:
    np.save(tmp_path / "frames.npy", CUBE)
    if spooled:
        (tmp_path / "journal.jsonl").touch()
    with open_recording(tmp_path / "frames.npy") as recording:
        np.testing.assert_array_equal(next(recording.blocks())[0], CUBE[0, 0])
        assert locked_out(tmp_path) == spooled
    assert not locked_out(tmp_path)


def test_a_scan_that_is_being_removed_is_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "frames.npy", CUBE)
    (tmp_path / "journal.jsonl").touch()
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(OSError, match=r"frames\.npy: its scan is being removed"):
        open_recording(tmp_path / "frames.npy")
    os.close(descriptor)
    with open_recording(tmp_path / "frames.npy") as recording:
        assert recording.frames == 30


def test_the_search_for_counts_below_zero_ends_when_it_is_told_to(tmp_path: Path) -> None:
    counts = np.zeros((64, 16, 256, 256), np.int16)
    counts[-1, -1, -1, -1] = -1
    np.save(tmp_path / "frames.npy", counts)
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) > 1

    with open_recording(tmp_path / "frames.npy") as recording:
        assert recording.dtype == "float32"
    with open_recording(tmp_path / "frames.npy", stopped=stopped) as recording:
        assert (len(asked), recording.dtype) == (2, "uint16")
    with open_recording(tmp_path / "frames.npy", values=False, stopped=stopped):
        assert len(asked) == 2
