"""Whatever a file holds: it is read, or refused in one line."""

import os
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.merlin import frames_of
from livestrain_recordings.errors import UnusableRecording
from livestrain_recordings.opening import open_recording
from livestrain_simulator.emulators.merlin.file import write_mib
from livestrain_simulator.emulators.merlin.pixels import PixelKind
from recordings.test_blockfile import write_blo
from recordings.test_dectris import write_master
from recordings.whole import CUBE

ENOUGH_BYTES = 1 << 24
DAMAGE = st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4)


def written(folder: Path, kind: str) -> Path:
    if kind == "npy":
        np.save(folder / "scan.npy", CUBE)
        return folder / "scan.npy"
    if kind == "mib":
        pixels = PixelKind("U08", 6, "1x1")
        write_mib(folder / "scan.mib", frames_of(pixels, 6), pixels, (2, 3))
        return folder / "scan.mib"
    if kind == "h5":
        with h5py.File(folder / "scan.h5", "w") as file:
            file.create_dataset("deep/frames", data=CUBE, chunks=(1, 5, 16, 24), **hdf5plugin.Bitshuffle())
        return folder / "scan.h5"
    return write_blo(folder / "scan.blo") if kind == "blo" else write_master(folder)


def refused(path: Path) -> str | None:
    """What the refusal says; None if the file is read."""
    try:
        with open_recording(path) as recording:
            size = 0
            for block in recording.blocks():
                size += block.nbytes
                if size > ENOUGH_BYTES:
                    break
    except (OSError, UnusableRecording) as error:
        return str(error)
    return None


@pytest.mark.parametrize("kind", ["npy", "mib", "h5", "blo", "master"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=DAMAGE, cut=st.none() | st.integers(0, 5000))
def test_a_damaged_file_is_read_or_refused(
    kind: str, damage: list[tuple[int, bytes]], cut: int | None, tmp_path: Path
) -> None:
    path = written(tmp_path, kind)
    content = bytearray(path.read_bytes())
    for place, other in damage:
        content[place : place + len(other)] = other
    path.write_bytes(content[:cut])
    text = refused(path)
    assert text is None or (str(path) in text and "\n" not in text)


@given(content=st.binary(max_size=300))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_refused_with_the_name_of_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "some.file"
    path.write_bytes(content)
    with pytest.raises((OSError, UnusableRecording), match=r"some\.file: "):
        open_recording(path)


@pytest.mark.parametrize("suffix", [".npy", ".h5", ".mib", ".blo", ".txt"])
def test_an_empty_file_is_told_as_such(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scan{suffix}"
    path.touch()
    with pytest.raises(OSError, match=rf"scan{suffix}: expected \.npy, .*, found an empty file"):
        open_recording(path)


def test_a_folder_a_pipe_and_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="expected a file, found a folder"):
        open_recording(tmp_path)
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(OSError, match=r"pipe\.npy: expected a file, found a device or pipe"):
        open_recording(tmp_path / "pipe.npy")
    with pytest.raises(FileNotFoundError, match=r"none\.npy"):
        open_recording(tmp_path / "none.npy")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", CUBE)
    (tmp_path / "scan.npy").chmod(0)
    with pytest.raises(PermissionError, match=r"scan\.npy"):
        open_recording(tmp_path / "scan.npy")
