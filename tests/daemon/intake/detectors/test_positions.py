"""Lists of scan positions from files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livestrain_daemon.errors import ConfigError
from livestrain_daemon.intake.detectors.positions import read_positions
from livestrain_daemon.intake_config import ScanGeometry


def geometry(path: Path) -> ScanGeometry:
    return ScanGeometry(shape=(3, 4), positions=path)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint64", ">i8"])
@pytest.mark.parametrize("listed", [[11, 0, 5, 5], [[2, 3], [0, 0], [1, 1], [1, 1]]])
def test_flat_positions_and_rows_and_columns_are_the_same(tmp_path: Path, listed: list[Any], dtype: str) -> None:
    np.save(tmp_path / "list.npy", np.array(listed, dtype))
    table = read_positions(geometry(tmp_path / "list.npy"))
    assert table is not None
    assert (table.tolist(), table.dtype) == ([11, 0, 5, 5], np.dtype("<u4"))


@pytest.mark.parametrize(
    "text",
    ["11\n0\n5\n5\n", "2,3\n0,0\n1,1\n1,1", "row,column\n2, 3\n0, 0\n1, 1\n1, 1\n", "\ufeff# scan 1\n11\n0\n5\n5\n"],
)
def test_text_with_and_without_names_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    table = read_positions(geometry(tmp_path / "list.csv"))
    assert table is not None
    assert table.tolist() == [11, 0, 5, 5]


def test_without_a_file_there_is_no_list() -> None:
    assert read_positions(ScanGeometry(shape=(3, 4))) is None


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ([0, 12], r"found \[12\] for frame 1"),
        ([[0, 0], [0, 4]], r"found \[0, 4\] for frame 1"),
        ([[0, 0], [-1, 0]], r"found \[-1, 0\] for frame 1"),
        ([0.0, 1.0], "found float64"),
        ([[0, 1, 2]], r"found int64 \(1, 3\)"),
        ([[[0]]], r"\(1, 1, 1\)"),
        (5, r"found int64 \(\)"),
        (np.zeros(0, int), "expected 1 to"),
    ],
)
def test_a_list_that_names_no_position_of_the_scan_is_refused(tmp_path: Path, listed: Any, found: str) -> None:
    np.save(tmp_path / "list.npy", listed)
    with pytest.raises(ConfigError, match=f"^intake.scan.positions: .*{found}"):
        read_positions(geometry(tmp_path / "list.npy"))


@pytest.mark.parametrize("name", ["list.npy", "list.csv"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01", b"1,2\n3\n", b"1.5\n", b"\xff\xfe1", b"one\ntwo\n"])
def test_a_file_of_something_else_is_refused_with_its_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"^intake.scan.positions: .*list\."):
        read_positions(geometry(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,2\n3\n", "found '3' in line 2"),
        ("row,column\n1,2\n\n3,x\n", "found '3,x' in line 4"),
        ("1\n1.5\n", "found '1.5' in line 2"),
        ("one\ntwo\n", "found 'two' in line 2"),
    ],
)
def test_the_line_that_is_no_position_is_told_by_its_number(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ConfigError, match=f"expected a .npy or .csv file of whole numbers at .*, {found}$"):
        read_positions(geometry(tmp_path / "list.csv"))


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "list.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ConfigError, match="allow_pickle=False"):
        read_positions(geometry(tmp_path / "list.npy"))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file .*list\.npy"):
        read_positions(geometry(tmp_path / "list.npy"))


@pytest.mark.parametrize(
    "fields",
    [
        {"positions": "list.npy"},
        {"positions": "list.npy", "shape": (2, 2), "flyback_frames": 1},
        {"positions": "list.npy", "shape": (2, 2), "order": "serpentine"},
    ],
)
def test_a_list_needs_a_shape_and_goes_with_no_other_order(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="positions"):
        ScanGeometry.model_validate(fields)
