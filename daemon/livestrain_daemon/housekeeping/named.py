"""The scans that the configuration names files of."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel


def named_scans(config: BaseModel, spool: Path) -> set[str]:
    """The scans of a spool that the configuration names files of."""
    root = spool.resolve()
    return {name for path in _paths(config) for name in _inside(path, root)}


def _paths(part: object) -> Iterator[Path]:
    """All that a configuration names."""
    if isinstance(part, Path):
        yield part
    elif isinstance(part, BaseModel):
        for _, value in part:
            yield from _paths(value)
    elif isinstance(part, Mapping):
        for value in part.values():
            yield from _paths(value)
    elif isinstance(part, list | tuple | set | frozenset):
        for value in part:
            yield from _paths(value)


def _inside(path: Path, root: Path) -> Iterator[str]:
    """The folder of a spool that a file is in, as it is written and as it is where links lead to."""
    for place in (path.absolute(), path.resolve()):
        for inner, outer in pairwise((place, *place.parents)):
            if outer.resolve() == root:
                yield inner.name
