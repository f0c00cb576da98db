"""Which values of a dataset of HDF5 are meant, of those that a virtual one takes from elsewhere."""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Bounds = tuple[tuple[int, int], ...]
"""Where something begins along each axis, and where it has ended."""
UNLIMITED = int(h5py.h5s.UNLIMITED)


@dataclass(frozen=True, slots=True)
class Along:
    """What is meant along one axis: blocks at equal distances."""

    first: int
    step: int
    """From a block to the next."""
    count: int
    """Of blocks; `UNLIMITED`: as many as there are."""
    block: int

    @property
    def endless(self) -> bool:
        """Whether it goes on as far as there is something."""
        return self.count == UNLIMITED

    def side(self, length: int) -> int:
        """How many values there are of it on an axis of some length."""
        room = max(0, length - self.first)
        whole, more = divmod(room, self.step)
        # the last block may be cut
        there = whole * self.block + min(more, self.block)
        return there if self.endless else min(there, self.count * self.block)

    def indices(self, side: int) -> NDArray[np.int64]:
        """Where the first of its values are."""
        number = np.arange(side)
        where: NDArray[np.int64] = self.first + number // self.block * self.step + number % self.block
        return where


Part = tuple[Along, ...]
"""A product of what is meant along each axis."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is meant of a dataset."""

    parts: tuple[Part, ...] | None
    """In their order; None: all of it."""

    def within(self, shape: tuple[int, ...]) -> tuple[Part, ...]:
        """Its parts in a dataset of some shape."""
        return self.parts if self.parts is not None else (tuple(Along(0, side, 1, side) for side in shape),)

    @property
    def bounds(self) -> Bounds | None:
        """None where that is all there is, or has no end."""
        if self.parts is None or any(one.endless for part in self.parts for one in part):
            return None
        ends = [
            [(one.first, one.first + (one.count - 1) * one.step + one.block) for one in part] for part in self.parts
        ]
        return tuple((min(b for b, _ in axis), max(e for _, e in axis)) for axis in zip(*ends, strict=True))

    @property
    def values(self) -> int | None:
        """How many; None: as many as there are."""
        if self.bounds is None:
            return None
        return sum(prod(one.count * one.block for one in part) for part in self.parts or ())

    def numbered(self, number: int) -> "Selection":
        """What it means for one of many alike sources: the block of its number on the axis without an end."""
        if self.parts is None:
            return self
        return Selection(tuple(tuple(_block(one, number) for one in part) for part in self.parts))


def selection_of(space: Any) -> Selection:
    """What is selected of a space of HDF5."""
    kind = space.get_select_type()
    if kind == h5py.h5s.SEL_ALL:
        return Selection(None)
    if kind == h5py.h5s.SEL_NONE:
        return Selection(())
    if space.is_regular_hyperslab():
        axes = zip(*space.get_regular_hyperslab(), strict=True)
        return Selection((tuple(Along(*(int(one) for one in axis)) for axis in axes),))
    blocks = space.get_select_hyper_blocklist()
    return Selection(tuple(tuple(map(_solid, *block)) for block in blocks))


def sides(part: Part, shape: tuple[int, ...]) -> tuple[int, ...]:
    """How many values there are of a part along each axis of a dataset of some shape."""
    return tuple(one.side(length) for one, length in zip(part, shape, strict=True))


def _block(one: Along, number: int) -> Along:
    return replace(one, first=one.first + number * one.step, count=1) if one.endless else one


def _solid(first: Any, last: Any) -> Along:
    side = int(last) - int(first) + 1
    return Along(int(first), side, 1, side)
