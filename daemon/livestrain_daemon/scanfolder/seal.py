"""
A checksum over everything in a file that never changes, written behind its end.

HDF5 may hang or end the process where its own structures are damaged, so they are checked before it reads them. It
ignores what lies behind the end of its data, and removes it when somebody changes the file later: a file without a
seal is read as it is.
"""

import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64

from livestrain_daemon.errors import NotAScan
from livestrain_daemon.scanfolder import files

Extent = tuple[int, int]
"""Offset and length of something that is written later [bytes]."""

_MAGIC = b"livestr1"
_TAIL = struct.Struct("<QQ8s")


def write_seal(path: Path, changing: Sequence[Extent]) -> None:
    """
    Seal a file.

    Parameters
    ----------
    changing
        What may change and is left out.
    """
    table = np.array(sorted(changing), dtype="<u8").reshape(-1, 2)
    descriptor = files.open_file(path, os.O_RDWR)
    try:
        size = os.fstat(descriptor).st_size
        tail = _TAIL.pack(len(table), _digest(descriptor, path, table, size), _MAGIC)
        files.write_at(descriptor, memoryview(table.tobytes() + tail), size, path)
    finally:
        os.close(descriptor)


def check_seal(path: Path) -> None:
    """
    Raise for a file that is not as it was sealed; one that another program is changing is left to it.

    Raises
    ------
    NotAScan
        If its structure has changed.
    OSError
        If it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _is_being_changed(descriptor):
            return
        end = os.fstat(descriptor).st_size - _TAIL.size
        tail = os.pread(descriptor, _TAIL.size, end) if end > 0 else b""
        if not tail.endswith(_MAGIC):
            return
        length, expected, _ = _TAIL.unpack(tail)
        size = end - 16 * length
        table = np.frombuffer(os.pread(descriptor, 16 * length, size) if size > 0 else b"", "<u8").reshape(-1, 2)
        if len(table) != length or _digest(descriptor, path, table, size) != expected:
            raise NotAScan(f"{path}: is damaged: its structure does not have the checksum that it was made with")
    finally:
        os.close(descriptor)


def _is_being_changed(descriptor: int) -> bool:
    """Whether HDF5 has the file open for writing; the lock taken to find out goes with the descriptor."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def _digest(descriptor: int, path: Path, table: npt.NDArray[np.uint64], size: int) -> int:
    sums = xxh3_64(table.tobytes())
    for start, end in _between(table.tolist(), size):
        piece = memoryview(bytearray(end - start))
        files.read_at(descriptor, piece, start, path)
        sums.update(piece)
    return int(sums.intdigest())


def _between(extents: Sequence[Sequence[int]], size: int) -> Iterator[tuple[int, int]]:
    """Start and end of what lies between extents and the end."""
    start = 0
    for offset, length in extents:
        if not start <= offset <= offset + length <= size:
            # a damaged table; the rest, whatever it is, cannot have the right checksum
            return
        if offset > start:
            yield start, offset
        start = offset + length
    if size > start:
        yield start, size
