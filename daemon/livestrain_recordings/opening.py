"""Which reader a file needs."""

from pathlib import Path

import h5py

from livestrain_recordings.hdf5 import open_hdf5
from livestrain_recordings.npy import open_npy
from livestrain_recordings.recording import Recording
from livestrain_wire.forms import LOOKED_AT_BYTES, NPY, form_of


def open_recording(path: Path, dataset: str | None = None) -> Recording:
    """
    The frames of a file.

    Parameters
    ----------
    path
        An HDF5 or a .npy file.
    dataset
        Path of the dataset within an HDF5 file; None takes the largest with four axes, else with three.

    Raises
    ------
    NoFrames
        If nothing in it has the form of frames.
    UnusableRecording
        If they are of a type that cannot be sent.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        beginning = file.read(LOOKED_AT_BYTES)
    if beginning.startswith(NPY):
        return open_npy(path)
    # HDF5 may have a block of something else before it
    if not h5py.is_hdf5(path):
        raise OSError(f"{path}: expected a .npy or HDF5 file, found {form_of(beginning)}")
    return open_hdf5(path, dataset)
