"""How files get to the disk: whole, or not at all, and not in place of others."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from livestrain_daemon.export.errors import ExportError
from livestrain_daemon.export.pieces import refuse_twice
from livestrain_daemon.scanfolder.files import reason


def refuse_places(paths: Sequence[Path], precious: Sequence[Path], force: bool) -> None:
    """
    Refuse to write where something would be lost.

    Parameters
    ----------
    paths
        The files to be written; none of them is made here.
    precious
        What must stay as it is: a scan folder and all in it, the file of its frames.
    force
        Files that exist may be replaced; so may links, which are replaced themselves, not what they lead to.

    Raises
    ------
    ExportError
        If a file would lie in what is precious, on a folder or device, would be there twice, or exists and may not be
        replaced.
    """
    refuse_twice("files", (str(path) for path in paths))
    kept = [place.resolve() for place in precious]
    for path in paths:
        try:
            _refuse_place(path, kept)
        except (OSError, RuntimeError) as error:
            raise ExportError(f"{path}: cannot be looked at: {error!s:.200}") from error
    existing = [path for path in paths if os.path.lexists(path)]
    if existing and not force:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise ExportError(f"{existing[0]}{more}: exists already; --force replaces it")


def _refuse_place(path: Path, kept: Sequence[Path]) -> None:
    # once with what a link leads to, once with the link itself
    for place in (path.resolve(), path.parent.resolve() / path.name):
        if any(place.is_relative_to(one) for one in kept):
            raise ExportError(f"{path}: lies in the scan folder, in which nothing is changed")
    if path.exists() and not path.is_file():
        raise ExportError(f"{path}: exists already and is no file")


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
    except (OSError, RuntimeError, ValueError) as error:
        text = reason(error) if isinstance(error, OSError) else str(error)
        raise ExportError(f"{path}: cannot be written: {' '.join(text.split()):.200}") from error
    finally:
        partial.unlink(missing_ok=True)
