"""The journal of a scan: one JSON object a line, appended, never changed."""

import json
import math
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from livestrain_daemon.errors import NotAScan, StorageError
from livestrain_daemon.scanfolder import files
from livestrain_daemon.scanfolder.provenance import boot_id, provenance

__all__ = ["Journal", "boot_id", "provenance", "read_journal"]

JOURNAL_FILE = "journal.jsonl"


class Journal:
    """
    Appends to the journal of a scan folder; the one writer.

    A last line that a loss of power has torn is cut off first, so that nothing is ever appended to it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL_FILE
        self._descriptor = files.open_file(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        whole = _whole_bytes(self._path)
        if whole < os.fstat(self._descriptor).st_size:
            os.ftruncate(self._descriptor, whole)

    def append(self, kind: str, **fields: Any) -> None:
        """
        Add a line.

        Parameters
        ----------
        kind
            What happened.
        fields
            JSON-able; numbers that are not finite become null.

        Raises
        ------
        StorageError
            If it could not be written whole.
        """
        utc_ns = time.time_ns()
        utc = datetime.fromtimestamp(utc_ns / 1e9, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = {"kind": kind, "utc": utc, "utc_ns": utc_ns, **fields}
        data = json.dumps(_plain(line), allow_nan=False, ensure_ascii=False).encode() + b"\n"
        size = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            raise StorageError(f"{self._path}: a line was not written: {files.reason(error)}") from error
        if written != len(data):
            os.ftruncate(self._descriptor, size)
            raise StorageError(f"{self._path}: only {written} of {len(data)} bytes were written: no space is left")

    def sync(self) -> None:
        """Force the journal to the disk."""
        files.sync(self._descriptor, self._path)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """
    All whole lines, in order; none if there is no journal yet. A torn last line is left out.

    Raises
    ------
    NotAScan
        If a line is no JSON object; names the line.
    """
    path = folder / JOURNAL_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise NotAScan(f"{path}: cannot be read: {files.reason(error)}") from error
    return [_entry(line, number, path) for number, line in enumerate(data.split(b"\n")[:-1], start=1)]


def _entry(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NotAScan(f"{path}: line {number} is not JSON: {line[:40]!r}") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        raise NotAScan(f"{path}: line {number} is no journal entry: {line[:40]!r}")
    return entry


def _whole_bytes(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1


def _plain(value: Any) -> Any:
    """The same in JSON's own types."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
