"""
Datasets of HDF5 whose values lie in other files.

HDF5 itself gives fill values where one of these is not there, is another one, or is too short.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from livestrain_recordings.chunks import Look, extents, look_of

MOST_NESTED = 8
"""Virtual datasets may take their values from other virtual ones so many times."""
NUMBER = "%b"
"""Stands for 0, 1, ... in the name of a file of which there are many."""
Bounds = tuple[tuple[int, int], ...]
"""Where something begins along each axis, and where it has ended."""


@dataclass(frozen=True, slots=True)
class Source:
    """A part of a virtual dataset."""

    path: Path
    dataset: str
    to: Bounds | None
    """Which part; None: it may be all of it."""
    of: Bounds | None
    """Where in the source it lies; None: all of the source."""
    values: int | None
    """How many it has; None: as many as there are."""

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """
        The dataset.

        Raises
        ------
        OSError
            If it is not there, or has less than what is taken from it; names its file.
        """
        if not self.path.is_file():
            raise OSError(f"expected the linked file {shown(self.path)}, found none")
        with ExitStack() as stack:
            try:
                found = stack.enter_context(h5py.File(self.path, "r")).get(self.dataset)
            except (OSError, RuntimeError, ValueError) as error:
                raise OSError(f"cannot read the linked file {shown(self.path)}: {error}") from error
            if not isinstance(found, h5py.Dataset) or not found.shape:
                raise OSError(f"expected a dataset {shown(self.dataset)} in the linked file {shown(self.path)}")
            self._check_size(found.shape)
            yield found

    def _check_size(self, shape: tuple[int, ...]) -> None:
        if self.of is not None:
            least = tuple(end for _, end in self.of)
            enough = len(shape) == len(least) and all(end <= side for end, side in zip(least, shape, strict=True))
            expected = str(least)
        else:
            enough, expected = self.values is None or prod(shape) == self.values, f"{self.values} values"
        if not enough:
            raise OSError(f"expected {expected} in the linked file {shown(self.path)}, found {shape}")

    def concerns(self, wanted: list[tuple[int, int]]) -> bool:
        """Whether it may be needed for a part of the virtual dataset."""
        return self.to is None or all(
            first < to_end and to_first < end for (first, end), (to_first, to_end) in zip(wanted, self.to, strict=True)
        )

    def needed(self, wanted: list[tuple[int, int]], shape: tuple[int, ...]) -> tuple[slice, ...]:
        """What such a part needs of the source, or some more."""
        taken = list(self.of or ((0, side) for side in shape))
        if self.to is not None:
            (first, end), (to_first, to_end), (of_first, of_end) = wanted[0], self.to[0], taken[0]
            # the usual form: as many along the first axis here as there
            if to_end - to_first == of_end - of_first:
                taken[0] = (of_first + max(first, to_first) - to_first, of_first + min(end, to_end) - to_first)
        return tuple(slice(*one) for one in taken)


def checked_reading(dataset: Any) -> Callable[[Any], NDArray[Any]]:
    """
    What reads slices of a dataset, as it does itself, after a look at all that the library would not look at.

    Raises
    ------
    OSError
        If a file that it takes values from is not there, or a chunk is too large or packed in a way that makes no
        sense. Reading raises it for a damaged chunk.
    """
    look = _look(dataset, MOST_NESTED)
    plain: Callable[[Any], NDArray[Any]] = dataset.__getitem__
    if look is None:
        return plain

    def read(index: Any) -> NDArray[Any]:
        look(index)
        return plain(index)

    return read


def linked_file(beside: Path, name: str) -> Path:
    """Where HDF5 finds a file that another one names; where it should be if it is nowhere."""
    path = beside.parent / name
    moved = beside.parent / Path(name).name
    # a damaged name may hold anything, which the system refuses in its own way
    whole = "\0" not in name
    return moved if whole and Path(name).is_absolute() and not path.is_file() and moved.is_file() else path


def linked(beside: Path, link: h5py.ExternalLink) -> str:
    """What a link to another file needs, in the words of an error."""
    file = linked_file(beside, link.filename)
    there = "\0" not in link.filename and file.is_file()
    return f"{shown(link.path)} in the linked file {shown(file)}" if there else f"the linked file {shown(file)}"


def shown(name: object) -> str:
    """A name that is fit for a line of text."""
    return "".join(one if one.isprintable() else "?" for one in str(name))


def _look(dataset: Any, nested: int) -> Look | None:
    if not nested:
        raise OSError(f"expected values at the end of {MOST_NESTED} virtual datasets, found another one")
    _check_raw_files(dataset)
    if not dataset.is_virtual:
        return look_of(dataset)
    # the files of a detector are alike, and each is looked at before anything is read
    sources = list(_sources(dataset))
    doubtful: dict[tuple[Path, str], bool] = {}
    for source in sources:
        with source.opened() as found:
            key = (source.path, source.dataset)
            if key not in doubtful:
                doubtful[key] = _look(found, nested - 1) is not None
    watched = [source for source in sources if doubtful[source.path, source.dataset]]
    if not watched:
        return None

    def look(index: Any) -> None:
        wanted = extents(dataset.shape, index)
        for source in watched:
            if not source.concerns(wanted):
                continue
            with source.opened() as found:
                closer = _look(found, nested - 1)
                if closer:
                    closer(source.needed(wanted, found.shape))

    return look


def _check_raw_files(dataset: Any) -> None:
    """Files without a form, of which HDF5 takes zeros where they end too early."""
    raw = dataset.external or ()
    found = 0
    for name, offset, size in raw:
        path = Path(name)
        if not path.is_file():
            raise OSError(f"expected the raw file {shown(path)}, found none")
        found += max(0, min(size, path.stat().st_size - offset))
    expected = prod(dataset.shape) * dataset.dtype.itemsize
    if raw and found < expected:
        raise OSError(f"expected {expected} bytes in {', '.join(shown(name) for name, _, _ in raw)}, found {found}")


def _sources(dataset: Any) -> Iterator[Source]:
    own = Path(dataset.file.filename)
    for one in dataset.virtual_sources():
        # as many files as there are have as many values as they have
        many = NUMBER in one.file_name + one.dset_name
        to, of = (None, None) if many else (_bounds(one.vspace), _bounds(one.src_space))
        for name in _names(own, one.file_name):
            path = own if name == "." else linked_file(own, name)
            values = None if to is None else one.vspace.get_select_npoints()
            yield Source(path, one.dset_name.replace(NUMBER, "0"), to, of, values)


def _names(own: Path, name: str) -> Iterator[str]:
    """
    Names of the files that a pattern stands for.

    Raises
    ------
    OSError
        If one of them is not there, but a later one is.
    """
    if NUMBER not in name:
        yield name
        return
    folder = linked_file(own, name).parent
    pattern = re.compile(re.escape(Path(name).name).replace(re.escape(NUMBER), "([0-9]{1,9})"))
    matches = (pattern.fullmatch(path.name) for path in folder.iterdir()) if folder.is_dir() else ()
    numbers = {int(match[1]) for match in matches if match}
    for number in range(max(numbers, default=0) + 1):
        yield name.replace(NUMBER, str(number))


def _bounds(space: Any) -> Bounds | None:
    """Of what is selected; None where that is all there is, or has no end."""
    try:
        first, last = space.get_select_bounds()
    except (OSError, RuntimeError, ValueError):
        return None
    return tuple((int(begin), int(end) + 1) for begin, end in zip(first, last, strict=True))
