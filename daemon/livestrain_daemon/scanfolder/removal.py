"""
Taking a scan folder out of the spool, so that a crash at any moment leaves either the whole scan or no scan.

The folder gets a hidden name first: from then on it is no scan. Its files are deleted after that, which takes long
where they are large; what a crash leaves of them is deleted at the next start. A program that has a file open keeps it
until it closes it; so long its space is not free.
"""

import fcntl
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import structlog

from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder import files
from livestrain_daemon.scanfolder.hold import nobody_holding

PREFIX = ".removed-"
"""Begins the name of a folder that is no scan any more and waits to be deleted."""
NAMES_FILE = ".removed"
"""The ids of scans that were deleted, one a line: none of them is given again, because others know it."""
NAMES_KEPT = 10_000
# behind the hidden name of an id that was set aside before; no id has it
_AGAIN = "+"

_log = structlog.get_logger(__name__)


def set_aside(folder: Path) -> Path:
    """
    Make a scan folder none, at once; nothing is written, so that it works on a full disk.

    Returns
    -------
    Path
        Where its files wait for `delete`.

    Raises
    ------
    InUseError
        If somebody writes or exports it.
    StorageError
        If it cannot be renamed; then it is as before.
    """
    aside = folder.with_name(PREFIX + folder.name)
    while aside.exists():
        aside = aside.with_name(aside.name + _AGAIN)
    try:
        with nobody_holding(folder):
            folder.rename(aside)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be removed: {files.reason(error)}") from error
    return aside


def delete(aside: Path) -> "Remains":
    """
    Delete what was set aside; may take seconds.

    Its id is noted when its files are gone: on a full disk there is space for the note only then. Where it cannot be
    noted the empty folder stays, whose name tells the id.

    Returns
    -------
    Remains
        Files that another program has open.

    Raises
    ------
    StorageError
        If something of it cannot be deleted.
    """
    files.sync_folder(aside.parent)
    remains = Remains(_opened(aside))
    try:
        if aside.exists():
            _empty(aside)
            _note(aside)
            aside.rmdir()
    except FileNotFoundError:
        _log.info("a folder that was set aside was deleted by somebody else", folder=str(aside))
    except NotNotedError as error:
        _log.warning("an empty folder keeps the id of a removed scan", folder=str(aside), reason=str(error))
    except OSError as error:
        remains.close()
        raise StorageError(f"{aside}: cannot be deleted: {files.reason(error)}") from error
    remains.look()
    return remains


def leftovers(spool: Path) -> list[Path]:
    """What an earlier daemon has set aside and not deleted."""
    return sorted(path for path in spool.glob(PREFIX + "*") if path.is_dir() and not path.is_symlink())


def removed_names(spool: Path) -> set[str]:
    """The ids of scans that were removed."""
    # first, because a folder is deleted after its id is noted
    found = {_id_of(path) for path in leftovers(spool)}
    with suppress(OSError):
        found.update((spool / NAMES_FILE).read_text(encoding="utf-8", errors="replace").split())
    return found


def forget_oldest_names(spool: Path) -> None:
    """Keep the list of ids from growing for ever; to be done while nothing is removed."""
    path = spool / NAMES_FILE
    if not path.exists():
        return
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        if len(lines) > NAMES_KEPT:
            partial = path.with_name(NAMES_FILE + ".partial")
            partial.unlink(missing_ok=True)
            with partial.open("w", encoding="utf-8") as file:
                file.writelines(lines[-NAMES_KEPT:])
                file.flush()
                files.sync(file.fileno(), partial)
            partial.replace(path)
            files.sync_folder(spool)
    except (OSError, StorageError) as error:
        _log.warning("the list of removed scans stays as long as it is", path=str(path), reason=str(error))


class NotNotedError(Exception):
    """The id of a removed scan could not be noted."""


def _id_of(aside: Path) -> str:
    return aside.name.removeprefix(PREFIX).rstrip(_AGAIN)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _note(aside: Path) -> None:
    """Add an id to the list, so that a loss of power does not take it away."""
    path = aside.with_name(NAMES_FILE)
    try:
        descriptor = files.open_file(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    except StorageError as error:
        raise NotNotedError(str(error)) from error
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        data = b"\n" * torn + _id_of(aside).encode() + b"\n"
        if os.write(descriptor, data) != len(data):
            os.ftruncate(descriptor, size)
            raise NotNotedError(f"{path}: no space is left")
        files.sync(descriptor, path)
        files.sync_folder(path.parent)
    except (OSError, StorageError) as error:
        raise NotNotedError(f"{path}: {error}") from error
    finally:
        os.close(descriptor)


class Remains:
    """
    Deleted files that another program still has open: their space becomes free when it closes them.

    Parameters
    ----------
    descriptors
        Of the files; closed here.
    """

    def __init__(self, descriptors: Iterable[int]) -> None:
        self._descriptors = list(descriptors)

    @property
    def size_bytes(self) -> int:
        """What is not free yet."""
        return sum(os.fstat(descriptor).st_blocks * 512 for descriptor in self._descriptors)

    def look(self) -> None:
        """Let go of what nobody else has open any more."""
        for descriptor in [one for one in self._descriptors if not _open_elsewhere(one)]:
            self._descriptors.remove(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        """Let go of everything."""
        while self._descriptors:
            os.close(self._descriptors.pop())


def _opened(folder: Path) -> list[int]:
    found = []
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and not path.is_symlink():
                found.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
    return found


def _open_elsewhere(descriptor: int) -> bool:
    """A write lease is only given for a file that nobody else has open."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except BlockingIOError:
        return True
    except OSError:
        # not every file system tells
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
