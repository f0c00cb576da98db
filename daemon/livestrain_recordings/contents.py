"""What is in an HDF5 file, by name."""

from dataclasses import dataclass
from typing import Any

from h5py import Dataset, h5d, h5l, h5o

FEWEST_AXES = 3
"""Of frames."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a group has, and the groups below it."""

    datasets: tuple[Any, ...]
    """Of this file."""
    external: tuple[str, ...]
    """Names of links to other files."""
    unnamed: tuple[str, ...]
    """Names that are not UTF-8, as they can be shown: of such links, and of datasets with as many axes as frames."""


def contents_of(group: Any) -> Contents:
    """
    Everything below a group that is a dataset or a link to another file.

    Raises
    ------
    RuntimeError, KeyError, OSError, ValueError
        If the file is damaged.
    """
    # what is called back only notes: an exception from there would come out as another, and at another place
    objects: list[tuple[bytes, int]] = []
    links: list[tuple[bytes, int]] = []
    h5o.visit(group.id, lambda name, about: objects.append((name, about.type)), info=True)
    group.id.links.visit(lambda name, about: links.append((name, about.type)), info=True)
    datasets = [name for name, kind in objects if kind == h5o.TYPE_DATASET]
    external = [name for name, kind in links if kind == h5l.TYPE_EXTERNAL]
    unnamed = [name for name in datasets if not _is_text(name) and h5d.open(group.id, name).rank >= FEWEST_AXES]
    unnamed += [name for name in external if not _is_text(name)]
    return Contents(
        tuple(Dataset(h5d.open(group.id, name), readonly=True) for name in datasets if _is_text(name)),
        tuple(name.decode() for name in external if _is_text(name)),
        tuple(name.decode(errors="backslashreplace") for name in unnamed),
    )


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
