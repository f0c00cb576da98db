"""The list of a scan whose frames come in an order of their own: the position of each."""

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.errors import NotAScan
from livestrain_daemon.scanfolder.files import published

Table: TypeAlias = NDArray[np.uint32]
"""(frames,) the flat position of every frame."""

POSITIONS_FILE = "positions.npy"


def write_positions(folder: Path, table: Table) -> None:
    """Keep the list in a scan's folder."""
    with published(folder / POSITIONS_FILE) as partial, partial.open("wb") as file:
        np.save(file, table)


def read_positions(folder: Path) -> Table:
    """
    The list of a scan.

    Raises
    ------
    NotAScan
        If there is none.
    """
    path = folder / POSITIONS_FILE
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise NotAScan(f"{path}: expected the position of every frame, found {error!s:.200}") from error
    if table.ndim != 1 or table.dtype != np.uint32:
        raise NotAScan(f"{path}: expected uint32 (frames,), found {table.dtype} {table.shape}")
    positions: Table = table
    return positions
