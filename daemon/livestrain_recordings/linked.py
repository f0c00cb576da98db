"""
Datasets of HDF5 whose values lie in other files.

HDF5 itself gives fill values where one of these is not there, is another one, or is too short.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count, takewhile
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.chunks import extents, look_of
from livestrain_recordings.gaps import Absent, Cover, never_written
from livestrain_recordings.selections import Bounds, Selection, selection_of, sides

MOST_NESTED = 8
"""Virtual datasets may take their values from other virtual ones so many times."""
NUMBER = "%b"
"""Stands for 0, 1, ... in the name of a file or dataset of which there are many."""
Key = tuple[Path, str]
"""A file, and a dataset of it."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A dataset that was looked at as a whole."""

    read: Callable[[Any], NDArray[Any]]
    """Reads slices, as the dataset does itself, after a look at what the library would not look at."""
    absent: Absent | None
    """True for frames that are nowhere; None: all are there."""


@dataclass(frozen=True, slots=True)
class Source:
    """A part of a virtual dataset."""

    path: Path
    dataset: str
    to: Selection
    """Which part."""
    of: Selection
    """Which of the source's values."""
    place: Bounds | None
    """Where the part lies; None: it may be anywhere."""

    @contextmanager
    def opened(self, virtual: Any) -> Iterator[Any]:
        """
        The dataset.

        Raises
        ------
        OSError
            If it is not there, or does not have what is taken from it; names its file.
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
            self._check_form(virtual, found)
            yield found

    def _check_size(self, shape: tuple[int, ...]) -> None:
        least = self.of.bounds
        if least is not None:
            ends = tuple(end for _, end in least)
            enough = len(shape) == len(ends) and all(end <= side for end, side in zip(ends, shape, strict=True))
            expected = str(ends)
        else:
            values = None if self.of.parts is not None else self.to.values
            enough, expected = values is None or prod(shape) == values, f"{values} values"
        if not enough:
            raise OSError(f"expected {expected} in the linked file {shown(self.path)}, found {shape}")

    def _check_form(self, virtual: Any, found: Any) -> None:
        """HDF5 pours the values of one form into the other, whatever they are."""
        if not np.can_cast(found.dtype, virtual.dtype, "safe"):
            raise OSError(f"expected {virtual.dtype} in the linked file {shown(self.path)}, found {found.dtype}")
        to, of = self.to.within(virtual.shape), self.of.within(found.shape)
        if len(to) != 1 or len(of) != 1:
            return
        expected, frame = sides(to[0], virtual.shape)[-2:], sides(of[0], found.shape)[-2:]
        if expected != frame:
            raise OSError(f"expected frames of {expected} in the linked file {shown(self.path)}, found {frame}")

    def cover(self, cover: Cover, found: Any, absent: Absent | None) -> None:
        """Note what it has for a virtual dataset, but for those of its frames that are absent."""
        to, of = self.to.within(cover.shape), self.of.within(found.shape)
        if absent is not None and (len(to) != 1 or len(of) != 1):
            raise OSError(f"expected all values in the linked file {shown(self.path)}, found some never written")
        available = sum(prod(sides(part, found.shape)) for part in of)
        for part in to:
            there = sides(part, cover.shape)
            if not all(there) or not available:
                continue
            # an axis without an end goes as far as the source does
            endless = next((axis for axis, one in enumerate(part) if one.endless), None)
            if endless is not None:
                most = available // (prod(there) // there[endless])
                there = (*there[:endless], min(there[endless], most), *there[endless + 1 :])
            lost = None
            if absent is not None:
                taken = zip(of[0], sides(of[0], found.shape), strict=True)
                lost = absent[np.ix_(*(one.indices(side) for one, side in list(taken)[:-2]))].ravel()
            cover.add(part, there, lost)

    def concerns(self, wanted: list[tuple[int, int]]) -> bool:
        """Whether it may be needed for a part of the virtual dataset."""
        return self.place is None or all(
            first < to_end and to_first < end
            for (first, end), (to_first, to_end) in zip(wanted, self.place, strict=True)
        )

    def needed(self, wanted: list[tuple[int, int]], shape: tuple[int, ...]) -> list[tuple[int, int]]:
        """What such a part needs of the source, or some more."""
        taken = list(self.of.bounds or ((0, side) for side in shape))
        if self.place is not None:
            (first, end), (to_first, to_end), (of_first, of_end) = wanted[0], self.place[0], taken[0]
            # the usual form: as many along the first axis here as there
            if to_end - to_first == of_end - of_first:
                taken[0] = (of_first + max(first, to_first) - to_first, of_first + min(end, to_end) - to_first)
        return taken


@dataclass(frozen=True, slots=True)
class Known:
    """What a look at a dataset has found."""

    doubtful: bool
    """Whether its chunks must be looked at before they are unpacked."""
    watched: list[Source]
    """Those sources of a virtual dataset that are doubtful."""
    absent: Absent | None


@dataclass(slots=True)
class Walk:
    """A dataset and all that it takes its values from, each of them looked at once."""

    known: dict[Key, Known] = field(default_factory=dict)

    def of(self, dataset: Any, nested: int = MOST_NESTED) -> Known:
        """What is found; errors as `checked_reading`."""
        if not nested:
            raise OSError(f"expected values at the end of {MOST_NESTED} virtual datasets, found another one")
        _check_raw_files(dataset)
        if not dataset.is_virtual:
            return Known(look_of(dataset) is not None, [], never_written(dataset))
        cover = Cover(dataset.shape)
        watched = []
        # the files of a detector are alike, and each is looked at before anything is read
        for source in _sources(dataset):
            with source.opened(dataset) as found:
                key = (source.path, source.dataset)
                if key not in self.known:
                    self.known[key] = self.of(found, nested - 1)
                known = self.known[key]
                source.cover(cover, found, known.absent)
            if known.doubtful:
                watched.append(source)
        return Known(bool(watched), watched, cover.absent())

    def look(self, dataset: Any, known: Known, wanted: list[tuple[int, int]], seen: set[Any]) -> None:
        """Look at the chunks that a part of a dataset needs, but not at what was seen."""
        if not dataset.is_virtual:
            look = look_of(dataset)
            if look:
                look(tuple(slice(*one) for one in wanted))
            return
        for source in known.watched:
            if not source.concerns(wanted):
                continue
            with source.opened(dataset) as found:
                key = (source.path, source.dataset)
                needed = source.needed(wanted, found.shape)
                if (key, *needed) not in seen:
                    seen.add((key, *needed))
                    self.look(found, self.known[key], needed, seen)


def checked_reading(dataset: Any) -> Checked:
    """
    A dataset, after a look at all that it takes its values from.

    Raises
    ------
    OSError
        If a file that it takes values from is not there or has others, or a chunk is too large or packed in a way that
        makes no sense. Reading raises it for a damaged chunk.
    """
    walk = Walk()
    known = walk.of(dataset)
    plain: Callable[[Any], NDArray[Any]] = dataset.__getitem__

    def read(index: Any) -> NDArray[Any]:
        walk.look(dataset, known, extents(dataset.shape, index), set())
        return plain(index)

    return Checked(read if known.doubtful else plain, known.absent)


def linked_file(beside: Path, name: str) -> Path:
    """Where HDF5 finds a file that another one names; where it should be if it is nowhere."""
    path = beside.parent / name
    # a damaged name may hold anything, which the system refuses in its own way
    if "\0" in name:
        return path
    # the file that names it may be one that a symbolic link leads to
    real = beside.resolve().parent
    places = [path, real / name]
    if Path(name).is_absolute():
        places += [folder / Path(name).name for folder in (beside.parent, real)]
    return next((place for place in places if place.is_file()), path)


def linked(beside: Path, link: h5py.ExternalLink) -> str:
    """What a link to another file needs, in the words of an error."""
    file = linked_file(beside, link.filename)
    there = "\0" not in link.filename and file.is_file()
    return f"{shown(link.path)} in the linked file {shown(file)}" if there else f"the linked file {shown(file)}"


def shown(name: object) -> str:
    """A name that is fit for a line of text."""
    return "".join(one if one.isprintable() else "?" for one in str(name))


def _check_raw_files(dataset: Any) -> None:
    """Files without a form, of which HDF5 takes zeros where one of them ends too early."""
    raw = dataset.external or ()
    left = prod(dataset.shape) * dataset.dtype.itemsize
    for name, offset, size in raw:
        path = Path(name)
        if not path.is_file():
            raise OSError(f"expected the raw file {shown(path)}, found none")
        expected = min(size, left)
        found = max(0, path.stat().st_size - offset)
        if found < expected:
            raise OSError(f"expected {expected} bytes in the raw file {shown(path)}, found {found}")
        left -= expected
    if raw and left:
        raise OSError(
            f"expected {left} bytes more than the raw files {', '.join(shown(name) for name, _, _ in raw)} have"
        )


def _sources(dataset: Any) -> Iterator[Source]:
    own = Path(dataset.file.filename)
    for one in dataset.virtual_sources():
        to, of = selection_of(one.vspace), selection_of(one.src_space)
        many = NUMBER in one.file_name + one.dset_name
        for number, (path, name) in enumerate(_places(own, one.file_name, one.dset_name)):
            part = to.numbered(number) if many else to
            yield Source(path, name, part, of, part.bounds)


def _places(own: Path, file_name: str, name: str) -> Iterator[Key]:
    """Files and datasets that the names of a source stand for."""
    if NUMBER in file_name or NUMBER not in name:
        for number, one in enumerate(_names(own, file_name)):
            yield own if one == "." else linked_file(own, one), name.replace(NUMBER, str(number))
        return
    path = own if file_name == "." else linked_file(own, file_name)
    yield path, name.replace(NUMBER, "0")
    with h5py.File(path, "r") as file:
        # HDF5 itself goes on up to the first that is not there
        numbered = takewhile(file.__contains__, (name.replace(NUMBER, str(number)) for number in count(1)))
        yield from [(path, one) for one in numbered]


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
