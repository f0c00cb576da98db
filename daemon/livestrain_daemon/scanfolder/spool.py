"""The folder that all scans of a daemon live in."""

import ctypes
import fcntl
import json
import os
import re
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from livestrain_daemon.errors import NotAScan, StorageError, Unavailable
from livestrain_daemon.scanfolder import files
from livestrain_daemon.scanfolder.journal import JOURNAL_FILE, read_journal
from livestrain_daemon.scanfolder.layout import FRAMES_FILE
from livestrain_daemon.scanfolder.removal import removed_names

LOCK_FILE = ".lock"

# names of folders: those of the protocol, and the same with a number behind
_SCAN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_NOT_LOCAL = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB",
    0x65735546: "FUSE",
}

_log = structlog.get_logger(__name__)
_libc = ctypes.CDLL(None, use_errno=True)


class Spool:
    """
    The folder of all scans, made if needed, locked for one daemon.

    Parameters
    ----------
    lock
        False for a child of the daemon that holds the lock.

    Raises
    ------
    StorageError
        If the folder is not writable, or not on a local file system.
    Unavailable
        If another daemon uses it; names its process.
    """

    def __init__(self, folder: Path, *, lock: bool = True) -> None:
        self.folder = folder.absolute()
        self._used: set[str] = set()
        self._lock = -1
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{self.folder}: cannot be made: {files.reason(error)}") from error
        kind = not_local(file_system_type(self.folder))
        if kind:
            raise StorageError(f"{self.folder}: is on {kind}; scans need a local disk")
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise StorageError(f"{self.folder}: is not writable")
        if lock:
            self._lock = _locked(self.folder / LOCK_FILE)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The same as the constructor."""
        return cls(folder)

    @classmethod
    def joined(cls, folder: Path) -> Self:
        """The same folder in a child of the daemon that holds the lock."""
        return cls(folder, lock=False)

    @property
    def lock_fd(self) -> int:
        """The descriptor of the lock, made inheritable: a child that keeps it keeps other daemons out, too."""
        os.set_inheritable(self._lock, True)
        return self._lock

    def folder_of(self, scan_id: str) -> Path:
        """
        Where a scan is, or would be.

        Raises
        ------
        StorageError
            If the id cannot be the name of a folder.
        """
        if not _SCAN_ID.fullmatch(scan_id):
            raise StorageError(f"{scan_id!r:.100} cannot be the name of a scan folder")
        return self.folder / scan_id

    def new_folder(self, scan_id: str) -> Path:
        """
        A new, empty folder for a scan; with -2, -3, ... behind its name if there is a scan of that id already.

        Raises
        ------
        StorageError
            If it cannot be made.
        """
        taken = self._used | removed_names(self.folder)
        for number in count(1):
            folder = self.folder_of(scan_id if number == 1 else f"{scan_id}-{number}")
            if folder.name in taken:
                continue
            try:
                folder.mkdir()
                files.sync_folder(self.folder)
            except FileExistsError:
                if not _is_empty(folder):
                    continue
            except OSError as error:
                raise StorageError(f"{folder}: cannot be made: {files.reason(error)}") from error
            return folder
        raise AssertionError("unreachable")

    def remember(self, folder: Path) -> None:
        """A scan has been made there: even if it is deleted, its name is not given again, because others know it."""
        self._used.add(folder.name)

    def is_taken(self, scan_id: str) -> bool:
        """
        Whether a scan has this id, or had it.

        Raises
        ------
        StorageError
            If the id cannot be the name of a folder.
        """
        folder = self.folder_of(scan_id)
        return folder.exists() or folder.name in self._used | removed_names(self.folder)

    def scans(self) -> list[str]:
        """The ids of all scans that have frames, newest first."""
        entries = (entry for entry in self.folder.iterdir() if _SCAN_ID.fullmatch(entry.name))
        found = [entry for entry in entries if (entry / FRAMES_FILE).is_file()]
        return [entry.name for entry in sorted(found, key=_began_ns, reverse=True)]

    def unfinished(self) -> Path | None:
        """The newest scan whose journal does not tell of its end, if any."""
        for scan_id in self.scans():
            folder = self.folder / scan_id
            try:
                ended = any(line["kind"] == "scan_ended" for line in read_journal(folder))
            except NotAScan as error:
                _log.warning("a scan with a damaged journal was left alone", folder=str(folder), reason=str(error))
                continue
            if not ended:
                return folder
        return None

    def free_bytes(self) -> int:
        """Space that is left on its disk [bytes]."""
        return files.free_bytes(self.folder)

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _locked(path: Path) -> int:
    descriptor = files.open_file(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise Unavailable(f"{path.parent}: is used by another daemon, process {owner}") from error
    except OSError as error:
        os.close(descriptor)
        raise StorageError(f"{path}: cannot be locked: {files.reason(error)}") from error
    return descriptor


def _is_empty(folder: Path) -> bool:
    """Whether nothing but half-made files is in a folder."""
    try:
        return all(entry.name.endswith(".partial") for entry in folder.iterdir())
    except OSError:
        return False


def _began_ns(folder: Path) -> int:
    """When a scan began: by the first line of its journal, else by its file [UTC ns]."""
    with suppress(OSError, ValueError, KeyError, TypeError), (folder / JOURNAL_FILE).open("rb") as journal:
        return int(json.loads(journal.readline())["utc_ns"])
    try:
        return (folder / FRAMES_FILE).stat().st_mtime_ns
    except OSError:
        # removed meanwhile
        return 0


def not_local(kind: int) -> str | None:
    """The name of a file system type where locks or writes by offset cannot be relied on; None for others."""
    return _NOT_LOCAL.get(kind & 0xFFFFFFFF)


def file_system_type(folder: Path) -> int:
    """
    What statfs(2) calls the file system of a folder.

    Raises
    ------
    StorageError
        If the system does not tell.
    """
    # f_type is the first field, of the size of a long; the structure is smaller than this everywhere
    facts = (ctypes.c_long * 64)()
    if _libc.statfs(os.fsencode(folder), ctypes.byref(facts)) != 0:
        raise StorageError(f"{folder}: {os.strerror(ctypes.get_errno())}")
    return int(facts[0])
