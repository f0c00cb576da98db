"""Raw file access: positioned reads and writes that are whole or fail, reserved space, durable renames."""

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt
import structlog

from livestrain_daemon.errors import StorageError

ALIGNMENT = 4096
"""Every dataset starts at a multiple of it [bytes]."""

Buffer = memoryview | npt.NDArray[Any]

_log = structlog.get_logger(__name__)
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def write_at(descriptor: int, data: memoryview, offset: int, path: Path) -> None:
    """
    All of the bytes, at this offset.

    Parameters
    ----------
    data
        Contiguous, of format "B".
    path
        Named in the error.

    Raises
    ------
    StorageError
        If there is no space, or the disk fails.
    """
    try:
        done = os.pwrite(descriptor, data, offset)
        while done < len(data):
            # the kernel writes less than asked beyond 2 GiB and at the edge of a full disk
            done += os.pwrite(descriptor, data[done:], offset + done)
    except OSError as error:
        raise StorageError(f"{path}: writing {len(data)} bytes at {offset} failed: {reason(error)}") from error


def read_at(descriptor: int, into: memoryview, offset: int, path: Path) -> None:
    """
    As many bytes as the buffer holds, from this offset.

    Raises
    ------
    StorageError
        If the file ends before, or the disk fails.
    """
    try:
        done = os.preadv(descriptor, (into,), offset)
        while done < len(into):
            more = os.preadv(descriptor, (into[done:],), offset + done)
            if more == 0:
                raise StorageError(f"{path}: expected {len(into)} bytes at {offset}, the file ends after {done}")
            done += more
    except OSError as error:
        raise StorageError(f"{path}: reading {len(into)} bytes at {offset} failed: {reason(error)}") from error


def reason(error: OSError) -> str:
    """What the system says of an error, in a few words."""
    return error.strerror or str(error)


def open_file(path: Path, flags: int) -> int:
    """
    A descriptor that children do not inherit.

    Raises
    ------
    StorageError
        If the file cannot be opened.
    """
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageError(f"{path}: cannot be opened: {reason(error)}") from error


def open_shared(path: Path, flags: int) -> int:
    """
    A descriptor that holds a shared lock: while it is open, HDF5 opens the file for reading only.

    Raises
    ------
    StorageError
        If the file cannot be opened, or somebody has it open for writing through HDF5.
    """
    descriptor = open_file(path, flags)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StorageError(f"{path}: is open for writing in another program: {reason(error)}") from error
    return descriptor


def free_bytes(folder: Path) -> int:
    """Space that an ordinary user may still fill on the disk of this folder [bytes]."""
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize


def require_space(folder: Path, needed: int, what: str) -> None:
    """
    Refuse what cannot fit.

    Raises
    ------
    StorageError
        With the numbers.
    """
    try:
        free = free_bytes(folder)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be used: {reason(error)}") from error
    if needed > free:
        raise StorageError(f"{what} needs {needed} bytes ({needed / 1e9:.3g} GB), {folder} has {free} free")


def reserve(path: Path) -> bool:
    """
    Reserve the space of a file with fallocate(2), so that no later write finds the disk full.

    Returns
    -------
    bool
        False where the file system cannot do it.

    Raises
    ------
    StorageError
        With the numbers, if there is not enough space.
    """
    descriptor = open_file(path, os.O_RDWR)
    try:
        size = os.fstat(descriptor).st_size
        # posix_fallocate would write the whole file where the file system cannot reserve
        while _libc.fallocate(descriptor, 0, 0, size) != 0:
            number = ctypes.get_errno()
            if number in {errno.EOPNOTSUPP, errno.ENOSYS}:
                return False
            if number != errno.EINTR:
                free = free_bytes(path.parent)
                raise StorageError(f"{path} needs {size} bytes, {path.parent} has {free} free: {os.strerror(number)}")
    finally:
        os.close(descriptor)
    return True


def try_size(path: Path, size: int) -> None:
    """
    Find out whether a new file can get so large; it is removed again.

    Raises
    ------
    StorageError
        With the numbers, if it cannot.
    """
    descriptor = open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        os.ftruncate(descriptor, size)
        reserve(path)
    except OSError as error:
        raise StorageError(f"{path.parent}: a file of {size} bytes cannot be made: {reason(error)}") from error
    finally:
        os.close(descriptor)
        path.unlink()


def sync(descriptor: int, path: Path) -> None:
    """
    Force the content of a file to the disk.

    Raises
    ------
    StorageError
        If the disk fails; what was written since the last success may be lost.
    """
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        raise StorageError(f"{path}: could not be forced to the disk: {reason(error)}") from error


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """
    A path to make a file at, which gets its real name only when it is whole and on the disk.

    Raises
    ------
    StorageError
        If the file exists already, or could not be made; then nothing is left of it.
    """
    if path.exists():
        raise StorageError(f"{path}: exists already")
    partial = path.with_name(path.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        yield partial
        descriptor = os.open(partial, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.rename(path)
        sync_folder(path.parent)
    except BaseException as error:
        _remove(partial)
        if isinstance(error, OSError):
            raise StorageError(f"{path}: cannot be made: {reason(error)}") from error
        raise


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("a half-made file could not be removed", path=str(path), reason=reason(error))


def bytes_of(array: Buffer) -> memoryview:
    """
    The bytes of a contiguous array, without copying.

    Raises
    ------
    TypeError
        If it is not contiguous.
    """
    return (array if isinstance(array, memoryview) else array.data).cast("B")
