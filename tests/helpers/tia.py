"""Files of TIA (``.ser``, and the ``.emi`` beside it) by the published description of the former: little-endian."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

IMAGES, TIMES = 0x4122, 0x4152
PIXEL_CODES = {
    "uint8": 1, "uint16": 2, "uint32": 3, "int8": 4, "int16": 5, "int32": 6, "float32": 7, "float64": 8,
}  # fmt: skip


def write_ser(path: Path, frames: NDArray[Any]) -> Path:
    """
    A series of images.

    Parameters
    ----------
    path
        Where to.
    frames
        (frames, rows, columns)
    """
    count = len(frames)
    dimension = struct.pack("<iddiii", count, 0.0, 1e-9, 0, 0, 1) + b"m"
    begin = struct.pack("<hhhiiii", 0x4949, 0x0197, 0x0220, IMAGES, TIMES, count, count)
    table_at = len(begin) + 12 + len(dimension)
    elements = [_element(frame) for frame in frames]
    places = table_at + 16 * count + np.cumsum([0, *map(len, elements)])
    tags = places[-1] + 6 * np.arange(count)
    table = np.concatenate([places[:-1], tags]).astype("<i8").tobytes()
    begin += struct.pack("<qi", table_at, 1) + dimension
    path.write_bytes(begin + table + b"".join(elements) + struct.pack("<hi", TIMES, 1_700_000_000) * count)
    return path


def write_emi(path: Path, frames: NDArray[Any]) -> Path:
    """What TIA knows of a measurement, as XML among what else it writes, and the series that belongs to it."""
    write_ser(path.with_name(f"{path.stem}_1.ser"), frames)
    description = "<Root><Data><Label>High tension</Label><Value>200</Value><Unit>kV</Unit></Data></Root>"
    info = (
        "<ObjectInfo><Uuid>1</Uuid><AcquireDate>Tue Nov 14 22:13:20 2023</AcquireDate><Manufacturer>FEI</Manufacturer>"
        "<ExperimentalConditions><MicroscopeConditions><AcceleratingVoltage>200000</AcceleratingVoltage>"
        "<Tilt1>0</Tilt1><Tilt2>0</Tilt2></MicroscopeConditions></ExperimentalConditions>"
        f"<ExperimentalDescription>{description}</ExperimentalDescription></ObjectInfo>"
    )
    path.write_bytes(b"JP\x02\x00" + bytes(60) + info.encode() + bytes(60))
    return path


def _element(frame: NDArray[Any]) -> bytes:
    """An image; its lowest row comes first."""
    rows, columns = frame.shape
    axes = struct.pack("<ddi", 0.0, 1e8, 0) * 2
    pixels = frame[::-1].astype(frame.dtype.newbyteorder("<"))
    return axes + struct.pack("<hii", PIXEL_CODES[frame.dtype.name], columns, rows) + pixels.tobytes()
