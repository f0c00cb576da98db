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
