"""A ``.mib`` as a recorded scan."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.merlin.header import LONGEST_TEXT, AcquisitionHeader
from livestrain_recordings.merlin.mib import MibFile
from livestrain_recordings.recording import Fact, Recording, by_number, checked_shape, given_type

MOST_LACKING = 1000
"""Frames that a file may lack whose header does not tell how many it was to hold."""


def open_mib(path: Path) -> Recording:
    """
    Frames of a Merlin's file; of the ``.hdr`` beside it the scan's shape.

    A scan that was cut short has the shape that it was to have, and lacks its last frames. Frames lie where their
    numbers say if these grow within what the file was to hold, else one behind the other; one whose header is
    none is absent. Errors as `livestrain_recordings.opening.open_recording`.
    """
    file = MibFile(path)
    places = _places(file)
    shape = checked_shape(path, "frames", _shape(file, len(places)))
    rows = np.full(prod(shape[:-2]), -1, np.int64)
    rows[: len(places)] = places
    absent = rows < 0
    unusable = None if file.header and file.header.gap_filled else file.unusable

    def frames(first: int, count: int) -> NDArray[Any]:
        wanted = rows[first : first + count]
        there = wanted >= 0
        if not there.any():
            return np.zeros((count, *file.shape[1:]), file.dtype)
        lowest = int(wanted[there][0])
        found = file.frames(lowest, int(wanted[there][-1]) - lowest + 1)
        if len(found) == count and there.all():
            return found
        filled = np.zeros((count, *file.shape[1:]), file.dtype)
        filled[np.flatnonzero(there)] = found[wanted[there] - lowest]
        return filled

    return Recording(
        path,
        "frames",
        shape,
        given_type(path, "frames", file.dtype),
        by_number(shape, frames),
        (1,) * (len(shape) - 2),
        _facts(file.header),
        absent if absent.any() else None,
        None if unusable is None else unusable != 0,
        file.header.saturation if file.header else None,
    )


def _places(file: MibFile) -> NDArray[np.int64]:
    """Which frame of the file belongs to each position, ascending; -1 where there is none."""
    numbers = file.numbers()
    rows = np.flatnonzero(numbers >= 0)
    known = numbers[rows]
    in_order = np.where(numbers >= 0, np.arange(len(file)), -1)
    if not len(rows) or (np.diff(known) <= 0).any():
        return in_order
    # in a file without a shape, which may be a part of more, the first frame has the first place
    scan = file.scan_shape
    known -= min(int(known[0]), 1) if scan else known[0] - rows[0]
    most = max(scan[0] * scan[1] if scan else len(file) + MOST_LACKING, len(file))
    if known[-1] >= most:
        return in_order
    # a damaged header at the end has a place, too
    places = np.full(max(int(known[-1]) + 1, len(file)), -1, np.int64)
    places[known] = rows
    return places


def _shape(file: MibFile, count: int) -> tuple[int, ...]:
    scan = file.scan_shape
    # what comes after the last position is flyback or another scan, and only a person knows
    if scan is None or scan[0] * scan[1] < count:
        return (count, *file.shape[1:])
    return (*scan, *file.shape[1:])


def _facts(header: AcquisitionHeader | None) -> dict[str, Fact]:
    values = header.values if header else {}
    return {name[:LONGEST_TEXT]: value for name, value in values.items() if 0 < len(value) <= LONGEST_TEXT}
