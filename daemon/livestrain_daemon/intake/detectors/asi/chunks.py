"""Sparse frames to dense ones."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.intake.detectors.asi.errors import WrongMessage
from livestrain_daemon.intake.detectors.asi.tpx3 import WIDEST, AcquisitionStart, Chunk

BLOCK_BYTES = 1 << 22
"""A block of dense frames grows no further than this, unless it is a single frame."""

Counts = NDArray[Any]
"""(frames, rows, columns), little-endian."""


def dense_frames(
    start: AcquisitionStart, chunk: Chunk, body: memoryview, dtype: np.dtype[Any]
) -> Iterator[tuple[Counts, int]]:
    """
    The frames of a chunk, in blocks, and how many of each block have counts that the type cannot hold.

    Parameters
    ----------
    start
        Of the acquisition.
    chunk
        What its header says.
    body
        What follows it.
    dtype
        Of the dense counts; larger ones become the largest one: where there is none wider, and where a pixel is listed
        more than once.

    Raises
    ------
    WrongMessage
        Before the first block, if the chunk contradicts itself, or has counts for which the type is too narrow.
    """
    pointers = np.frombuffer(body, start.pointers, chunk.frames + 1)
    indices = np.frombuffer(body, start.indices, chunk.length, chunk.indices_offset)
    values = np.frombuffer(body, chunk.values, chunk.length, chunk.values_offset)
    _check(start, chunk, pointers, indices)
    _check_counts(values, dtype)
    bounds = pointers.astype(np.int64)
    at_once = max(BLOCK_BYTES // (start.pixels * dtype.itemsize), 1)
    return (
        _block(start, bounds[first : first + at_once + 1], indices, values, dtype)
        for first in range(0, chunk.frames, at_once)
    )


def _check(start: AcquisitionStart, chunk: Chunk, pointers: NDArray[Any], indices: NDArray[Any]) -> None:
    if pointers[0] != 0 or pointers[-1] != chunk.length or (pointers[1:] < pointers[:-1]).any():
        text = f"expected {chunk.frames} frames to begin in order from 0 to {chunk.length}, found {pointers[:6]}..."
        raise WrongMessage("bad_encoding", text)
    if chunk.length and (largest := int(indices.max())) >= start.pixels:
        raise WrongMessage("bad_encoding", f"expected pixels 0 to {start.pixels - 1} in a frame, found {largest}")


def _check_counts(values: NDArray[Any], dtype: np.dtype[Any]) -> None:
    if dtype == WIDEST or values.dtype.itemsize <= dtype.itemsize or not len(values):
        return
    if (largest := int(values.max())) > np.iinfo(dtype).max:
        raise WrongMessage("wrong_dtype", f"expected counts that {dtype.name} can hold, found {largest}")


def _block(
    start: AcquisitionStart,
    bounds: NDArray[np.int64],
    indices: NDArray[Any],
    values: NDArray[Any],
    dtype: np.dtype[Any],
) -> tuple[Counts, int]:
    frames = len(bounds) - 1
    block = np.zeros((frames, *start.frame_shape), dtype)
    first, last = int(bounds[0]), int(bounds[-1])
    places = np.repeat(np.arange(frames, dtype=np.int64) * start.pixels, np.diff(bounds))
    places += indices[first:last].astype(np.int64)
    counts = values[first:last]
    if not (places[1:] > places[:-1]).all():
        # a pixel that is listed twice has both
        sums = np.bincount(places, counts)
        places = np.flatnonzero(sums)
        counts = sums[places]
    elif counts.dtype.itemsize <= dtype.itemsize:
        block.reshape(-1)[places] = counts
        return block, 0
    largest = np.iinfo(dtype).max
    block.reshape(-1)[places] = np.minimum(counts, largest)
    return block, len(np.unique(places[counts > largest] // start.pixels))
