"""The file of a scan's frames: laid out once, then written and read by offset."""

import math
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from livestrain_daemon.errors import NotAScan
from livestrain_daemon.scanfolder import emd, hdf5
from livestrain_wire.messages import ScanStart

FRAMES_FILE = "frames.h5"


class FrameState(IntEnum):
    """What the ledger says of a position's frame."""

    EXPECTED = 0
    STORED = 1
    MISSING = 2
    """It did not come; it may still."""
    RECYCLED = 3
    """It was stored; its slot in the ring now holds a newer frame."""


@dataclass(frozen=True)
class FrameLayout:
    """Where the frames of a scan are, and what is known of each."""

    folder: Path
    start: ScanStart
    scan_shape: tuple[int, int]
    frame_shape: tuple[int, int]
    dtype: np.dtype[Any]
    """Little-endian."""
    positions: int
    frame_bytes: int
    frames_path: Path
    """The file that holds the frames: frames.h5, or the ring."""
    frames_offset: int
    slots: int
    """Frames that there is room for: all of the scan's when recording."""
    ledger_offset: int
    """In frames.h5, one byte a position."""
    checksums_offset: int
    """In frames.h5, eight bytes a position."""
    recording: bool
    boot_id: str = ""
    """The boot of the machine in which the file was made."""
    ring_id: str = ""
    """The ring that the frames were written to, if any."""

    @cached_property
    def path(self) -> Path:
        """The frames.h5 itself."""
        return self.folder / FRAMES_FILE

    def slot(self, position: int) -> int:
        """The place of a position's frame."""
        return position % self.slots


def open_frames(folder: Path) -> FrameLayout:
    """
    The layout of a scan's frames.

    Raises
    ------
    NotAScan
        If the file is missing, truncated, damaged, or something else.
    """
    folder = folder.absolute()
    if folder.exists() and not folder.is_dir():
        raise NotAScan(f"{folder}: is no folder")
    path = folder / FRAMES_FILE
    with hdf5.opened(path, "frames") as file:
        start = ScanStart.model_validate(hdf5.get_json(file, "start"))
        dtype = np.dtype(start.dtype).newbyteorder("<")
        positions = math.prod(start.scan_shape)
        frame_bytes = math.prod(start.frame_shape) * dtype.itemsize
        recording = "ring_id" not in file.attrs
        shape = (*start.scan_shape, *start.frame_shape)
        slots = positions if recording else int(file.attrs["ring_slots"])
        if slots < 1:
            raise ValueError(f"ring_slots is {slots}")
        return FrameLayout(
            folder=folder,
            start=start,
            scan_shape=start.scan_shape,
            frame_shape=start.frame_shape,
            dtype=dtype,
            positions=positions,
            frame_bytes=frame_bytes,
            frames_path=path if recording else Path(file.attrs["ring_path"]),
            frames_offset=hdf5.offset_of(file, emd.FRAMES, shape, dtype) if recording else 0,
            slots=slots,
            ledger_offset=hdf5.offset_of(file, "ledger", (positions,), np.uint8),
            checksums_offset=hdf5.offset_of(file, "checksums", (positions,), "<u8"),
            recording=recording,
            boot_id=str(file.attrs["boot_id"]),
            ring_id="" if recording else str(file.attrs["ring_id"]),
        )
