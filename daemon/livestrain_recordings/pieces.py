"""How a large array is walked through, a bounded piece at a time."""

from collections.abc import Iterator

READ_BYTES = 16 << 20
"""Pixels read at a time, unless a chunk is larger [bytes]."""
SLAB_BYTES = 128 << 20
"""Pixels read at a time at most [bytes]."""


def pieces(shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int) -> Iterator[tuple[slice, ...]]:
    """Slices of the first axes that walk over all frames in order, in whole chunks as far as memory allows."""
    frame_bytes = shape[-2] * shape[-1] * itemsize
    if len(shape) == 3:
        step = _step(chunks[0], frame_bytes)
        yield from ((slice(first, min(first + step, shape[0])),) for first in range(0, shape[0], step))
        return
    row_bytes = shape[1] * frame_bytes
    if row_bytes <= SLAB_BYTES:
        step = _step(chunks[0], row_bytes)
        yield from ((slice(first, min(first + step, shape[0])), slice(None)) for first in range(0, shape[0], step))
        return
    step = _step(chunks[1], frame_bytes)
    for row in range(shape[0]):
        for first in range(0, shape[1], step):
            yield slice(row, row + 1), slice(first, min(first + step, shape[1]))


def _step(chunk: int, unit_bytes: int) -> int:
    """How many units to read at once: about `READ_BYTES`, in whole chunks, and never more than `SLAB_BYTES`."""
    wanted = max(1, READ_BYTES // max(1, unit_bytes))
    whole = max(chunk, wanted // chunk * chunk)
    return max(1, min(whole, SLAB_BYTES // max(1, unit_bytes)))
