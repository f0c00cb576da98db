"""How frames lie in a dataset of HDF5."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from livestrain_recordings.hdf5_facts import is_turned

Reading = Callable[[Any], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Stored:
    """A dataset with the axes in our order."""

    shape: tuple[int, ...]
    """(scan_rows, scan_columns, rows, columns), or (frames, rows, columns), or of none of these forms."""
    chunks: tuple[int, ...]
    """Of the axes of the scan."""
    turned: Callable[[Reading, Any], NDArray[Any]]
    """A piece of it by slices of the axes of the scan, from what reads slices of the dataset."""


def stored(dataset: Any) -> Stored:
    """
    The axes of a dataset in our order.

    Of five axes the third may be one of channels, if there is only one.
    """
    shape = dataset.shape
    chunks = dataset.chunks or (1,) * len(shape)
    if len(shape) == 5 and shape[2] == 1:
        return Stored((*shape[:2], *shape[3:]), chunks[:2], lambda read, piece: read((piece[0], piece[1], 0)))
    if len(shape) == 4 and is_turned(dataset):
        every = slice(None)
        return Stored(shape[::-1], chunks[:1:-1], lambda read, piece: read((every, every, piece[1], piece[0])).T)
    return Stored(shape, chunks[:-2], lambda read, piece: read(piece))
