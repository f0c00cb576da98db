from pathlib import Path

import numpy as np
import pytest

from helpers.merlin import LAYOUTS, frames_of
from livestrain_recordings.errors import UnusableRecording
from livestrain_recordings.opening import open_recording
from livestrain_simulator.emulators.merlin.file import write_mib
from livestrain_simulator.emulators.merlin.pixels import PixelKind
from recordings.whole import whole

KINDS = [
    PixelKind("U08", 6, "1x1"),
    PixelKind("U16", 12, "2x2G"),
    PixelKind("U32", 24, "2x2"),
    PixelKind("R64", 12, "2x2"),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.code}-{kind.layout}")
def test_frames_lie_in_the_scan_that_the_header_tells(tmp_path: Path, kind: PixelKind) -> None:
    frames = frames_of(kind, 6)
    write_mib(tmp_path / "scan.mib", frames, kind, scan_shape=(2, 3))
    np.testing.assert_array_equal(whole(tmp_path / "scan.mib"), frames.reshape(2, 3, *LAYOUTS[kind.layout]))


def test_what_the_detector_knows_is_told(tmp_path: Path) -> None:
    kind = PixelKind("U16", 12, "2x2G")
    write_mib(tmp_path / "scan.mib", frames_of(kind, 2), kind, scan_shape=(1, 2))
    with open_recording(tmp_path / "scan.mib") as recording:
        assert (recording.dtype, recording.saturation, recording.absent) == ("uint16", 4095.0, None)
        assert recording.unusable is not None
        assert recording.unusable.sum() == 514**2 - 512**2
        assert recording.facts["Counter Depth (number)"] == "12"


def test_a_scan_that_was_cut_short_lacks_its_last_frames(tmp_path: Path) -> None:
    kind = PixelKind("U16", 12, "1x1")
    frames = frames_of(kind, 6)
    path = tmp_path / "scan.mib"
    write_mib(path, frames, kind, scan_shape=(2, 3))
    path.write_bytes(path.read_bytes()[:-100])
    with open_recording(path) as recording:
        assert recording.absent is not None
        assert recording.absent.tolist() == [False] * 5 + [True]
    np.testing.assert_array_equal(whole(path).reshape(frames.shape)[:5], frames[:5])


@pytest.mark.parametrize("told", [True, False], ids=["shape", "stack"])
def test_a_frame_that_a_file_lacks_moves_no_other(tmp_path: Path, told: bool) -> None:
    kind = PixelKind("U16", 12, "1x1")
    frames = frames_of(kind, 6)
    path = tmp_path / "scan.mib"
    write_mib(path, frames, kind, scan_shape=(2, 3))
    stride = path.stat().st_size // 6
    content = path.read_bytes()
    path.write_bytes(content[: 2 * stride] + content[3 * stride :])
    if not told:
        path.with_suffix(".hdr").unlink()
    with open_recording(path) as recording:
        assert recording.absent is not None
        assert recording.absent.tolist() == [False, False, True, False, False, False]
    there = [0, 1, 3, 4, 5]
    np.testing.assert_array_equal(whole(path).reshape(frames.shape)[there], frames[there])


def test_numbers_that_begin_again_leave_the_frames_in_order(tmp_path: Path) -> None:
    kind = PixelKind("U16", 12, "1x1")
    frames = frames_of(kind, 3)
    path = tmp_path / "scan.mib"
    write_mib(path, frames, kind, scan_shape=(2, 3))
    path.write_bytes(path.read_bytes() * 2)
    with open_recording(path) as recording:
        assert recording.absent is None
    np.testing.assert_array_equal(whole(path).reshape(6, *frames.shape[1:]), np.concatenate([frames, frames]))


def test_the_first_frame_of_a_part_without_a_shape_has_the_first_place(tmp_path: Path) -> None:
    kind = PixelKind("U16", 12, "1x1")
    frames = frames_of(kind, 6)
    path = tmp_path / "scan.mib"
    write_mib(path, frames, kind, scan_shape=(2, 3))
    path.with_suffix(".hdr").unlink()
    path.write_bytes(path.read_bytes()[2 * (path.stat().st_size // 6) :])
    np.testing.assert_array_equal(whole(path), frames[2:])


def test_a_frame_whose_header_is_none_is_absent(tmp_path: Path) -> None:
    kind = PixelKind("U16", 12, "1x1")
    frames = frames_of(kind, 6)
    path = tmp_path / "scan.mib"
    write_mib(path, frames, kind, scan_shape=(2, 3))
    stride = path.stat().st_size // 6
    content = bytearray(path.read_bytes())
    content[3 * stride : 3 * stride + 384] = b"\xff" * 384
    path.write_bytes(content)
    with open_recording(path) as recording:
        assert recording.absent is not None
        assert recording.absent.tolist() == [False, False, False, True, False, False]
    there = [0, 1, 2, 4, 5]
    np.testing.assert_array_equal(whole(path).reshape(frames.shape)[there], frames[there])


def test_frames_beyond_the_scan_leave_its_shape_to_the_user(tmp_path: Path) -> None:
    kind = PixelKind("U08", 6, "1x1")
    frames = frames_of(kind, 7)
    write_mib(tmp_path / "scan.mib", frames, kind, scan_shape=(2, 3))
    np.testing.assert_array_equal(whole(tmp_path / "scan.mib"), frames)


def test_without_a_header_the_frames_are_a_stack(tmp_path: Path) -> None:
    kind = PixelKind("U08", 6, "1x1")
    write_mib(tmp_path / "scan.mib", frames_of(kind, 6), kind, scan_shape=(2, 3))
    (tmp_path / "scan.hdr").unlink()
    with open_recording(tmp_path / "scan.mib") as recording:
        assert (recording.shape, recording.facts, recording.saturation) == ((6, 64, 256), {}, None)


def test_the_header_beside_is_told_from_the_frames(tmp_path: Path) -> None:
    kind = PixelKind("U08", 6, "1x1")
    write_mib(tmp_path / "scan.mib", frames_of(kind, 6), kind, scan_shape=(2, 3))
    with pytest.raises(OSError, match=r"scan\.hdr: expected a Merlin \.mib, found the header that lies beside one"):
        open_recording(tmp_path / "scan.hdr")


def test_a_header_of_an_impossible_scan_is_refused(tmp_path: Path) -> None:
    kind = PixelKind("U08", 6, "1x1")
    write_mib(tmp_path / "scan.mib", frames_of(kind, 6), kind, scan_shape=(1 << 20, 1 << 20))
    with pytest.raises(UnusableRecording, match=r"expected at most .* found \(1048576, 1048576, 64, 256\)"):
        open_recording(tmp_path / "scan.mib")
    write_mib(tmp_path / "large.mib", frames_of(kind, 6), kind, scan_shape=(1 << 21, 1))
    with pytest.raises(OSError, match=r"large\.mib: expected a number up to 1048576 as 'ScanY'"):
        open_recording(tmp_path / "large.mib")


def test_a_dataset_is_refused_where_there_is_only_one(tmp_path: Path) -> None:
    kind = PixelKind("U08", 6, "1x1")
    write_mib(tmp_path / "scan.mib", frames_of(kind, 1), kind, scan_shape=(1, 1))
    with pytest.raises(UnusableRecording, match="expected no dataset"):
        open_recording(tmp_path / "scan.mib", "frames")
