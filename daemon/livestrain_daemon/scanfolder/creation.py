"""The file of a scan's frames, laid out at its beginning."""

import math
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder import emd, hdf5
from livestrain_daemon.scanfolder.layout import FRAMES_FILE, FrameLayout, open_frames
from livestrain_daemon.scanfolder.provenance import boot_id
from livestrain_daemon.scanfolder.ring import Ring
from livestrain_wire.messages import ScanStart


def create_frames(folder: Path, start: ScanStart, provenance: dict[str, Any], ring: Ring | None) -> FrameLayout:
    """
    Lay out the frames file of a scan.

    Parameters
    ----------
    folder
        The scan folder, which exists.
    provenance
        Versions, host and times, kept with the file.
    ring
        Where the frames go; None records them in the file.

    Raises
    ------
    StorageError
        If the space is not there, with the numbers, or the file cannot be made; nothing is left of it.
    """
    positions = math.prod(start.scan_shape)
    frame_bytes = math.prod(start.frame_shape) * np.dtype(start.dtype).itemsize
    if ring is not None and ring.capacity_bytes < frame_bytes:
        raise StorageError(f"{ring.path}: holds {ring.capacity_bytes} bytes, one frame needs {frame_bytes}")
    payload = positions * (9 if ring else 9 + frame_bytes)
    with hdf5.laid_out(folder / FRAMES_FILE, payload, "frames") as file:
        hdf5.add_dataset(file, "ledger", (positions,), np.uint8)
        hdf5.add_dataset(file, "checksums", (positions,), "<u8")
        hdf5.set_json(file, "start", start.model_dump(mode="json"))
        hdf5.set_json(file, "provenance", provenance)
        file.attrs["boot_id"] = str(provenance.get("boot_id") or boot_id())
        if ring is None:
            emd.add_cube(file, start)
        else:
            _point_to(file, ring, start, frame_bytes)
    return open_frames(folder)


def _point_to(file: h5py.File, ring: Ring, start: ScanStart, frame_bytes: int) -> None:
    slots = ring.capacity_bytes // frame_bytes
    file.attrs.update(ring_path=str(ring.path), ring_id=ring.id, ring_slots=slots)
    file.create_dataset(
        "ring",
        shape=(slots, *start.frame_shape),
        dtype=np.dtype(start.dtype).newbyteorder("<"),
        external=[(os.fspath(ring.path), 0, slots * frame_bytes)],
    )
