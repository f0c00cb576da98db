"""Chunks of HDF5 are looked at before the library unpacks them: its filters trust what a file says of lengths."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import h5py

from livestrain_recordings.recording import LARGEST_CHUNK_BYTES
from livestrain_wire import bslz4
from livestrain_wire.errors import WrongLength

BITSHUFFLE = 32008
CHECKSUM = h5py.h5z.FILTER_FLETCHER32
UNPACKED, LZ4, ZSTD = 0, 2, 3
PACKINGS = {UNPACKED, LZ4, ZSTD}
"""What bitshuffle can put behind itself."""

Look = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Filter:
    """One step of how chunks are packed."""

    code: int
    """HDF5's number for it."""
    values: tuple[int, ...]
    """Its parameters."""


def look_of(dataset: Any) -> Look | None:
    """
    What looks at the chunks that slices of a dataset need, before they are unpacked; None: they need no look.

    Raises
    ------
    OSError
        If a chunk is too large, or is packed in a way that makes no sense. The look raises it for a damaged chunk.
    """
    filters = _filters(dataset)
    _check_filters(dataset, filters)
    # only bitshuffle is known to follow a wrong length wherever it leads
    if not filters or filters[-1].code != BITSHUFFLE or filters[-1].values[4:5] in {(), (UNPACKED,)}:
        return None

    def look(index: Any) -> None:
        for place in _places(dataset, index):
            _check_chunk(dataset, place, len(filters) - 1)

    return look


def extents(shape: tuple[int, ...], index: Any) -> list[tuple[int, int]]:
    """Where what slices or numbers take along each axis begins, and where it has ended."""
    items = index if isinstance(index, tuple) else (index,)
    found = []
    for axis, side in enumerate(shape):
        item = items[axis] if axis < len(items) else slice(None)
        found.append(item.indices(side)[:2] if isinstance(item, slice) else (item, item + 1))
    return found


def _filters(dataset: Any) -> list[Filter]:
    plan = dataset.id.get_create_plist()
    found = [plan.get_filter(number) for number in range(plan.get_nfilters())]
    return [Filter(one[0], tuple(one[2])) for one in found]


def _check_filters(dataset: Any, filters: list[Filter]) -> None:
    chunk_bytes = prod(dataset.chunks or ()) * dataset.dtype.itemsize
    if chunk_bytes > LARGEST_CHUNK_BYTES:
        raise OSError(f"expected chunks of at most {LARGEST_CHUNK_BYTES} bytes, found {chunk_bytes}")
    for number, one in enumerate(filters):
        if one.code != BITSHUFFLE:
            continue
        if any(other.code != CHECKSUM for other in filters[number + 1 :]):
            raise OSError(f"expected bitshuffle as the last filter, found {[other.code for other in filters]}")
        item, block, packing = (*one.values, 0, 0, 0, 0, 0)[2:5]
        sensible = block % bslz4.MULTIPLE == 0 and block * item <= bslz4.LARGEST_BLOCK_BYTES
        if item != dataset.dtype.itemsize or packing not in PACKINGS or not sensible:
            raise OSError(
                f"expected bitshuffle of {dataset.dtype.itemsize} bytes a pixel, found {item} bytes, blocks of {block} "
                f"and packing {packing}"
            )


def _places(dataset: Any, index: Any) -> Iterator[tuple[int, ...]]:
    """Where the chunks begin that slices of the axes need."""
    needed = zip(extents(dataset.shape, index), dataset.chunks, strict=True)
    return product(*(range(first // step * step, end, step) for (first, end), step in needed))


def _check_chunk(dataset: Any, place: tuple[int, ...], outermost: int) -> None:
    try:
        passed_over, packed = dataset.id.read_direct_chunk(place)
    except (OSError, RuntimeError):
        # never written: all fill values; what else can be wrong, reading itself finds out without unpacking
        return
    if passed_over >> outermost & 1:
        return
    try:
        bslz4.block_pixels(memoryview(packed), prod(dataset.chunks) * dataset.dtype.itemsize, dataset.dtype.itemsize)
    except WrongLength as error:
        raise OSError(f"chunk at {place}: {error}") from error
