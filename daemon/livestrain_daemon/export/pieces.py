from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from livestrain_daemon.export.errors import ExportError


@dataclass(frozen=True)
class Piece:
    """A file of an export."""

    write: Callable[[Path], None]
    """Makes the file at this path."""
    name: str = ""
    """Within the folder, where the format has many files."""


def refuse_twice(what: str, names: Iterable[str]) -> None:
    """Raise ExportError if a name occurs twice: a virtual detector may be called like something else."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ExportError(f"two {what} would be called {twice[0]!r}: leave one out with --maps")
