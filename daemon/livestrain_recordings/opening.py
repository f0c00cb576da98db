"""Which reader a file needs."""

import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import h5py

from livestrain_recordings import blockfile, formats, hdf5
from livestrain_recordings.empad import is_empad, open_empad
from livestrain_recordings.errors import UnusableRecording
from livestrain_recordings.merlin.header import ACQUISITION_HEADER, FRAME_HEADER
from livestrain_recordings.merlin.recording import open_mib
from livestrain_recordings.npy import open_npy
from livestrain_recordings.recording import Recording, with_negative_counts
from livestrain_recordings.zspy import open_zspy
from livestrain_wire.forms import LOOKED_AT_BYTES, NPY, form_of

JOURNAL = "journal.jsonl"
"""Beside the frames of a scan in a spool."""
FOLDERS = {".zspy"}
"""Suffixes of files that are folders."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file."""

    is_one: Callable[[Path, bytes], bool]
    """Whether a file is of this kind, from its path and its first `LOOKED_AT_BYTES` bytes."""
    open: Callable[[Path, str | None], Recording]
    """Its frames, of the dataset of that name if one is named."""


def _single(opened: Callable[[Path], Recording]) -> Callable[[Path, str | None], Recording]:
    """Of a kind whose files hold one array."""

    def open_single(path: Path, dataset: str | None) -> Recording:
        if dataset is not None:
            raise UnusableRecording(f"{path}: expected no dataset for a file that holds one array, found {dataset}")
        return opened(path)

    return open_single


KINDS = {
    ".npy": Kind(lambda _, begin: begin.startswith(NPY), _single(open_npy)),
    "Merlin .mib": Kind(lambda _, begin: begin.startswith(FRAME_HEADER), _single(open_mib)),
    ".blo": Kind(lambda _, begin: begin.startswith(blockfile.MAGIC), _single(blockfile.open_blockfile)),
    ".zspy": Kind(lambda path, _: path.suffix.lower() == ".zspy", open_zspy),
    "EMPAD .xml": Kind(lambda path, _: is_empad(path), _single(open_empad)),
    "Velox": Kind(lambda path, _: hdf5.is_velox(path), formats.open_format),
    # may have a block of something else before it
    "HDF5": Kind(lambda path, _: path.is_file() and h5py.is_hdf5(path), hdf5.open_hdf5),
    ", ".join(formats.READERS): Kind(lambda path, _: path.suffix.lower() in formats.READERS, formats.open_format),
}
"""What can be read; the first that fits reads a file."""


def open_recording(
    path: Path, dataset: str | None = None, *, values: bool = True, stopped: Callable[[], bool] = lambda: False
) -> Recording:
    """
    The frames of a file.

    Parameters
    ----------
    path
        A file of one of `KINDS`: what it holds decides, and its suffix where that does not tell.
    dataset
        Path of the dataset within an HDF5 file, or title of the signal in a file that holds several; None takes the
        largest with four axes, else with three.
    values
        Whether the frames will be read; else ``dtype`` may be another, as a file of signed numbers is not searched for
        counts below zero.
    stopped
        Whether to give up that search; what was opened must not be used then.

    Raises
    ------
    NoFrames
        If nothing in it has the form of frames.
    ExtraMissing
        If a library that it takes is not installed.
    UnusableRecording
        If they are of a type or a size that cannot be used.
    OSError
        If it cannot be read.
    """
    beginning = _beginning(path)
    for kind in KINDS.values():
        if kind.is_one(path, beginning):
            return _opened(kind, path, dataset, stopped if values else None)
    if beginning.startswith(ACQUISITION_HEADER):
        raise OSError(f"{path}: expected a Merlin .mib, found the header that lies beside one")
    raise OSError(f"{path}: expected {', '.join(KINDS)}, found {form_of(beginning)}")


def _opened(kind: Kind, path: Path, dataset: str | None, stopped: Callable[[], bool] | None) -> Recording:
    """What cannot be read is found out before a scan has begun."""
    with ExitStack() as closing:
        _hold(path, closing)
        recording = closing.enter_context(kind.open(path, dataset))
        checked = recording if stopped is None else with_negative_counts(recording, stopped)
        return replace(checked, resources=closing.pop_all())


def _hold(path: Path, closing: ExitStack) -> None:
    """Keep a scan in a spool from being removed while it is read, as the daemon keeps those that it works on."""
    folder = path.resolve().parent
    if not (folder / JOURNAL).is_file():
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    closing.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError(f"{path}: its scan is being removed") from error
    except OSError:
        # not every file system has locks
        return


def _beginning(path: Path) -> bytes:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode) and path.suffix.lower() in FOLDERS:
        return b""
    # a pipe would be waited for, a device never ends
    if not stat.S_ISREG(mode):
        raise OSError(f"{path}: expected a file, found a {'folder' if stat.S_ISDIR(mode) else 'device or pipe'}")
    with path.open("rb") as file:
        return file.read(LOOKED_AT_BYTES)
