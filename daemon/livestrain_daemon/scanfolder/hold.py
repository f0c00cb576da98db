"""A scan folder that must not be removed while somebody works on it: a shared lock on it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import finalize

import structlog

from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder import files

_log = structlog.get_logger(__name__)


class InUseError(StorageError):
    """A scan that somebody writes or exports."""


def hold(folder: Path) -> int:
    """
    Keep a scan folder from being removed.

    Returns
    -------
    int
        A descriptor; it is held until that is closed.

    Raises
    ------
    StorageError
        If it is not there, or is being removed.
    """
    descriptor = files.open_file(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StorageError(f"{folder}: is being removed") from error
    except OSError as error:
        # not every file system has locks
        _log.warning("a scan cannot be kept from being removed", folder=str(folder), reason=files.reason(error))
    if not _is_still(folder, descriptor):
        os.close(descriptor)
        raise StorageError(f"{folder}: has been removed")
    return descriptor


class Held:
    """
    A scan folder that is held until the end of a ``with`` block, `release`, or as long as there is this object.

    Parameters
    ----------
    folder
        Of the scan.

    Raises
    ------
    StorageError
        If it is not there, or is being removed.
    """

    def __init__(self, folder: Path) -> None:
        self._let_go = finalize(self, os.close, hold(folder))

    def release(self) -> None:
        """It may be removed from now on."""
        self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@contextmanager
def nobody_holding(folder: Path) -> Iterator[None]:
    """
    Keep everybody from holding a scan folder.

    Raises
    ------
    InUseError
        If somebody holds it.
    StorageError
        If it is not there.
    """
    descriptor = files.open_file(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock_out(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock_out(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InUseError(f"{folder}: is being written or exported") from error
    except OSError as error:
        _log.warning("whether a scan is in use cannot be known", folder=str(folder), reason=files.reason(error))


def _is_still(folder: Path, descriptor: int) -> bool:
    """Whether the folder that was opened still has its name."""
    with suppress(OSError):
        return os.path.samestat(os.stat(folder), os.fstat(descriptor))
    return False
