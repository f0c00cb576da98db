"""Frames for which an HDF5 file has room but no values are absent, not dark."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from numpy.typing import NDArray

from livestrain_recordings.opening import open_recording
from recordings.test_dectris import FRAMES, write_master
from recordings.whole import CUBE

STACK = CUBE.reshape(30, 16, 24) + np.uint16(1)
"""No frame of it is dark."""


def absent(path: Path, dataset: str | None = None) -> list[int]:
    """Numbers of the frames that are; all others have their values."""
    with open_recording(path, dataset) as recording:
        frames = np.concatenate(list(recording.blocks()))
        none = np.zeros(len(frames), np.bool_) if recording.absent is None else recording.absent
    np.testing.assert_array_equal(frames[~none], STACK[: len(frames)][~none])
    return [int(one) for one in np.flatnonzero(none)]


def stored(path: Path, frames: NDArray[Any], written: list[int], shape: tuple[int, ...], chunks: Any) -> Path:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", shape, frames.dtype, chunks=chunks, **hdf5plugin.Bitshuffle())
        for number in written:
            data[np.unravel_index(number, shape[:-2])] = frames[number]
    return path


def mapped(path: Path, parts: list[tuple[Any, Any]], shape: tuple[int, ...] = STACK.shape) -> Path:
    layout = h5py.VirtualLayout(shape, STACK.dtype)
    for to, source in parts:
        layout[to] = source
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("frames", layout)
    return path


def source(name: str = "part.h5", shape: tuple[int, ...] = STACK.shape) -> h5py.VirtualSource:
    return h5py.VirtualSource(name, "data", shape)


@pytest.mark.parametrize(
    ("shape", "chunks", "written", "lost"),
    [
        ((30, 16, 24), (1, 16, 24), range(30), []),
        ((30, 16, 24), (1, 16, 24), [*range(7), 9], [7, 8, *range(10, 30)]),
        ((30, 16, 24), (4, 8, 24), range(20), list(range(20, 30))),
        ((6, 5, 16, 24), (1, 5, 16, 24), range(15), list(range(15, 30))),
        ((6, 5, 16, 24), (1, 2, 16, 24), range(7), [*range(7, 30)]),
    ],
)
def test_frames_of_chunks_that_were_never_written_are_absent(
    tmp_path: Path, shape: tuple[int, ...], chunks: Any, written: list[int], lost: list[int]
) -> None:
    path = stored(tmp_path / "scan.h5", STACK, list(written), shape, chunks)
    assert absent(path) == lost


def test_of_a_dataset_without_chunks_all_is_there_or_nothing(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("data", STACK.shape, STACK.dtype)
    assert absent(tmp_path / "scan.h5") == list(range(30))
    with h5py.File(tmp_path / "scan.h5", "a") as file:
        file["data"][...] = STACK
    assert absent(tmp_path / "scan.h5") == []


@pytest.mark.parametrize(
    ("parts", "lost"),
    [
        (lambda: [(slice(None), source())], []),
        (lambda: [(slice(0, 20), source()[:20])], list(range(20, 30))),
        (lambda: [(slice(0, 10), source()[:10]), (slice(12, 30), source()[12:])], [10, 11]),
        (lambda: [(slice(0, 30, 2), source()[::2])], list(range(1, 30, 2))),
        (lambda: [(slice(0, 30, 2), source()[::2]), (slice(1, 30, 2), source()[1::2])], []),
        (
            lambda: [
                ((slice(None), slice(0, 8)), source()[:, :8]),
                ((slice(0, 20), slice(8, 16)), source()[:20, 8:]),
            ],
            list(range(20, 30)),
        ),
        (
            # what overlaps is counted once
            lambda: [
                ((slice(None), slice(0, 8)), source()[:, :8]),
                ((slice(None), slice(0, 8)), source()[:, :8]),
                ((slice(3, 30), slice(4, 16)), source()[3:, 4:]),
            ],
            [0, 1, 2],
        ),
    ],
    ids=["whole", "cut", "hole", "every other", "interleaved", "modules", "overlapping"],
)
def test_frames_that_no_source_covers_are_absent(
    tmp_path: Path, parts: Callable[[], list[tuple[Any, Any]]], lost: list[int]
) -> None:
    stored(tmp_path / "part.h5", STACK, list(range(30)), STACK.shape, (1, 16, 24))
    assert absent(mapped(tmp_path / "scan.h5", parts())) == lost


def test_what_a_source_has_never_got_is_absent_behind_a_virtual_dataset(tmp_path: Path) -> None:
    for name, written in (("full", range(30)), ("part", [*range(7), *range(9, 26)])):
        stored(tmp_path / f"{name}.h5", STACK, list(written), STACK.shape, (1, 16, 24))
    whole, half = (
        mapped(tmp_path / f"{name}_scan.h5", [(slice(None), source(f"{name}.h5"))]) for name in ("full", "part")
    )
    assert (absent(whole), absent(half)) == ([], [7, 8, 26, 27, 28, 29])
    # over two layers, in another order
    layout = [(slice(0, 30, 2), source("part.h5")[::2]), (slice(1, 30, 2), source("full.h5")[1::2])]
    assert absent(mapped(tmp_path / "mixed.h5", layout)) == [8, 26, 28]


def test_the_longer_of_two_interleaved_files_does_not_stand_for_the_other(tmp_path: Path) -> None:
    """As detectors with several writers leave them, with axes without an end."""
    unlimited = h5py.h5s.UNLIMITED
    for lengths, lost in (((15, 15), []), ((15, 11), [23, 25, 27])):
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_layout(h5py.h5d.VIRTUAL)
        for writer, length in enumerate(lengths):
            with h5py.File(tmp_path / f"writer_{writer}.h5", "w") as file:
                file.create_dataset("data", data=STACK[writer::2][:length], maxshape=(None, 16, 24))
            to = h5py.h5s.create_simple((30, 16, 24), (unlimited, 16, 24))
            to.select_hyperslab((writer, 0, 0), (unlimited, 1, 1), (2, 1, 1), (1, 16, 24))
            of = h5py.h5s.create_simple((length, 16, 24), (unlimited, 16, 24))
            of.select_hyperslab((0, 0, 0), (unlimited, 1, 1), (1, 1, 1), (1, 16, 24))
            plan.set_virtual(to, f"writer_{writer}.h5".encode(), b"data", of)
        with h5py.File(tmp_path / "scan.h5", "w") as file:
            space = h5py.h5s.create_simple((30, 16, 24), (unlimited, 16, 24))
            h5py.h5d.create(file.id, b"frames", h5py.h5t.NATIVE_UINT16, space, plan)
        found = absent(tmp_path / "scan.h5")
        assert found[: len(lost)] == lost
        assert set(found) <= {*lost, 29}


def test_frames_that_a_linked_file_of_a_master_never_got_are_absent(tmp_path: Path) -> None:
    master = write_master(tmp_path)
    with open_recording(master) as recording:
        assert recording.absent is None
    with h5py.File(tmp_path / "scan_data_000002.h5", "w") as file:
        data = file.create_dataset("entry/data/data", (10, 24, 32), np.uint32, chunks=(1, 24, 32))
        data[:4] = FRAMES[10:14]
    with open_recording(master) as recording:
        assert recording.absent is not None
        assert np.flatnonzero(recording.absent).tolist() == [14, 15, 16, 17, 18, 19]
