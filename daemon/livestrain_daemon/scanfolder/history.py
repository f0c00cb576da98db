"""The scans of a spool, as their journals tell; no file of HDF5 is opened."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from livestrain_daemon.errors import NotAScan
from livestrain_daemon.scanfolder.journal import JOURNAL_FILE, read_journal
from livestrain_daemon.scanfolder.layout import FRAMES_FILE
from livestrain_wire.messages import ScanEntry, ScanId

RETAINED, RELEASED = "retained", "released"
"""Lines of a journal: somebody wants the scan kept, or no longer."""

_FIRST_STAGE = "diffraction"
_BLOCK_BYTES = 512
_scan_id: TypeAdapter[str] = TypeAdapter(ScanId)


@dataclass(frozen=True)
class _Read:
    """What a journal said when it was of this size and age."""

    stamp: tuple[int, int]
    entry: ScanEntry


class History:
    """
    Lists the scans of a spool; a journal that has not changed since is not read again.

    Parameters
    ----------
    spool
        The folder of all scan folders.
    """

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._read: dict[str, _Read] = {}

    def entries(self) -> list[ScanEntry]:
        """All scans, the newest first; a folder that is not a scan's is left out."""
        folders = list(self._folders())
        self._read = {folder.name: self._read[folder.name] for folder in folders if folder.name in self._read}
        found = [entry for folder in folders if (entry := self._entry(folder)) is not None]
        return sorted(found, key=lambda entry: (entry.began_ns, entry.scan_id), reverse=True)

    def _folders(self) -> Iterator[Path]:
        with suppress(OSError), os.scandir(self._spool) as entries:
            for entry in entries:
                if _can_be_an_id(entry.name) and entry.is_dir(follow_symlinks=False):
                    yield Path(entry.path)

    def _entry(self, folder: Path) -> ScanEntry | None:
        try:
            (folder / FRAMES_FILE).stat()
            facts = (folder / JOURNAL_FILE).stat()
        except OSError:
            # it is being made, or removed, or it is no scan
            return None
        stamp = (facts.st_size, facts.st_mtime_ns)
        held = self._read.get(folder.name)
        if held is None or held.stamp != stamp:
            entry = _told_by_journal(folder, facts.st_mtime_ns)
            if entry is None:
                return None
            held = self._read[folder.name] = _Read(stamp, entry)
        return held.entry.model_copy(update={"size_bytes": size_on_disk(folder)})


def size_on_disk(folder: Path) -> int:
    """What a folder takes on the disk; space that is reserved for frames to come counts [bytes]."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                facts = (Path(parent) / name).lstat()
                total += facts.st_blocks * _BLOCK_BYTES if stat.S_ISREG(facts.st_mode) else 0
    return total


def scans_in(spool: Path) -> list[ScanEntry]:
    """
    The scans of a spool that no daemon need be running for, the newest first.

    Raises
    ------
    NotADirectoryError
        If there is no such folder.
    """
    if not spool.is_dir():
        raise NotADirectoryError(f"{spool} is no folder")
    return History(spool.absolute()).entries()


def _told_by_journal(folder: Path, changed_ns: int) -> ScanEntry | None:
    fields: dict[str, Any] = {"scan_id": folder.name, "folder": str(folder), "state": "unfinished"}
    try:
        lines = read_journal(folder)
        if not lines:
            # its first line is about to be written
            return None
        fields["began_ns"] = lines[0]["utc_ns"]
        for line in lines:
            fields.update(_facts(line))
        return ScanEntry.model_validate(fields)
    except (NotAScan, ValidationError, KeyError, TypeError, AttributeError):
        return ScanEntry(scan_id=folder.name, folder=str(folder), state="unreadable", began_ns=changed_ns)


def _facts(line: dict[str, Any]) -> dict[str, Any]:
    """What a line of a journal says about its scan as a whole."""
    match line["kind"]:
        case "scan_started" | "scan_resumed":
            start = line["start"]
            shapes = {name: start[name] for name in ("scan_shape", "frame_shape", "dtype")}
            return {**shapes, "recording": line["recording"]}
        case "intake_closed":
            return {name: line[name] for name in ("reason", "stored", "missing")} | _faults(line)
        case "scan_ended":
            counts = line["stages"].get(_FIRST_STAGE, {})
            stage = {name: counts.get(name, 0) for name in ("analysed", "failed", "dropped")}
            told = {name: line[name] for name in ("reason", "stored", "missing", "seconds")}
            return {**told, **stage, **_faults(line), "state": "ended"}
        case "retained" | "released":
            return {"retained": line["kind"] == RETAINED}
    return {}


def _faults(line: dict[str, Any]) -> dict[str, Any]:
    """Nothing where a line says nothing of them."""
    return {"faults": line["faults"]} if "faults" in line else {}


def _can_be_an_id(name: str) -> bool:
    try:
        _scan_id.validate_python(name)
    except ValidationError:
        return False
    return True
