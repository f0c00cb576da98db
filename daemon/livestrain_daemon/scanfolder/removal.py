"""
Taking a scan folder out of the spool, so that a crash at any moment leaves either the whole scan or no scan.

The folder gets a hidden name first: from then on it is no scan. Its files are deleted after that, which takes long
where they are large; what a crash leaves of them is deleted at the next start. A program that has a file open keeps it
until it closes it; so long its space is not free.
"""

import fcntl
import os
import shutil
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder import files

PREFIX = ".removed-"
"""Begins the name of a folder that is no scan any more and waits to be deleted."""
NAMES_FILE = ".removed"
"""The ids of scans that were removed, one a line: none of them is given again, because others know it."""
NAMES_KEPT = 10_000


def set_aside(folder: Path) -> Path:
    """
    Make a scan folder none, at once.

    Returns
    -------
    Path
        Where its files wait for `delete`.

    Raises
    ------
    StorageError
        If it cannot be renamed, or its id cannot be noted; then it is as before.
    """
    aside = folder.with_name(PREFIX + folder.name)
    while aside.exists():
        aside = aside.with_name(aside.name + "+")
    names = folder.with_name(NAMES_FILE)
    try:
        with names.open("a", encoding="utf-8") as file:
            file.write(folder.name + "\n")
        folder.rename(aside)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be removed: {files.reason(error)}") from error
    return aside


def delete(aside: Path) -> "Remains":
    """
    Delete what was set aside; may take seconds.

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
        shutil.rmtree(aside)
    except FileNotFoundError:
        pass
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
    with suppress(OSError):
        return set((spool / NAMES_FILE).read_text(encoding="utf-8", errors="replace").split())
    return set()


def forget_oldest_names(spool: Path) -> None:
    """Keep the list of ids from growing for ever; to be done while nothing is removed."""
    path = spool / NAMES_FILE
    with suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as file:
        kept: deque[str] = deque(file, maxlen=NAMES_KEPT)
        partial = path.with_name(NAMES_FILE + ".partial")
        partial.write_text("".join(kept), encoding="utf-8")
        partial.replace(path)


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
