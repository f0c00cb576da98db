"""How files get to the disk: whole, or not at all, and not in place of others."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from livestrain_daemon.export.errors import ExportError
from livestrain_daemon.scanfolder.files import reason


def refuse_existing(paths: Sequence[Path], force: bool) -> None:
    """Raise ExportError if one of the files exists, unless it may be replaced."""
    existing = [path for path in paths if path.exists()]
    if existing and not force:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise ExportError(f"{existing[0]}{more}: exists already; --force replaces it")


def make_folder(folder: Path) -> None:
    """A folder, and those above it; ExportError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"{folder}: cannot be made: {reason(error)}") from error


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """
    A file that gets its name once it is whole.

    Parameters
    ----------
    write
        Makes the file at the path that it is given.

    Raises
    ------
    ExportError
        If it cannot be written; nothing is left of it then.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        text = reason(error) if isinstance(error, OSError) else str(error)
        raise ExportError(f"{path}: cannot be written: {' '.join(text.split()):.200}") from error
    finally:
        partial.unlink(missing_ok=True)
