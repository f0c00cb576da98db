"""Files of real detectors and microscopes, against what is known of them."""

import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from helpers.rig import SHARED_DATA
from livestrain_recordings.opening import open_recording
from recordings.whole import whole

SMALL = SHARED_DATA / "small_crystalline"


def need(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"the data set {path} is not on this machine")
    return path


def as_rosettasciio_reads(reader: str, path: Path) -> Any:
    module = pytest.importorskip(f"rsciio.{reader}", reason="rosettasciio is not installed", exc_type=ImportError)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(module.file_reader(str(path))[0]["data"])


def test_a_master_of_an_arina_gives_the_frames_of_its_data_file() -> None:
    with open_recording(need(SHARED_DATA / "arina" / "test_00_master.h5")) as recording:
        assert (recording.shape, recording.dtype, recording.saturation) == ((16, 192, 192), "uint32", 8352.0)
        assert recording.unusable is not None
        assert recording.unusable.shape == (192, 192)
        assert (recording.facts["energy_kev"], recording.facts["ntrigger"]) == (300.0, 16)
        assert sum(int(block.sum()) for block in recording.blocks()) == 0


def test_a_master_of_an_arina_without_its_frames_names_the_file_that_is_missing() -> None:
    master = need(SHARED_DATA / "arina" / "ncem_au_64x64" / "au_145mm_68kx_microprobe_01_master.h5")
    with pytest.raises(OSError, match=r"expected the linked file .*au_145mm_68kx_microprobe_01_data_000001\.h5, found"):
        open_recording(master)


def test_the_frames_of_that_arina_lie_in_the_scan_that_the_microscope_tells(tmp_path: Path) -> None:
    """The master and the microscope's file are real; the frames are made, with one count in each."""
    folder = need(SHARED_DATA / "arina" / "ncem_au_64x64")
    name = "au_145mm_68kx_microprobe_01"
    for suffix in ("_master.h5", ".h5"):
        (tmp_path / f"{name}{suffix}").write_bytes((folder / f"{name}{suffix}").read_bytes())
    with h5py.File(tmp_path / f"{name}_data_000001.h5", "w") as file:
        frames = file.create_dataset(
            "entry/data/data", (4096, 192, 192), np.uint32, chunks=(256, 192, 192), compression=1
        )
        for number in range(0, 4096, 1024):
            frames[number, 5, 6] = 1 + number
    with open_recording(tmp_path / f"{name}_master.h5") as recording:
        assert recording.shape == (64, 64, 192, 192)
        block = next(iter(recording.blocks()))
    assert (int(block[0, 5, 6]), int(block.sum())) == (1, 1)


def test_the_real_scan_has_the_counts_that_are_known_of_it() -> None:
    with open_recording(need(SHARED_DATA / "cryo_24x127x256x256.h5")) as recording:
        assert (recording.shape, recording.dtype) == ((24, 127, 256, 256), "uint8")
        counts = np.concatenate(
            [block.reshape(len(block), -1).sum(axis=1, dtype=np.uint32) for block in recording.blocks()]
        )
    assert (counts.sum(), counts.min(), counts.max()) == (284_755_932, 84_431, 100_263)


def test_a_real_block_file_is_read_as_rosettasciio_reads_it() -> None:
    path = need(SMALL / "test1.blo")
    frames = whole(path)
    assert frames.shape == (3, 2, 144, 144)
    with open_recording(path) as recording:
        assert recording.facts == {"energy_kev": 200.0, "step_nm": 12.8}
    np.testing.assert_array_equal(frames, as_rosettasciio_reads("blockfile", path))


def test_a_real_file_of_hyperspy_is_read_as_rosettasciio_reads_it() -> None:
    path = need(SMALL / "subset_data.hspy")
    with open_recording(path) as recording:
        assert (recording.shape, recording.facts["step_nm"]) == ((2, 2, 256, 256), 2.0)
        assert recording.facts["pixel_size_per_nm"] == pytest.approx(0.1261, rel=1e-12)
    np.testing.assert_array_equal(whole(path), as_rosettasciio_reads("hspy", path))


def test_a_real_file_of_fpd_is_read_without_its_axis_of_one_colour() -> None:
    path = need(SMALL / "fpd_file_test.hdf5")
    with h5py.File(path, "r") as file:
        stored = file["fpd_expt/fpd_data/data"][:, :, 0]
    np.testing.assert_array_equal(whole(path), stored)


def test_a_real_image_of_a_camera_is_a_scan_of_one_position() -> None:
    path = need(SMALL / "dd020.dm3")
    theirs = as_rosettasciio_reads("digitalmicrograph", path)
    frames = whole(path)
    assert frames.shape == (1, 1, 256, 256)
    assert (frames.dtype.name, int(theirs.min())) == ("float32", -91)
    np.testing.assert_array_equal(frames[0, 0], theirs)


def test_synthetic_cases_are_read_with_their_unusable_pixels() -> None:
    path = need(SHARED_DATA / "synthetic" / "A21_d5_u5_hot.h5")
    with h5py.File(path, "r") as file, open_recording(path) as recording:
        assert recording.unusable is not None
        np.testing.assert_array_equal(recording.unusable, file["usable_pixels"][()] == 0)
        np.testing.assert_array_equal(np.concatenate(list(recording.blocks())).reshape(recording.shape), file["frames"])


def test_real_merlin_files_lie_in_the_scan_of_their_header(tmp_path: Path) -> None:
    for archive in sorted(need(SHARED_DATA / "merlin" / "rosettasciio").glob("*.zip")):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(tmp_path / archive.stem)
    paths = [path for path in sorted(tmp_path.rglob("*.mib")) if not path.name.startswith("._")]
    told = [path for path in paths if "RAW" not in path.name and b"ScanX" in path.with_suffix(".hdr").read_bytes()]
    assert len(told) == 2
    for path in told:
        frames = whole(path)
        assert frames.shape[:2] == (2, 4), path.name
        theirs = as_rosettasciio_reads("quantumdetector", path).reshape(frames.shape)
        # theirs has the last row first
        np.testing.assert_array_equal(frames, theirs[:, :, ::-1], err_msg=path.name)


def test_a_real_description_of_an_empad_names_the_raw_file_that_is_missing() -> None:
    path = need(SHARED_DATA / "empad_xml" / "map4x4.xml")
    with pytest.raises(OSError, match=r"map4x4\.xml: .*scan_x4_y4\.raw"):
        open_recording(path)


def test_real_descriptions_of_an_empad_tell_the_scan_of_frames_made_for_them(tmp_path: Path) -> None:
    for name, raw, shape in (
        ("map4x4.xml", "scan_x4_y4.raw", (4, 4)),
        ("EMPAD_v1.2.2_x32_y64_size0.8.xml", "scan_x32_y64.raw", (64, 32)),
    ):
        (tmp_path / name).write_bytes(need(SHARED_DATA / "empad_xml" / name).read_bytes())
        first = np.arange(130 * 128, dtype="<f4").reshape(130, 128)
        with (tmp_path / raw).open("wb") as file:
            file.write(first.tobytes())
            file.truncate(first.nbytes * shape[0] * shape[1])
        with open_recording(tmp_path / name) as recording:
            assert (recording.shape, recording.dtype) == ((*shape, 128, 128), "float32")
            np.testing.assert_array_equal(recording.first_frame(), first[:128])
