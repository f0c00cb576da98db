"""A compressed copy of a scan's frames, which any program with h5py and hdf5plugin reads."""

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.export.errors import ExportError, NothingToExport
from livestrain_daemon.export.placing import make_folder, refuse_places, write_whole
from livestrain_daemon.scanfolder import FrameLayout, FrameReader, FrameState, emd, hdf5, open_frames, provenance
from livestrain_daemon.scanfolder.files import free_bytes
from livestrain_daemon.scanfolder.hold import Held

CHUNK_BYTES = 1 << 19
"""About what is compressed, and read again, at a time [bytes]."""
MARGIN_BYTES = 1 << 24
"""Space that is left free: HDF5 does not survive a full disk [bytes]."""


def pack_frames(folder: Path, output: Path | None = None, force: bool = False) -> Path:
    """
    Write all stored frames into one compressed HDF5 file (bitshuffle and LZ4).

    Parameters
    ----------
    folder
        The scan folder; nothing in it is changed.
    output
        The file; None: named after the scan, in the working folder. An existing folder gets a file of that name.
    force
        Replace a file that exists.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    NotAScan
        If it is no scan folder, or its frames are gone.
    NothingToExport
        If no frame is stored.
    ExportError
        If the file exists, would lie in the scan folder, cannot be written, or there is no space for it.
    """
    layout = open_frames(folder)
    name = f"{layout.start.scan_id}-frames.h5"
    place = output or Path(name)
    if place.is_dir():
        place /= name
    refuse_places([place], (layout.folder, layout.frames_path), force)
    make_folder(place.parent)
    with Held(layout.folder), FrameReader(layout) as reader:
        if not (reader.ledger() == FrameState.STORED).any():
            raise NothingToExport(f"{folder}: no frame is stored")
        write_whole(place, lambda path: _write(path, layout, reader))
    return place


def _write(path: Path, layout: FrameLayout, reader: FrameReader) -> None:
    shape = (*layout.scan_shape, *layout.frame_shape)
    columns = layout.scan_shape[1]
    at_a_time = min(columns, max(1, CHUNK_BYTES // layout.frame_bytes))
    states = np.zeros(layout.positions, np.uint8)
    with h5py.File(path, "w") as file:
        frames = file.create_dataset(
            emd.FRAMES, shape, layout.dtype, chunks=(1, at_a_time, *layout.frame_shape), **hdf5plugin.Bitshuffle()
        )
        for first, count in ((row, columns) for row in range(0, layout.positions, columns)):
            states[first : first + count] = _row(frames, reader, first, count, at_a_time)
        emd.describe(file, layout.start)
        file["ledger"] = states
        hdf5.set_json(file, "start", layout.start.model_dump(mode="json"))
        hdf5.set_json(file, "provenance", provenance())


def _row(frames: h5py.Dataset, reader: FrameReader, first: int, count: int, at_a_time: int) -> NDArray[np.uint8]:
    """A scan row, chunk by chunk; gives the state of each position, stored where its frame is in."""
    row = first // count
    states = np.zeros(count, np.uint8)
    for start in range(0, count, at_a_time):
        piece = min(at_a_time, count - start)
        pixels = reader.read(first + start, piece)
        # after the frames: what a ring has not recycled by now was whole
        states[start : start + piece] = reader.ledger(first + start, piece)
        here = states[start : start + piece] == FrameState.STORED
        if not here.any():
            continue
        pixels[~here] = 0
        free = free_bytes(Path(frames.file.filename).parent)
        if free < pixels.nbytes + MARGIN_BYTES:
            raise ExportError(f"{frames.file.filename}: the disk is full: {free} bytes are free")
        frames[row, start : start + piece] = pixels
    return states
