"""A ``.mib`` as a recorded scan."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.merlin.header import LONGEST_TEXT, AcquisitionHeader
from livestrain_recordings.merlin.mib import MibFile
from livestrain_recordings.recording import Fact, Recording, by_number, checked_shape, given_type


def open_mib(path: Path) -> Recording:
    """
    Frames of a Merlin's file; of the ``.hdr`` beside it the scan's shape.

    A scan that was cut short has the shape that it was to have, and lacks its last frames. Errors as
    `livestrain_recordings.opening.open_recording`.
    """
    file = MibFile(path)
    shape = checked_shape(path, "frames", _shape(file))
    absent = np.zeros(prod(shape[:-2]), np.bool_)
    absent[len(file) :] = True
    unusable = None if file.header and file.header.gap_filled else file.unusable

    def frames(first: int, count: int) -> NDArray[Any]:
        found = file.frames(first, count)
        if len(found) == count:
            return found
        filled = np.zeros((count, *file.shape[1:]), file.dtype)
        filled[: len(found)] = found
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


def _shape(file: MibFile) -> tuple[int, ...]:
    scan = file.scan_shape
    # what comes after the last position is flyback or another scan, and only a person knows
    if scan is None or scan[0] * scan[1] < len(file):
        return file.shape
    return (*scan, *file.shape[1:])


def _facts(header: AcquisitionHeader | None) -> dict[str, Fact]:
    values = header.values if header else {}
    return {name[:LONGEST_TEXT]: value for name, value in values.items() if 0 < len(value) <= LONGEST_TEXT}
