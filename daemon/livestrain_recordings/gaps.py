"""Frames for which a dataset of HDF5 has room but no values: the library gives fill values for them."""

from dataclasses import dataclass, field
from math import prod
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.selections import Along, Part

MOST_MARKS = 1 << 28
"""Frames times the places within a frame that are filled one by one."""
Absent = NDArray[np.bool_]
"""Along all axes but the last two, which are those of a frame."""


def never_written(dataset: Any) -> Absent | None:
    """Frames of which a chunk is nowhere in the file; None: there are none."""
    if dataset.external or dataset.size == 0:
        return None
    scan = dataset.shape[:-2]
    if dataset.chunks is None:
        there = dataset.id.get_space_status() != h5py.h5d.SPACE_STATUS_NOT_ALLOCATED
        return None if there else np.ones(_checked(scan), np.bool_)
    grid = tuple(-(-side // step) for side, step in zip(dataset.shape, dataset.chunks, strict=True))
    if dataset.id.get_num_chunks() >= prod(grid):
        return None
    found = np.zeros(_checked(grid), np.bool_)

    def keep(chunk: Any) -> None:
        found[tuple(at // step for at, step in zip(chunk.chunk_offset, dataset.chunks, strict=True))] = True

    dataset.id.chunk_iter(keep)
    absent: Absent = ~np.asarray(found.all(axis=(-2, -1)))
    for axis, (side, step) in enumerate(zip(scan, dataset.chunks, strict=False)):
        absent = absent.repeat(step, axis=axis).take(range(side), axis=axis)
    return absent


@dataclass(slots=True)
class Cover:
    """What the sources of a virtual dataset cover."""

    shape: tuple[int, ...]
    _marks: dict[tuple[tuple[Along, int], ...], NDArray[np.bool_]] = field(default_factory=dict)
    """For each place within a frame, the frames that have values there."""

    def add(self, part: Part, sides: tuple[int, ...], lost: NDArray[np.bool_] | None) -> None:
        """
        Note a part that a source covers.

        Parameters
        ----------
        part
            Of the virtual dataset.
        sides
            How many values along each axis.
        lost
            Frames that the source itself does not have, in their order; None: it has all.
        """
        place = tuple(zip(part[-2:], sides[-2:], strict=True))
        if place not in self._marks:
            if (len(self._marks) + 1) * prod(self.shape[:-2]) > MOST_MARKS:
                raise OSError(f"expected frames of few parts in a virtual dataset, found {len(self._marks) + 1}")
            self._marks[place] = np.zeros(self.shape[:-2], np.bool_)
        where = np.ix_(*(one.indices(side) for one, side in zip(part[:-2], sides[:-2], strict=True)))
        there = np.ones(sides[:-2], np.bool_)
        if lost is not None:
            there = ~lost[: there.size].reshape(there.shape)
        self._marks[place][where] |= there

    def absent(self) -> Absent | None:
        """Frames of which a pixel is covered by no source; None: there are none."""
        marks = [mark.ravel() for mark in self._marks.values()]
        if not marks:
            return np.ones(self.shape[:-2], np.bool_)
        # most often all frames have their values from the same places
        kinds, kind_of = np.unique(np.stack(marks), axis=1, return_inverse=True) if len(marks) > 1 else _two(marks[0])
        whole = np.array([self._whole(kind) for kind in kinds.T])
        absent: Absent = ~whole[kind_of.ravel()].reshape(self.shape[:-2])
        return absent if absent.any() else None

    def _whole(self, kind: NDArray[np.bool_]) -> bool:
        rows, columns = self.shape[-2:]
        filled = np.zeros((rows, columns), np.bool_)
        for place, there in zip(self._marks, kind, strict=True):
            if there:
                filled[np.ix_(*(one.indices(side) for one, side in place))] = True
        return bool(filled.all())


def _two(mark: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    return np.array([[False, True]]), mark.astype(np.intp)


def _checked(shape: tuple[int, ...]) -> tuple[int, ...]:
    if prod(shape) > MOST_MARKS:
        raise OSError(f"expected at most {MOST_MARKS} chunks or frames where some were never written, found {shape}")
    return shape
