"""
Files of DigitalMicrograph, written by the published description of their tags.

A tag is a name and a value, or a name and more tags. What surrounds the values is big-endian; a flag tells of the
values themselves. DM3 has 4 bytes where DM4 has 8.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

DIRECTORY, VALUE = 0x14, 0x15
STRUCT_CODE, ARRAY_CODE = 15, 20
CODES = {
    "int16": 2, "int32": 3, "uint16": 4, "uint32": 5, "float32": 6, "float64": 7, "bool": 8, "int8": 9, "uint8": 10,
    "int64": 11, "uint64": 12,
}  # fmt: skip
"""Of a value in a tag."""
IMAGE_CODES = {
    "int16": 1, "float32": 2, "uint8": 6, "int32": 7, "int8": 9, "uint16": 10, "uint32": 11, "float64": 12, "bool": 14,
}  # fmt: skip
"""Of the pixels of an image."""

Tree = dict[str, Any] | list[Any]
"""Tags with names, or without."""


@dataclass(frozen=True)
class Calibration:
    """How far apart the values along an axis are."""

    scale: float
    units: str


@dataclass(frozen=True)
class Form:
    """How a file writes its tags."""

    version: Literal[3, 4] = 4
    little: bool = True

    def size(self, value: int) -> bytes:
        """A count or a length."""
        return struct.pack(">Q" if self.version == 4 else ">I", value)

    def directory(self, tree: Tree) -> bytes:
        """Tags within a tag."""
        items: Iterable[tuple[str, Any]] = tree.items() if isinstance(tree, dict) else (("", one) for one in tree)
        tags = [self._tag(name, value) for name, value in items]
        return struct.pack(">BB", 1, 0) + self.size(len(tags)) + b"".join(tags)

    def _tag(self, name: str, value: Any) -> bytes:
        kind, body = (
            (DIRECTORY, self.directory(value)) if isinstance(value, (dict, list)) else (VALUE, self._value(value))
        )
        length = self.size(len(body)) if self.version == 4 else b""
        return struct.pack(">BH", kind, len(name)) + name.encode("latin-1") + length + body

    def _value(self, value: Any) -> bytes:
        array = np.asarray([ord(one) for one in value], np.uint16) if isinstance(value, str) else np.asarray(value)
        code = CODES[array.dtype.name]
        info = [ARRAY_CODE, code, array.size] if array.ndim else [code]
        stored = array.astype(array.dtype.newbyteorder("<" if self.little else ">"))
        return b"%%%%" + self.size(len(info)) + b"".join(map(self.size, info)) + stored.tobytes()


def write_dm(
    path: Path,
    data: NDArray[Any],
    calibrations: Sequence[Calibration] = (),
    tags: Tree | None = None,
    form: Form | None = None,
) -> Path:
    """
    One image with a thumbnail before it, as DigitalMicrograph writes them.

    Parameters
    ----------
    path
        Where to.
    data
        Any number of axes; the last is the one that lies in one piece.
    calibrations
        Of each axis of ``data``.
    tags
        ``ImageTags``: what is known of the microscope and of how the data were taken.
    form
        Version and order of bytes.
    """
    form = form or Form()
    thumbnail = np.zeros((4, 4), np.uint32)
    images = [_image("", thumbnail, (), {}), _image("made", data, calibrations, tags or {})]
    body = form.directory({"ImageList": images})
    path.write_bytes(struct.pack(">I", form.version) + form.size(len(body)) + struct.pack(">I", form.little) + body)
    with path.open("ab") as file:
        file.write(bytes(8))
    return path


def _image(name: str, data: NDArray[Any], calibrations: Sequence[Calibration], tags: Tree) -> Tree:
    axes = [*calibrations, *[Calibration(1.0, "")] * data.ndim][: data.ndim]
    dimensions = [
        {"Origin": np.float32(0), "Scale": np.float32(axis.scale), "Units": axis.units} for axis in reversed(axes)
    ]
    return {
        "ImageData": {
            "Calibrations": {
                "Brightness": {"Origin": np.float32(0), "Scale": np.float32(1), "Units": ""},
                "Dimension": dimensions,
            },
            "Data": data.ravel(),
            "DataType": np.uint32(IMAGE_CODES[data.dtype.name]),
            "Dimensions": [np.uint32(side) for side in reversed(data.shape)],
            "PixelDepth": np.uint32(data.dtype.itemsize),
        },
        "ImageTags": tags,
        "Name": name,
    }
