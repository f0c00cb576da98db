from pathlib import Path

import numpy as np
import pytest

from livestrain_recordings.errors import UnusableRecording
from livestrain_recordings.opening import open_recording
from recordings.whole import CUBE, whole

FRAMES = CUBE[:, :, :, :16].astype(np.uint8)


def write_blo(path: Path, offset: int = 4096, columns: int = 5) -> Path:
    """By the known layout of such a file; the picture of the scan is left out."""
    header = b"IMGBLO" + (0x0102).to_bytes(2, "little")
    header += np.array([1024, offset, 0], "<u4").tobytes() + np.array([16, 0, columns, 6, 0], "<u2").tobytes()
    header += np.array([12.8, 12.8], "<f8").tobytes() + np.array([200_000], "<u4").tobytes()
    frames = [
        b"\xaa\x55" + number.to_bytes(4, "little") + frame.tobytes()
        for number, frame in enumerate(FRAMES.reshape(30, 16, 16))
    ]
    path.write_bytes(header.ljust(4096, b"\0") + b"".join(frames))
    return path


def test_frames_step_and_energy_are_read(tmp_path: Path) -> None:
    path = write_blo(tmp_path / "scan.blo")
    np.testing.assert_array_equal(whole(path), FRAMES)
    with open_recording(path) as recording:
        assert (recording.facts, recording.absent) == ({"energy_kev": 200.0, "step_nm": 12.8}, None)


def test_a_file_that_was_cut_short_lacks_its_last_frames(tmp_path: Path) -> None:
    path = write_blo(tmp_path / "scan.blo")
    path.write_bytes(path.read_bytes()[:-300])
    with open_recording(path) as recording:
        assert recording.absent is not None
        assert np.flatnonzero(recording.absent).tolist() == [28, 29]
    np.testing.assert_array_equal(whole(path).reshape(30, 16, 16)[:28], FRAMES.reshape(30, 16, 16)[:28])


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    path = write_blo(tmp_path / "scan.blo")
    content = bytearray(path.read_bytes())
    content[4096 + 7 * (6 + 256)] = 0
    path.write_bytes(content)
    with open_recording(path) as recording, pytest.raises(OSError, match=r"scan\.blo: frames: .* frame 7: expected it"):
        list(recording.blocks())


def test_a_header_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"expected a frame of 262 bytes from byte 4294967295 on, found none"):
        open_recording(write_blo(tmp_path / "far.blo", offset=(1 << 32) - 1))
    with pytest.raises(UnusableRecording, match=r"expected \(scan_rows, .* found \(6, 0, 16, 16\)"):
        open_recording(write_blo(tmp_path / "empty.blo", columns=0))
    (tmp_path / "short.blo").write_bytes(b"IMGBLO")
    with pytest.raises(OSError, match="expected a header of 50 bytes, found 6"):
        open_recording(tmp_path / "short.blo")
