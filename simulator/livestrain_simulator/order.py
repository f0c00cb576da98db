"""The order in which a scan's frames are taken: which scan position each frame number belongs to."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]

FLYBACK = -1
"""Stands for the position of a flyback frame."""


def acquisition(
    scan_shape: tuple[int, int], order: Literal["raster", "serpentine"] = "raster", flyback_frames: int = 0
) -> Positions:
    """
    The flat scan position of each frame, in the order of acquisition.

    Parameters
    ----------
    scan_shape
        Scan positions (rows, columns).
    order
        Serpentine turns every second row round.
    flyback_frames
        Frames after each scan row that belong to no position.

    Returns
    -------
    (frames,)
        Flat positions; `FLYBACK` where a frame belongs to none.
    """
    rows, columns = scan_shape
    positions = np.full((rows, columns + flyback_frames), FLYBACK, np.int64)
    positions[:, :columns] = np.arange(rows * columns).reshape(rows, columns)
    if order == "serpentine":
        positions[1::2, :columns] = positions[1::2, :columns][:, ::-1].copy()
    return positions.reshape(-1)


def shuffled(scan_shape: tuple[int, int], seed: int) -> Positions:
    """Every position once, in a random order that the seed decides: for scans with explicit positions."""
    return np.random.default_rng(seed).permutation(scan_shape[0] * scan_shape[1]).astype(np.int64)
