"""Values of HDF5 that lie in other files are all there, or the one that is not is named."""

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from numpy.typing import NDArray

from livestrain_recordings.opening import open_recording
from recordings.whole import CUBE, whole

STACK = CUBE.reshape(30, 16, 24)


def write_part(path: Path, frames: NDArray[np.uint16]) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=frames, chunks=(1, *frames.shape[1:]), **hdf5plugin.Bitshuffle())
    return path


def write_virtual(folder: Path, name: str = "part_{}.h5") -> Path:
    """A stack of which each ten frames lie in a file."""
    layout = h5py.VirtualLayout(STACK.shape, STACK.dtype)
    for number in range(3):
        write_part(folder / Path(name.format(number)).name, STACK[10 * number : 10 * number + 10])
        layout[10 * number : 10 * number + 10] = h5py.VirtualSource(name.format(number), "data", (10, 16, 24))
    with h5py.File(folder / "scan.h5", "w") as file:
        file.create_virtual_dataset("frames", layout)
    return folder / "scan.h5"


def damage(path: Path, chunk: int) -> None:
    """A length in a packed chunk that leads beyond it."""
    with h5py.File(path) as file:
        place = file["data"].id.get_chunk_info(chunk).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 12] = 0x7F
    path.write_bytes(content)


def test_a_virtual_dataset_is_read_over_its_files(tmp_path: Path) -> None:
    np.testing.assert_array_equal(whole(write_virtual(tmp_path)), STACK)


def test_a_damaged_chunk_behind_a_virtual_dataset_is_not_unpacked(tmp_path: Path) -> None:
    path = write_virtual(tmp_path)
    damage(tmp_path / "part_1.h5", 4)
    with pytest.raises(OSError, match=r"scan\.h5: /frames: cannot read the frames from 0 on: chunk at \(4, 0, 0\)"):
        whole(path)


def test_only_the_files_that_are_needed_are_looked_at(tmp_path: Path) -> None:
    path = write_virtual(tmp_path)
    damage(tmp_path / "part_1.h5", 4)
    with open_recording(path) as recording:
        for first, last in ((0, 10), (10, 14), (15, 30)):
            np.testing.assert_array_equal(recording.read((slice(first, last),)), STACK[first:last])
        with pytest.raises(OSError, match=r"chunk at \(4, 0, 0\)"):
            recording.read((slice(14, 15),))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (None, r"expected the linked file .*part_2\.h5, found none"),
        ({"other": STACK[20:]}, r"expected a dataset data in the linked file .*part_2\.h5"),
        (
            {"data": STACK[20:25]},
            r"expected 3840 values in the linked file .*part_2\.h5, found \(5, 16, 24\)",
        ),
    ],
    ids=["missing", "another dataset", "too short"],
)
def test_a_file_that_lacks_its_part_is_named(
    tmp_path: Path, wrong: dict[str, NDArray[np.uint16]] | None, said: str
) -> None:
    """HDF5 itself would give zeros."""
    path = write_virtual(tmp_path)
    (tmp_path / "part_2.h5").unlink()
    if wrong is not None:
        with h5py.File(tmp_path / "part_2.h5", "w") as file:
            file.update(wrong)
    with pytest.raises(OSError, match=rf"scan\.h5: /frames: {said}"):
        open_recording(path)


def test_a_part_that_is_no_hdf5_file_is_named(tmp_path: Path) -> None:
    path = write_virtual(tmp_path)
    (tmp_path / "part_2.h5").write_bytes(b"nothing of the kind")
    with pytest.raises(OSError, match=r"scan\.h5: /frames: cannot read the linked file .*part_2\.h5"):
        open_recording(path)


def test_files_that_moved_together_are_found(tmp_path: Path) -> None:
    path = write_virtual(tmp_path, name="/somewhere/else/part_{}.h5")
    np.testing.assert_array_equal(whole(path), STACK)


def test_a_virtual_dataset_of_itself_is_refused(tmp_path: Path) -> None:
    layout = h5py.VirtualLayout(STACK.shape, STACK.dtype)
    layout[:] = h5py.VirtualSource("scan.h5", "frames", STACK.shape)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_virtual_dataset("frames", layout)
    with pytest.raises(OSError, match=r"scan\.h5: /frames: expected values at the end of 8 virtual datasets"):
        open_recording(tmp_path / "scan.h5")


@pytest.mark.parametrize("named", [None, "measured/frames"])
def test_a_dataset_that_another_file_has_is_followed_or_that_file_is_named(tmp_path: Path, named: str | None) -> None:
    write_part(tmp_path / "part.h5", STACK)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["measured/frames"] = h5py.ExternalLink("part.h5", "data")
    np.testing.assert_array_equal(whole(tmp_path / "scan.h5", named), STACK)
    with h5py.File(tmp_path / "part.h5", "a") as file:
        del file["data"]
    with pytest.raises(OSError, match=r"measured/frames: expected data in the linked file .*part\.h5, found none"):
        open_recording(tmp_path / "scan.h5", named)
    (tmp_path / "part.h5").unlink()
    with pytest.raises(OSError, match=r"measured/frames: expected the linked file .*part\.h5, found none"):
        open_recording(tmp_path / "scan.h5", named)


def test_a_link_that_leads_nowhere_does_not_hide_the_frames(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["frames"] = CUBE
    with open_recording(tmp_path / "scan.h5") as recording:
        assert not recording.remark
    with h5py.File(tmp_path / "scan.h5", "a") as file:
        file["preview"] = h5py.ExternalLink("none.h5", "data")
    np.testing.assert_array_equal(whole(tmp_path / "scan.h5"), CUBE)
    with open_recording(tmp_path / "scan.h5") as recording:
        assert recording.remark.startswith(f"{tmp_path / 'scan.h5'}: preview: expected the linked file ")
        assert recording.remark.endswith("none.h5, found none; /frames is taken")


def test_raw_files_of_a_dataset_are_there_and_long_enough(tmp_path: Path) -> None:
    raw = tmp_path / "frames.raw"
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("frames", STACK.shape, STACK.dtype, external=[(str(raw), 0, h5py.h5f.UNLIMITED)])
    raw.write_bytes(STACK.tobytes())
    np.testing.assert_array_equal(whole(tmp_path / "scan.h5"), STACK)
    raw.write_bytes(STACK[:7].tobytes())
    with pytest.raises(OSError, match=r"/frames: expected 23040 bytes in .*frames\.raw, found 5376"):
        open_recording(tmp_path / "scan.h5")
    raw.unlink()
    with pytest.raises(OSError, match=r"/frames: expected the raw file .*frames\.raw, found none"):
        open_recording(tmp_path / "scan.h5")


def write_numbered(path: Path, source: str, name: str) -> None:
    """Frames that lie ten by ten in files or datasets with numbers (``%b``), as many as there are."""
    unlimited = h5py.h5s.UNLIMITED
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.VIRTUAL)
    space = h5py.h5s.create_simple(STACK.shape, (unlimited, 16, 24))
    taken = space.copy()
    taken.select_hyperslab((0, 0, 0), (unlimited, 1, 1), (10, 1, 1), (10, 16, 24))
    plan.set_virtual(taken, source.encode(), name.encode(), h5py.h5s.create_simple((10, 16, 24)))
    with h5py.File(path, "w") as file:
        h5py.h5d.create(file.id, b"frames", h5py.h5t.NATIVE_UINT16, space, plan)


def test_of_numbered_files_none_is_missing_in_between(tmp_path: Path) -> None:
    write_numbered(tmp_path / "scan.h5", "part_%b.h5", "data")
    for number in range(3):
        write_part(tmp_path / f"part_{number}.h5", STACK[10 * number : 10 * number + 10])
    np.testing.assert_array_equal(whole(tmp_path / "scan.h5"), STACK)
    (tmp_path / "part_1.h5").unlink()
    with pytest.raises(OSError, match=r"/frames: expected the linked file .*part_1\.h5, found none"):
        open_recording(tmp_path / "scan.h5")


def test_each_raw_file_has_its_own_part(tmp_path: Path) -> None:
    """What one has too much does not stand for what another lacks."""
    half, raw = STACK[:15].nbytes, [tmp_path / "a.raw", tmp_path / "b.raw"]
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        places = [(str(raw[0]), 0, half), (str(raw[1]), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("frames", STACK.shape, STACK.dtype, external=places)
    raw[0].write_bytes(STACK[:15].tobytes())
    raw[1].write_bytes(STACK[15:].tobytes() + bytes(half))
    np.testing.assert_array_equal(whole(tmp_path / "scan.h5"), STACK)
    raw[0].write_bytes(STACK[:4].tobytes())
    with pytest.raises(OSError, match=r"/frames: expected 11520 bytes in the raw file .*a\.raw, found 3072"):
        open_recording(tmp_path / "scan.h5")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (STACK, None),
        (STACK.astype(np.uint8), None),
        (STACK.reshape(30, 24, 16), r"expected frames of \(16, 24\) in the linked file .*part\.h5, found \(24, 16\)"),
        (STACK + 70_000.5, r"expected uint16 in the linked file .*part\.h5, found float64"),
    ],
    ids=["the same", "smaller numbers", "sides", "type"],
)
def test_a_source_has_frames_of_the_same_sides_and_of_a_type_that_fits(
    tmp_path: Path, other: NDArray[np.uint16], said: str | None
) -> None:
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["data"] = other
    layout = h5py.VirtualLayout(STACK.shape, STACK.dtype)
    layout[:] = h5py.VirtualSource("part.h5", "data", STACK.shape)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_virtual_dataset("frames", layout)
    if said is None:
        np.testing.assert_array_equal(whole(tmp_path / "scan.h5"), other)
        return
    with pytest.raises(OSError, match=rf"scan\.h5: /frames: {said}"):
        open_recording(tmp_path / "scan.h5")


def test_a_symbolic_link_leads_to_the_files_beside_what_it_means(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "scan.h5").symlink_to(write_virtual(tmp_path / "real"))
    np.testing.assert_array_equal(whole(tmp_path / "scan.h5"), STACK)


def test_layers_of_virtual_datasets_are_each_looked_at_once(tmp_path: Path) -> None:
    """Paths through them are many: 6 to the power of 7."""
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        for number in range(6):
            packed: Any = hdf5plugin.Bitshuffle()
            file.create_dataset(f"0_{number}", data=STACK[:6], chunks=(1, 16, 24), **packed)
        for layer in range(1, 8):
            for number in range(6):
                layout = h5py.VirtualLayout(STACK[:6].shape, STACK.dtype)
                for part in range(6):
                    layout[part] = h5py.VirtualSource("scan.h5", f"{layer - 1}_{part}", STACK[:6].shape)[part]
                file.create_virtual_dataset(f"{layer}_{number}", layout)
    np.testing.assert_array_equal(whole(tmp_path / "scan.h5", "7_0"), STACK[:6])


def test_numbered_datasets_of_one_file_are_all_looked_at(tmp_path: Path) -> None:
    write_numbered(tmp_path / "scan.h5", "parts.h5", "data_%b")
    with h5py.File(tmp_path / "parts.h5", "w") as file:
        for number in range(3):
            file[f"data_{number}"] = STACK[10 * number : 10 * number + 10]
    np.testing.assert_array_equal(whole(tmp_path / "scan.h5"), STACK)
    with open_recording(tmp_path / "scan.h5") as recording:
        assert recording.absent is None
    with h5py.File(tmp_path / "parts.h5", "a") as file:
        del file["data_2"]
        file["data_2"] = STACK[:5]
    with pytest.raises(OSError, match=r"/frames: expected .* in the linked file .*parts\.h5, found \(5, 16, 24\)"):
        open_recording(tmp_path / "scan.h5")


def test_frames_of_a_group_that_another_file_has_are_found(tmp_path: Path) -> None:
    write_part(tmp_path / "part.h5", STACK)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["measured"] = h5py.ExternalLink("part.h5", "/")
    np.testing.assert_array_equal(whole(tmp_path / "scan.h5"), STACK)


def test_beside_a_link_that_leads_nowhere_three_axes_are_not_taken_for_the_scan(tmp_path: Path) -> None:
    write_part(tmp_path / "part.h5", STACK)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["frames"] = h5py.ExternalLink("part.h5", "data")
        file["flatfield"] = np.ones((2, 16, 24), np.float32)
    np.testing.assert_array_equal(whole(tmp_path / "scan.h5"), STACK)
    (tmp_path / "part.h5").unlink()
    with pytest.raises(OSError, match=r"frames: expected the linked file .*part\.h5, found none; .* \(--dataset\)"):
        open_recording(tmp_path / "scan.h5")
    assert whole(tmp_path / "scan.h5", "flatfield").shape == (2, 16, 24)
