from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from numpy.typing import NDArray

from livestrain_recordings.errors import UnusableRecording
from livestrain_recordings.opening import open_recording
from recordings.whole import whole

FRAMES: NDArray[np.uint32] = np.random.default_rng(5).poisson(3.0, (23, 24, 32)).astype(np.uint32)
MASK = np.zeros((24, 32), np.uint32)
MASK[2, 3], MASK[4, 5], MASK[6, 7] = 1, 2, 1 << 31


def write_master(folder: Path, per_file: int = 10, frames: NDArray[Any] = FRAMES, **wrong: Any) -> Path:
    """A master of the detector with its data files, each with the frames that fit."""
    master = folder / "scan_master.h5"
    with h5py.File(master, "w") as file:
        data = file.create_group("entry/data")
        for number, first in enumerate(range(0, len(frames), per_file), 1):
            name = f"scan_data_{number:06d}.h5"
            with h5py.File(folder / name, "w") as part:
                block = frames[first : first + per_file]
                part.create_dataset(
                    "entry/data/data", data=block, chunks=(1, *frames.shape[1:]), **hdf5plugin.Bitshuffle()
                )
            data[f"data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
        detector = file.create_group("entry/instrument/detector")
        detector.update({"saturation_value": 8352, "bit_depth_image": np.uint16(32), "frame_time": 1e-4})
        specific = detector.create_group("detectorSpecific")
        specific.update({"pixel_mask": wrong.get("mask", MASK), "ntrigger": np.uint64(len(frames)), "nimages": 1})
        specific["photon_energy"] = 300_000.0
        specific["trigger_mode"] = np.bytes_("exts")
    return master


def test_frames_of_all_linked_files_come_in_their_order(tmp_path: Path) -> None:
    for per_file in (1, 10, 23):
        folder = tmp_path / str(per_file)
        folder.mkdir()
        np.testing.assert_array_equal(whole(write_master(folder, per_file)), FRAMES)


def test_what_the_detector_knows_is_told(tmp_path: Path) -> None:
    with open_recording(write_master(tmp_path)) as recording:
        assert (recording.shape, recording.dtype, recording.saturation) == ((23, 24, 32), "uint32", 8352.0)
        assert recording.unusable is not None
        # a virtual pixel has an interpolated value and may be looked at
        assert np.argwhere(recording.unusable).tolist() == [[2, 3], [4, 5]]
        facts = recording.facts
    assert (facts["energy_kev"], facts["dwell_us"]) == (300.0, 100.0)
    assert (facts["ntrigger"], facts["nimages"], facts["trigger_mode"], facts["bit_depth_image"]) == (23, 1, "exts", 32)


def test_the_file_of_the_microscope_beside_it_tells_the_scan(tmp_path: Path) -> None:
    master = write_master(tmp_path, frames=FRAMES[:20])
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_group("STEM Metadata").attrs.update({"NumPixelsX": np.array([5], "u4"), "NumPixelsY": [4]})
    np.testing.assert_array_equal(whole(master), FRAMES[:20].reshape(4, 5, 24, 32))
    with h5py.File(tmp_path / "scan.h5", "a") as file:
        file["STEM Metadata"].attrs["NumPixelsY"] = [7]
    assert whole(master).shape == (20, 24, 32)


def test_a_missing_data_file_is_named(tmp_path: Path) -> None:
    master = write_master(tmp_path)
    (tmp_path / "scan_data_000002.h5").unlink()
    expected = r"scan_master\.h5: /entry/data/data_000002: expected the linked file .*scan_data_000002\.h5, found none"
    with pytest.raises(OSError, match=expected):
        open_recording(master)


def test_a_data_file_that_is_none_or_holds_other_frames_is_named(tmp_path: Path) -> None:
    master = write_master(tmp_path)
    with h5py.File(tmp_path / "scan_data_000002.h5", "w") as file:
        file["entry/data/data"] = FRAMES[:10, :20]
    with pytest.raises(UnusableRecording, match=r"expected \(24, 32\) .* found \(20, 32\) .* in scan_data_000002\.h5"):
        open_recording(master)
    (tmp_path / "scan_data_000002.h5").write_bytes(b"nothing")
    with pytest.raises(OSError, match=r"cannot read the linked file .*scan_data_000002\.h5"):
        open_recording(master)


def test_a_data_file_that_shrinks_while_it_is_read_is_named(tmp_path: Path) -> None:
    with open_recording(write_master(tmp_path)) as recording:
        with h5py.File(tmp_path / "scan_data_000003.h5", "w") as file:
            file["entry/data/data"] = FRAMES[20:22]
        with pytest.raises(OSError, match=r"cannot read the frames from 0 on: .*scan_data_000003\.h5: expected \(3, "):
            list(recording.blocks())


def test_a_mask_of_another_shape_is_refused(tmp_path: Path) -> None:
    master = write_master(tmp_path, mask=MASK[:20])
    with pytest.raises(UnusableRecording, match=r"pixel_mask: expected \(24, 32\) .* found \(20, 32\)"):
        open_recording(master)


def test_the_largest_value_marks_a_masked_pixel_where_the_detector_names_no_limit(tmp_path: Path) -> None:
    master = write_master(tmp_path, frames=FRAMES.astype(np.uint16))
    with h5py.File(master, "a") as file:
        file["entry/instrument/detector/saturation_value"][()] = 1 << 20
    with open_recording(master) as recording:
        assert recording.saturation == 65535.0


def test_a_master_that_stores_the_frames_itself_is_read_with_its_mask(tmp_path: Path) -> None:
    master = write_master(tmp_path)
    with h5py.File(master, "a") as file:
        del file["entry/data"]
        file["entry/data/data"] = FRAMES
    np.testing.assert_array_equal(whole(master), FRAMES)
    with open_recording(master) as recording:
        assert (recording.saturation, recording.facts["energy_kev"]) == (8352.0, 300.0)
        assert recording.unusable is not None
