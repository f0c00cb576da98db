import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livestrain_core.scale import mrad_from_per_nm
from livestrain_recordings.errors import NoFrames, UnusableRecording
from livestrain_recordings.opening import open_recording
from livestrain_recordings.pieces import SLAB_BYTES
from recordings.whole import CUBE, whole
from recordings.written import needs_rosettasciio, write

pytestmark = needs_rosettasciio


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">i4", "f4"])
def test_frames_are_read_as_rosettasciio_wrote_them(tmp_path: Path, dtype: str) -> None:
    data = CUBE.astype(dtype)
    np.testing.assert_array_equal(whole(write(tmp_path / "scan.zspy", data)), data)


def test_an_archive_of_the_folder_is_read_too(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.zspy", CUBE)
    shutil.make_archive(str(tmp_path / "packed"), "zip", path)
    packed = (tmp_path / "packed.zip").rename(tmp_path / "packed.zspy")
    np.testing.assert_array_equal(whole(packed), CUBE)


def test_what_the_file_tells_of_the_microscope_is_among_the_facts(tmp_path: Path) -> None:
    with open_recording(write(tmp_path / "scan.zspy", CUBE)) as recording:
        facts = recording.facts
    assert facts == {
        "energy_kev": 200.0, "semiangle_mrad": 1.5, "step_nm": 0.5,
        "pixel_size_per_nm": 0.5, "pixel_size_mrad": mrad_from_per_nm(0.5, 200.0),
    }  # fmt: skip


def test_a_signal_is_chosen_by_its_title(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.zspy", CUBE)
    np.testing.assert_array_equal(whole(path, "made"), CUBE)
    with pytest.raises(NoFrames, match=r"scan\.zspy: no signal 'other' of frames"):
        open_recording(path, "other")


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableRecording, match="complex64, which cannot be sent without loss"):
        open_recording(write(tmp_path / "scan.zspy", CUBE.astype(np.complex64)))


def test_nothing_that_a_zspy_file_holds_is_run(tmp_path: Path) -> None:
    """A filter of it can ask for Python's pickle."""
    path = write(tmp_path / "scan.zspy", CUBE)
    described = next(path.rglob("data/.zarray"))
    fields = json.loads(described.read_text())
    assert whole(path).shape == CUBE.shape
    described.write_text(json.dumps({**fields, "filters": [{"id": "pickle", "protocol": 5}]}))
    with pytest.raises(OSError, match=r"scan\.zspy: .*pickle"):
        open_recording(path)


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"shape": [1 << 40, 5, 16, 24]}, "expected at most"),
        ({"shape": [4096, 4096, 512, 512], "chunks": [4096, 4096, 512, 512]}, "expected chunks of at most"),
        ({"shape": [-1, 5, 16, 24]}, "expected"),
        ({"shape": "x"}, "no signal"),
        ({"dtype": "|O"}, "not a readable"),
        ({"compressor": None}, "cannot read the frames from 0 on"),
        ({"zarr_format": 9}, "not a readable"),
    ],
    ids=str,
)
def test_a_description_that_makes_no_sense_is_refused(tmp_path: Path, changed: dict[str, Any], found: str) -> None:
    path = write(tmp_path / "scan.zspy", CUBE)
    described = next(path.rglob("data/.zarray"))
    described.write_text(json.dumps({**json.loads(described.read_text()), **changed}))
    with pytest.raises((OSError, UnusableRecording), match=rf"scan\.zspy: .*{found}"):
        open_recording(path)


def test_a_scan_of_very_many_chunks_is_read_a_piece_at_a_time(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.zspy", CUBE)
    described = next(path.rglob("data/.zarray"))
    many = {"shape": [1 << 20, 16, 16, 24], "chunks": [1, 1, 16, 24]}
    fields = {**json.loads(described.read_text()), **many}
    shutil.rmtree(described.parent)
    described.parent.mkdir()
    described.write_text(json.dumps(fields))
    with open_recording(path) as recording:
        assert recording.frames == 1 << 24
        assert next(recording.blocks()).nbytes <= SLAB_BYTES


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.zspy").mkdir()
    with pytest.raises(OSError, match=r"other\.zspy: not a readable \.zspy file"):
        open_recording(tmp_path / "other.zspy")
    (tmp_path / "text.zspy").write_text("text")
    with pytest.raises(OSError, match=r"text\.zspy: not a readable \.zspy file"):
        open_recording(tmp_path / "text.zspy")
