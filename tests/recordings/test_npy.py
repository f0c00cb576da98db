from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livestrain_recordings.errors import NoFrames, UnusableRecording
from livestrain_recordings.opening import open_recording
from livestrain_recordings.pieces import SLAB_BYTES
from recordings.whole import CUBE, whole


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", ">i4", "f4", ">f4", "u8"])
def test_an_array_is_read_as_it_was_saved(tmp_path: Path, dtype: str, order: Any) -> None:
    for data in (CUBE.astype(dtype), CUBE.reshape(30, 16, 24).astype(dtype)):
        np.save(tmp_path / "scan.npy", np.asarray(data, order=order))
        np.testing.assert_array_equal(whole(tmp_path / "scan.npy"), data)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_counts_below_zero_are_given_as_float32(tmp_path: Path, dtype: Any) -> None:
    data = CUBE.astype(dtype) - 5
    np.save(tmp_path / "scan.npy", data)
    with open_recording(tmp_path / "scan.npy") as recording:
        assert recording.dtype == "float32"
    np.testing.assert_array_equal(whole(tmp_path / "scan.npy"), data)
    np.save(tmp_path / "scan.npy", CUBE.astype(dtype))
    assert whole(tmp_path / "scan.npy").dtype.kind == "u"


def test_a_count_that_float32_would_change_is_refused(tmp_path: Path) -> None:
    data = CUBE.astype(np.int32)
    data[0, 0, 0, 0] = -1
    data[2, 3, 1, 1] = (1 << 24) + 1
    np.save(tmp_path / "scan.npy", data)
    with pytest.raises(UnusableRecording, match="frame 13 holds 16777217, which float32 cannot"):
        whole(tmp_path / "scan.npy")


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", np.full((2, 2, 8, 8), None), allow_pickle=True)
    with pytest.raises(OSError, match=r"scan\.npy: .*expected numbers, found objects of Python, which are refused"):
        open_recording(tmp_path / "scan.npy")


@pytest.mark.parametrize("shape", [(), (0,), (5,), (4, 4), (2, 0, 8, 8), (2, 2, 2, 8, 8)], ids=str)
def test_an_array_of_another_form_holds_no_frames(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "scan.npy", np.zeros(shape, np.uint8))
    with pytest.raises(NoFrames, match=r"scan\.npy: array: expected \(scan_rows, scan_columns, rows, columns\), found"):
        open_recording(tmp_path / "scan.npy")


def header(shape: str, descr: str = "'<u2'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (header(f"({1 << 40}, {1 << 40}, 8, 8)"), "expected at most"),
        (header(f"({1 << 200}, 4, 8, 8)"), "expected a shape"),
        (header("(-4, 4, 8, 8)"), "expected a shape"),
        (header("(4, 4, 128, 128)"), "expected 524288 bytes of pixels .* found 0"),
        (header("(4, 4, 8, 8)", "'nothing'"), "not a readable"),
        (header("(" * 5000), "not a readable"),
        (header("'''"), "not a readable"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "not a readable"),
        (b"\x93NUMPY\x09\x00", "expected version"),
        (b"\x93NUMPY", "not a readable"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "scan.npy").write_bytes(content)
    with pytest.raises((OSError, UnusableRecording), match=rf"scan\.npy: .*{found}") as refusal:
        open_recording(tmp_path / "scan.npy")
    assert "\n" not in str(refusal.value)


def test_a_file_larger_than_memory_is_read_a_bounded_piece_at_a_time(tmp_path: Path) -> None:
    begin = header("(1024, 1024, 512, 512)")
    with (tmp_path / "scan.npy").open("wb") as file:
        file.write(begin)
        file.truncate(len(begin) + (1 << 39))
    with open_recording(tmp_path / "scan.npy") as recording:
        blocks = recording.blocks()
        for _ in range(3):
            assert next(blocks).nbytes <= SLAB_BYTES


def test_a_file_that_shrinks_while_it_is_read_is_an_error_and_kills_nobody(tmp_path: Path) -> None:
    path = tmp_path / "scan.npy"
    np.save(path, np.zeros((64, 16, 128, 256), np.uint16))
    with open_recording(path) as recording:
        blocks = recording.blocks()
        assert len(next(blocks)) == 256
        with path.open("r+b") as file:
            file.truncate(1 << 20)
        with pytest.raises(OSError, match=r"scan\.npy: array: cannot read the frames from 256 on: expected"):
            next(blocks)
