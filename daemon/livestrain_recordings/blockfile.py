"""Frames in ``.blo`` files of NanoMEGAS."""

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.recording import Fact, Recording, by_number, checked_shape
from livestrain_recordings.units import Axis, axis_facts

MAGIC = b"IMGBLO"
NAME = "frames"
FRAME_MAGIC = b"\xaa\x55"
FRAME_HEADER_BYTES = 6
"""Before the pixels of each frame: the magic, and its number [bytes]."""
_HEADER = struct.Struct("<6s2xI I4x H2x H H H d d I")


@dataclass(frozen=True, slots=True)
class Header:
    """What the beginning of a file tells."""

    offset: int
    """Of the first frame [bytes]."""
    side: int
    """Rows and columns of a frame."""
    scan_shape: tuple[int, int]
    """(rows, columns)"""
    step_nm: tuple[float, float]
    """Along rows and columns [nm]."""
    energy_kev: float
    """[keV]"""


def open_blockfile(path: Path) -> Recording:
    """
    Frames of a block file; one that was cut short lacks its last frames.

    Errors as `livestrain_recordings.opening.open_recording`.
    """
    header = _header(path)
    shape = checked_shape(path, NAME, (*header.scan_shape, header.side, header.side))
    stride = FRAME_HEADER_BYTES + header.side**2
    whole = (path.stat().st_size - header.offset) // stride
    if whole < 1:
        raise OSError(f"{path}: expected a frame of {stride} bytes from byte {header.offset} on, found none")
    absent = np.zeros(prod(header.scan_shape), np.bool_)
    absent[whole:] = True

    def frames(first: int, count: int) -> NDArray[Any]:
        present = max(0, min(count, whole - first))
        block = np.fromfile(path, np.uint8, present * stride, offset=header.offset + first * stride)
        if len(block) != present * stride:
            raise OSError(f"expected {present * stride} bytes, found {len(block)}")
        table = block.reshape(present, stride)
        wrong = np.flatnonzero((table[:, :2] != np.frombuffer(FRAME_MAGIC, np.uint8)).any(axis=1))
        if len(wrong):
            found = table[wrong[0], :2].tobytes()
            raise OSError(f"frame {first + wrong[0]}: expected it to begin with {FRAME_MAGIC!r}, found {found!r}")
        pixels = np.zeros((count, header.side**2), np.uint8)
        pixels[:present] = table[:, FRAME_HEADER_BYTES:]
        return pixels

    return Recording(
        path, NAME, shape, "uint8", by_number(shape, frames), (1, 1), _facts(header), absent if absent.any() else None
    )


def _header(path: Path) -> Header:
    with path.open("rb") as file:
        begin = file.read(_HEADER.size)
    if len(begin) < _HEADER.size:
        raise OSError(f"{path}: expected a header of {_HEADER.size} bytes, found {len(begin)}")
    _, _, offset, side, columns, rows, _, step_x, step_y, volts = _HEADER.unpack(begin)
    return Header(offset, side, (rows, columns), (step_y, step_x), volts / 1000)


def _facts(header: Header) -> dict[str, Fact]:
    steps = axis_facts([Axis(step, "nm") for step in header.step_nm], [])
    return {"energy_kev": header.energy_kev, **steps} if header.energy_kev else dict(steps)
