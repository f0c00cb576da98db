"""Frames in ``.npy`` files."""

import io
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from livestrain_recordings.recording import LONGEST_TEXT, Recording, by_number, checked_shape, given_type

LARGEST_HEADER = 1 << 16
"""[bytes]"""
NAME = "array"


def open_npy(path: Path) -> Recording:
    """Frames of a stored array; errors as `livestrain_recordings.opening.open_recording`."""
    with path.open("rb") as file:
        try:
            shape, fortran, dtype, offset = _header(file)
        except (ValueError, TypeError, SyntaxError, TokenError, RecursionError, MemoryError) as error:
            # numpy reads the header as Python
            text = " ".join(str(error).split())[:LONGEST_TEXT]
            raise OSError(f"{path}: not a readable .npy file: {text}") from error
    if dtype.hasobject:
        raise OSError(f"{path}: not a readable .npy file: expected numbers, found objects of Python, which are refused")
    shape = checked_shape(path, NAME, shape)
    given = given_type(path, NAME, dtype)
    expected, found = prod(shape) * dtype.itemsize, path.stat().st_size - offset
    if found < expected:
        raise OSError(
            f"{path}: not a readable .npy file: expected {expected} bytes of pixels of shape {shape}, found {found}"
        )
    chunks = (1,) * (len(shape) - 2)
    if fortran:
        mapped = np.memmap(path, dtype, "r", offset, shape, "F")
        return Recording(path, NAME, shape, given, mapped.__getitem__, chunks)
    frame = shape[-2] * shape[-1]

    def frames(first: int, count: int) -> NDArray[Any]:
        # a file that shrinks while it is read is an error here, and would kill the process if it were mapped
        values = np.fromfile(path, dtype, count * frame, offset=offset + first * frame * dtype.itemsize)
        if len(values) != count * frame:
            raise OSError(f"expected {count * frame} pixels, found {len(values)}")
        return values

    return Recording(path, NAME, shape, given, by_number(shape, frames), chunks)


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether it is stored column by column, type, and where the pixels begin."""
    # a length in the file decides about no more than this
    begin = io.BytesIO(file.read(LARGEST_HEADER))
    version = npy_format.read_magic(begin)
    readers = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"expected version 1.0 or 2.0 of the format, found {version[0]}.{version[1]}")
    shape, fortran, dtype = readers[version](begin)
    if not all(0 <= side < 1 << 62 for side in shape):
        raise ValueError(f"expected a shape, found {shape!s:.60}")
    return shape, fortran, dtype, begin.tell()
