"""Is this the folder of a scan, or one near it?"""

from pathlib import Path

from livestrain_daemon.errors import NotAScan
from livestrain_daemon.scanfolder.layout import FRAMES_FILE

MOST_NAMED = 3
MOST_LOOKED_AT = 10_000
"""Entries of a folder that are looked at."""


def check_folder(folder: Path) -> None:
    """
    Say which folder may have been meant, where this is not a scan's.

    Raises
    ------
    NotAScan
        If it has no file of frames.
    """
    try:
        if (folder / FRAMES_FILE).exists():
            return
        if not folder.exists():
            raise NotAScan(f"{folder}: does not exist")
        near = _scans_near(folder)
    except OSError as error:
        raise NotAScan(f"{folder}: cannot be looked at: {error!s:.200}") from error
    what = "is no folder" if not folder.is_dir() else f"is not a scan folder: it has no {FRAMES_FILE}"
    if not near:
        raise NotAScan(f"{folder}: {what}")
    named = " or ".join(str(one) for one in near[:MOST_NAMED])
    more = f" or one of {len(near) - MOST_NAMED} more" if len(near) > MOST_NAMED else ""
    raise NotAScan(f"{folder}: {what}; did you mean {named}{more}?")


def _scans_near(folder: Path) -> list[Path]:
    """Scan folders in it, the latest first, or the one that it is in."""
    if (folder.parent / FRAMES_FILE).exists():
        return [folder.parent]
    if not folder.is_dir():
        return []
    entries = (entry for entry, _ in zip(folder.iterdir(), range(MOST_LOOKED_AT), strict=False))
    found = [path for entry in entries if (path := entry / FRAMES_FILE).exists()]
    return [path.parent for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)]
