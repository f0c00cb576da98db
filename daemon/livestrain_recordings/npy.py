"""Frames in ``.npy`` files."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.errors import NoFrames
from livestrain_recordings.recording import Recording, given_type


def open_npy(path: Path) -> Recording:
    """Frames of a stored array; errors as `livestrain_recordings.opening.open_recording`."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise OSError(f"{path}: not a readable .npy file: {error}") from error
    if array.ndim not in (3, 4) or not array.size:
        raise NoFrames(f"{path}: expected (scan_rows, scan_columns, rows, columns), found {array.shape}")

    def read(piece: Any) -> NDArray[Any]:
        return np.asarray(array[piece])

    return Recording(path, "array", array.shape, given_type(path, "array", array.dtype), read, (1,) * (array.ndim - 2))
