"""Finds out whether a file can be written before hours are spent on what goes into it."""

from pathlib import Path


def check_writable(file: Path) -> None:
    """
    Find out whether a file can be written; what it holds stays.

    Raises
    ------
    OSError
        If it cannot.
    """
    new = not file.exists()
    with file.open("ab"):
        pass
    if new:
        file.unlink()
