"""Files, ours and real ones."""

import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from helpers.merlin import KINDS, LAYOUTS, frames_of, kind_name
from helpers.rig import SHARED_DATA
from livestrain_recordings.merlin.errors import NotAMib
from livestrain_recordings.merlin.mib import MibFile
from livestrain_simulator.emulators.merlin.file import write_mib
from livestrain_simulator.emulators.merlin.pixels import PixelKind

REAL = SHARED_DATA / "merlin"


def need(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"the data set {path} is not on this machine")
    return path


@pytest.mark.parametrize("kind", KINDS, ids=kind_name)
def test_every_kind_of_file_is_read_to_the_last_bit(kind: PixelKind, tmp_path: Path) -> None:
    frames = frames_of(kind, 3)
    path = tmp_path / "scan.mib"
    write_mib(path, frames, kind, scan_shape=(1, 3))
    file = MibFile(path)
    assert (file.shape, file.scan_shape, len(file)) == ((3, *LAYOUTS[kind.layout]), (1, 3), 3)
    np.testing.assert_array_equal(file.frames(0, 3), frames)
    np.testing.assert_array_equal(file.frames(1, 9), frames[1:])
    np.testing.assert_array_equal(np.stack(list(file)), frames)
    mapped = file.mapped
    assert (mapped is None) == (kind.code == "R64")
    if mapped is not None:
        np.testing.assert_array_equal(mapped, frames)


def test_a_file_without_its_header_is_read_and_its_scan_unknown(tmp_path: Path) -> None:
    kind = PixelKind("R64", 12, "2x2")
    frames = frames_of(kind, 2)
    write_mib(tmp_path / "scan.mib", frames, kind, scan_shape=(1, 2))
    (tmp_path / "scan.hdr").unlink()
    file = MibFile(tmp_path / "scan.mib")
    assert (file.header, file.scan_shape) == (None, None)
    np.testing.assert_array_equal(file.frames(0, 2), frames)


def test_a_file_that_was_cut_short_gives_its_whole_frames(tmp_path: Path) -> None:
    kind = PixelKind("U16", 12, "1x1")
    frames = frames_of(kind, 3)
    path = tmp_path / "scan.mib"
    write_mib(path, frames, kind, scan_shape=(1, 3))
    assert MibFile(path).leftover_bytes == 0
    path.write_bytes(path.read_bytes()[:-100])
    file = MibFile(path)
    assert (len(file), file.leftover_bytes) == (2, 384 + frames[0].size * 2 - 100)
    np.testing.assert_array_equal(file.frames(0, 3), frames[:2])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "expected a frame header MQ1"),
        (b"\x89HDF" * 1000, "expected a frame header MQ1"),
        (b"MQ1,000001,00384,01,0256,0256,U16,   1x1,01,2021-04-15 14:43:47,", "expected at least one frame"),
    ],
)
def test_another_file_is_refused_with_its_name(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "other.mib"
    path.write_bytes(content)
    with pytest.raises(NotAMib, match=f"other.mib: {expected}"):
        MibFile(path)


def test_a_file_that_does_not_exist_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(NotAMib, match=r"none\.mib"):
        MibFile(tmp_path / "none.mib")


@pytest.fixture(scope="module")
def real_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("merlin")
    for archive in sorted(need(REAL).glob("*/*.zip")):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder / archive.stem)
    found = [path for path in sorted(folder.rglob("*.mib")) if not path.name.startswith("._")]
    assert len(found) > 100
    return found


def test_real_files_are_what_their_names_say(real_files: list[Path]) -> None:
    for path in real_files:
        file = MibFile(path)
        assert file.leftover_bytes == 0, path.name
        assert file.header is not None
        assert len(file) == file.header.frames, path.name
        words = path.stem.replace("RAW", "").split("_")
        if "Rows" in words:
            rows = int(words[words.index("Rows") + 1])
            quad = words[0] == "Quad"
            assert file.shape[1:] == ((2 * rows, 512) if quad else (rows, 256)), path.name
            depth = int(words[words.index("CounterDepth") + 1])
            assert file.header.depth == depth
            assert int(file.frames(0, len(file)).max()) < 1 << depth, path.name
        if file.scan_shape:
            assert file.scan_shape == (2, 4)


def test_real_raw_frames_agree_with_processed_ones_of_the_same_detector(real_files: list[Path]) -> None:
    """Nearly all pixels of these flat exposures are 1; where they are not is the chips' own pattern."""
    compared = 0
    for path in real_files:
        twin = path.with_name(path.name.replace("RAW", ""))
        if "RAW" not in path.name:
            continue
        raw, processed = MibFile(path), MibFile(twin)
        assert raw.shape == processed.shape
        here, there = raw.frames(0, 1)[0] == 0, processed.frames(0, 1)[0] == 0
        assert here.any()
        assert (here & there).sum() > 0.5 * here.sum(), path.name
        compared += 1
    assert compared >= 10


def test_real_files_are_read_as_rosettasciio_reads_them_upside_down(real_files: list[Path]) -> None:
    """Theirs has the last row first, and knows no raw frames."""
    reader = pytest.importorskip("rsciio.quantumdetector", reason="rosettasciio is not installed")
    archives = {"Merlin_Single_Quad", "Merlin_navigation4x2_ROI", "Merlin_navigation4x2_signalNx256_ROI"}
    processed = [path for path in real_files if "RAW" not in path.name and archives & set(path.parts)]
    assert len(processed) == 20
    for path in processed:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = reader.file_reader(str(path))[0]["data"]
        file = MibFile(path)
        ours = file.frames(0, len(file))
        np.testing.assert_array_equal(ours[:, ::-1], np.asarray(theirs).reshape(ours.shape), err_msg=path.name)


def test_one_chip_of_a_quad_is_read() -> None:
    file = MibFile(need(REAL / "matkraj_read_mib" / "example.mib"))
    assert file.shape == (2, 256, 256)


def test_a_file_that_shrinks_while_it_is_read_is_an_error_and_kills_nobody(tmp_path: Path) -> None:
    kind = PixelKind("U16", 12, "1x1")
    path = tmp_path / "scan.mib"
    write_mib(path, frames_of(kind, 3), kind, scan_shape=(1, 3))
    file = MibFile(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert len(file.frames(0, 2)) == 2
    with pytest.raises(OSError, match=r"scan\.mib: expected .* bytes from frame 1 on, found"):
        file.frames(1, 2)
