from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Piece:
    """A file of an export."""

    write: Callable[[Path], None]
    """Makes the file at this path."""
    name: str = ""
    """Within the folder, where the format has many files."""
