from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from livestrain_core.scale import mrad_from_per_nm
from livestrain_recordings.errors import NoFrames, UnusableRecording
from livestrain_recordings.opening import open_recording
from livestrain_recordings.recording import LARGEST_CHUNK_BYTES, MOST_FACTS
from recordings.whole import CUBE, whole

PACKINGS: list[Any] = [
    {},
    hdf5plugin.Bitshuffle(),
    hdf5plugin.Bitshuffle(cname="zstd"),
    hdf5plugin.Bitshuffle(cname="none"),
    hdf5plugin.Bitshuffle(nelems=64),
    {**hdf5plugin.Bitshuffle(), "fletcher32": True},
    hdf5plugin.LZ4(),
    hdf5plugin.Blosc2(),
    {"compression": "gzip", "shuffle": True},
]


@pytest.mark.parametrize("packing", PACKINGS, ids=str)
@pytest.mark.parametrize("chunks", [(1, 1, 16, 24), (4, 3, 16, 24), (6, 5, 4, 8)])
def test_frames_are_read_as_they_were_written(tmp_path: Path, chunks: tuple[int, ...], packing: Any) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("deep/frames", data=CUBE, chunks=chunks, **packing)
    np.testing.assert_array_equal(whole(tmp_path / "scan.h5"), CUBE)


def test_one_channel_of_five_axes_is_left_out_and_two_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file["data"] = CUBE[:, :, np.newaxis]
    np.testing.assert_array_equal(whole(tmp_path / "one.h5"), CUBE)
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["data"] = np.stack([CUBE, CUBE], axis=2)
    with pytest.raises(NoFrames, match=r"two.h5: /data: expected .* found \(6, 5, 2, 16, 24\)"):
        open_recording(tmp_path / "two.h5", "data")
    with pytest.raises(NoFrames, match=r"two.h5: no dataset with three or four axes"):
        open_recording(tmp_path / "two.h5")


def emd(path: Path, data: Any, units: list[str], first: int) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("datacube_root/datacube")
        group["data"] = data
        for number, unit in enumerate(units, first):
            group[f"dim{number}"] = np.array([0.0, 0.5])
            group[f"dim{number}"].attrs["units"] = unit


@pytest.mark.parametrize("first", [0, 1], ids=["py4DSTEM", "NCEM"])
def test_steps_and_pixel_sizes_of_an_emd_file_are_facts(tmp_path: Path, first: int) -> None:
    emd(tmp_path / "scan.emd", CUBE, ["[n_m]", "nm", "A^-1", "1/A"], first)
    with open_recording(tmp_path / "scan.emd") as recording:
        assert recording.facts["step_nm"] == 0.5
        assert recording.facts["pixel_size_per_nm"] == 5.0


def test_an_emd_file_that_hyperspy_has_turned_is_turned_back(tmp_path: Path) -> None:
    emd(tmp_path / "turned.emd", CUBE.T, ["1/nm", "1/nm", "nm", "nm"], 1)
    np.testing.assert_array_equal(whole(tmp_path / "turned.emd"), CUBE)
    emd(tmp_path / "straight.emd", CUBE, ["nm", "nm", "1/nm", "1/nm"], 1)
    np.testing.assert_array_equal(whole(tmp_path / "straight.emd"), CUBE)


def test_what_hyperspy_knows_of_the_microscope_is_among_the_facts(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.hspy", "w") as file:
        group = file.create_group("Experiments/some")
        group["data"] = CUBE
        for number, units in enumerate(["Å", "Å", "$A^{-1}$", "$A^{-1}$"]):
            group.create_group(f"axis-{number}").attrs.update({"scale": 0.25, "units": units})
        tem = group.create_group("metadata/Acquisition_instrument/TEM")
        tem.attrs.update({"beam_energy": 200.0, "convergence_angle": 1.5})
    with open_recording(tmp_path / "scan.hspy") as recording:
        facts = recording.facts
    assert (facts["energy_kev"], facts["semiangle_mrad"], facts["step_nm"]) == (200.0, 1.5, 0.025)
    assert facts["pixel_size_per_nm"] == 2.5
    assert facts["pixel_size_mrad"] == mrad_from_per_nm(2.5, 200.0)


def test_usable_pixels_beside_the_frames_are_known(tmp_path: Path) -> None:
    usable = np.ones((16, 24), np.uint8)
    usable[3, 4] = 0
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["frames"] = CUBE
        file["usable_pixels"] = usable
    with open_recording(tmp_path / "scan.h5") as recording:
        assert recording.unusable is not None
        np.testing.assert_array_equal(recording.unusable, usable == 0)
    with h5py.File(tmp_path / "scan.h5", "a") as file:
        del file["usable_pixels"]
    with open_recording(tmp_path / "scan.h5") as recording:
        assert recording.unusable is None


def virtual(path: Path, shape: tuple[int, ...], source: Callable[[], h5py.VirtualSource]) -> None:
    layout = h5py.VirtualLayout(shape, np.uint16)
    layout[:6, :5] = source()
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("frames", layout)


def test_a_virtual_dataset_is_read_and_a_missing_source_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["data"] = CUBE
    virtual(tmp_path / "scan.h5", CUBE.shape, lambda: h5py.VirtualSource("part.h5", "data", CUBE.shape))
    np.testing.assert_array_equal(whole(tmp_path / "scan.h5"), CUBE)
    (tmp_path / "part.h5").unlink()
    with pytest.raises(OSError, match=r"scan\.h5: /frames: expected the linked file .*part\.h5, found none"):
        open_recording(tmp_path / "scan.h5")


def test_a_virtual_dataset_of_more_frames_than_any_scan_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["data"] = CUBE
    source = h5py.VirtualSource("part.h5", "data", CUBE.shape)
    virtual(tmp_path / "scan.h5", (1 << 20, 1 << 20, 16, 24), lambda: source)
    with pytest.raises(UnusableRecording, match=r"expected at most .* found \(1048576, 1048576, 16, 24\)"):
        open_recording(tmp_path / "scan.h5")


def test_a_chunk_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("frames", (1024, 1024, 64, 64), np.uint16, chunks=(512, 512, 64, 64), compression="gzip")
    with pytest.raises(OSError, match=rf"scan\.h5: .*expected chunks of at most {LARGEST_CHUNK_BYTES} bytes, found"):
        open_recording(tmp_path / "scan.h5")


def test_a_damaged_chunk_names_the_frames_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    large = np.zeros((33, 16, 128, 256), np.uint16)
    with h5py.File(path, "w") as file:
        frames = file.create_dataset("frames", data=large, chunks=(1, 16, 128, 256), compression="gzip")
        place = frames.id.get_chunk_info(32)
    content = bytearray(path.read_bytes())
    content[place.byte_offset : place.byte_offset + place.size] = bytes(place.size)
    path.write_bytes(content)
    with (
        open_recording(path) as recording,
        pytest.raises(OSError, match=r"scan\.h5: /frames: cannot read the frames from 512 on"),
    ):
        assert sum(len(block) for block in recording.blocks())


def test_of_very_many_attributes_the_first_are_facts(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w", libver="latest") as file:
        frames = file.create_dataset("frames", data=CUBE, track_order=True)
        frames.attrs["energy_kev"] = 200.0
        for number in range(1000):
            frames.attrs[f"some {number}"] = number
    with open_recording(tmp_path / "scan.h5") as recording:
        assert len(recording.facts) <= MOST_FACTS


def test_a_type_that_numpy_does_not_have_lies_beside_the_frames(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["frames"] = CUBE
        space = h5py.h5s.create_simple((4, 4, 16, 16))
        h5py.h5d.create(file.id, b"bits", h5py.h5t.STD_B64LE, space)
        moments = h5py.h5t.UNIX_D32LE
        h5py.h5d.create(file.id, b"times", moments, space)
    np.testing.assert_array_equal(whole(tmp_path / "scan.h5"), CUBE)


def test_the_filter_of_bitshuffle_is_not_trusted_with_lengths(tmp_path: Path) -> None:
    """It would take them as they are, and end the process."""
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        frames = file.create_dataset("frames", data=CUBE, chunks=(1, 5, 16, 24), **hdf5plugin.Bitshuffle())
        place = frames.id.get_chunk_info(3).byte_offset
    good = path.read_bytes()
    for at, damage, found in (
        (0, b"\x7f", "expected 3840 bytes of frames, found"),
        (8, b"\x7f", "expected a block size in multiples of 16 bytes"),
        (12, b"\x7f", "expected at most .* bytes in bslz4 block 0, found a length of"),
    ):
        path.write_bytes(good[: place + at] + damage + good[place + at + 1 :])
        with pytest.raises(OSError, match=rf"/frames: cannot read .* chunk at \(3, 0, 0, 0\): {found}"):
            whole(path)
    values = np.array([0, 4, 2, 0, 2], "<u4").tobytes()[4:]
    assert good.count(values) == 1
    for other in ([4, 0, 0, 2], [4, 8, 0, 2], [4, 2, 7, 2], [4, 2, 1 << 28, 2], [4, 2, 0, 9]):
        path.write_bytes(good.replace(values, np.array(other, "<u4").tobytes()))
        with pytest.raises(OSError, match=r"scan\.h5: .*expected bitshuffle of 2 bytes a pixel, found"):
            open_recording(path)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (CUBE.astype(np.complex64), r"complex64 of \(6, 5, 16, 24\)"),
        (CUBE[:0], r"uint16 of \(0, 5, 16, 24\)"),
        (CUBE[..., :4], r"uint16 of \(6, 5, 16, 4\)"),
        (CUBE[0, 0], r"uint16 of \(16, 24\)"),
        (np.stack([CUBE, CUBE]), r"uint16 of \(2, 6, 5, 16, 24\)"),
    ],
    ids=["complex", "empty", "narrow", "one frame", "five axes"],
)
def test_what_is_there_instead_of_frames_is_told(tmp_path: Path, data: Any, found: str) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["some/data"] = data
        file["table"] = np.zeros(3)
    with pytest.raises(NoFrames, match=rf"scan\.h5: no dataset with three or four axes .* is /some/data, {found}"):
        open_recording(tmp_path / "scan.h5")


def test_for_a_name_that_has_no_frames_another_is_proposed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["some/data"] = CUBE
    for name in ("some", "nothing", "some/data/more"):
        with pytest.raises(NoFrames, match=rf"scan\.h5: no dataset {name} of frames, .* is /some/data, uint16 of"):
            open_recording(tmp_path / "scan.h5", name)


def nameless(group: h5py.Group, shape: tuple[int, ...] = CUBE.shape) -> None:
    h5py.h5d.create(group.id, b"more\xff", h5py.h5t.NATIVE_UINT16, h5py.h5s.create_simple(shape))


@pytest.mark.parametrize("linked", [False, True], ids=["in the file", "in a linked one"])
def test_frames_whose_name_is_no_text_are_told_and_those_with_a_name_are_taken(tmp_path: Path, linked: bool) -> None:
    path, other = tmp_path / "scan.h5", tmp_path / "other.h5"
    with h5py.File(path, "w") as file, h5py.File(other, "w") as far:
        file["frames"] = CUBE
        nameless(far.create_group("group") if linked else file)
        if linked:
            file["link"] = h5py.ExternalLink(other.name, "group")
    place = "link/" * linked
    with open_recording(path) as recording:
        assert recording.remark == rf"{path}: {place}more\xff: expected a name in UTF-8; /frames is taken"
    with h5py.File(path, "a") as file:
        del file["frames"]
    with pytest.raises(OSError, match=r"more\\xff: expected a name in UTF-8; what else is there must be named"):
        open_recording(path)


def test_a_link_whose_name_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["frames"] = CUBE
        file.id.links.create_external(b"linked\xff", b"other.h5", b"/frames")
    with open_recording(path) as recording:
        assert recording.remark == rf"{path}: linked\xff: expected a name in UTF-8; /frames is taken"


def test_a_name_that_is_no_text_of_what_cannot_be_frames_is_not_worth_a_word(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["frames"] = CUBE[0]
        nameless(file, (4, 4))
    with open_recording(tmp_path / "scan.h5") as recording:
        assert not recording.remark
