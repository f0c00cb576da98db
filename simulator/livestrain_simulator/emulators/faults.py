"""
What goes wrong on purpose, for every emulator: asked for once, planned for each scan.

The plan of a scan says what happens to the frame of a number. Each emulator does it as its detector would, and keeps a
record of what it has really done.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Action = Literal[
    "drop", "short", "duplicate", "reorder", "corrupt", "bad_length", "truncate", "second_series", "stall",
    "late_header", "disconnect", "abort", "rearm", "absent",
]  # fmt: skip
"""
drop, short: not sent. duplicate: sent twice. reorder: sent behind what follows it. corrupt: sent with a damaged header.
bad_length: sent with a damaged length. truncate: half of it is sent. second_series: a frame of a series that nobody
began is sent beside it. stall: a pause before it. late_header: the start of the scan comes after this frame.
disconnect: the connection is closed before it. abort: the scan ends before it, as the detector ends one that is
aborted. rearm: the scan ends before it without a word, and the next one begins at once. absent: not sent, since there
is none; nobody asks for that.
"""
FaultPlan: TypeAlias = Callable[[int], Sequence[Action]]
"""What happens to the frame of a number, counted from 0; the same each time it is asked."""
Plans: TypeAlias = Callable[[int, int], FaultPlan]
"""The plan of a scan, by its number from 0 and the frames that it announces (0: without end)."""

SecondCopy: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]
"""Pixels of the second copy of a frame that is sent twice, from those of the first; without it they are the same."""

HEADER = -1
"""Stands for the start of a scan where a plan is asked; the number of frames stands for its end."""
UNSENT = frozenset({"drop", "short", "absent"})
SPOILED = frozenset({*UNSENT, "corrupt", "bad_length", "truncate"})
"""What is done with these does not come as it was, nor at all."""
OF_A_FRAME = frozenset({*SPOILED, "duplicate", "reorder", "second_series"})
"""What is done with a frame, and not before it."""
STALE_FRAMES = 3
"""Of an aborted scan, sent after the next one has begun."""

Kind = Literal["drop", "duplicate", "reorder", "corrupt", "truncate", "stall", "second_series"]
EXCLUSIVE: tuple[Kind, ...] = ("drop", "duplicate", "reorder", "corrupt", "truncate")
"""One of these happens to a frame at most."""
BESIDE: tuple[Kind, ...] = ("stall", "second_series")
"""These may happen beside them."""
KINDS: tuple[Kind, ...] = (*EXCLUSIVE, *BESIDE)

DRAWN = 4096
"""Chances are drawn for so many frames at a time."""
LARGEST_NUMBER = 1 << 40
_NUMBERS = re.compile(r"(\d{1,13})(?:-(\d{1,13}))?", re.ASCII)


class WrongFault(ValueError):
    """Faults that are asked for and make no sense."""


@dataclass(frozen=True)
class Among:
    """The frames that something happens to: each by a chance, or those with these numbers."""

    probability: float = 0.0
    numbers: tuple[range, ...] = ()

    @classmethod
    def parse(cls, text: str, name: str) -> "Among":
        """
        Read ``0.01``, a probability, or ``5,17,20-30``, the numbers of frames.

        Raises
        ------
        WrongFault
            If it is neither.
        """
        expected = f"{name}: expected a probability such as 0.01, or numbers of frames such as 5,17,20-30"
        if not re.fullmatch(r"[0-9,\- ]*", text):
            try:
                probability = float(text)
            except ValueError:
                probability = -1.0
            if not 0.0 <= probability <= 1.0:
                raise WrongFault(f"{expected}, found {text!r:.60}")
            return cls(probability)
        numbers = []
        for part in text.split(","):
            match = _NUMBERS.fullmatch(part.strip())
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if last < first or last > LARGEST_NUMBER:
                raise WrongFault(f"{expected}, found {text!r:.60}")
            numbers.append(range(first, last + 1))
        return cls(numbers=tuple(numbers))

    def names(self, number: int) -> bool:
        """Whether the number is among those that are named."""
        return any(number in numbers for numbers in self.numbers)

    def meets(self, other: "Among") -> int | None:
        """A number that both name."""
        both = (
            max(mine.start, theirs.start)
            for mine in self.numbers
            for theirs in other.numbers
            if max(mine.start, theirs.start) < min(mine.stop, theirs.stop)
        )
        return next(both, None)


@dataclass(frozen=True)
class Faults:
    """
    Faults to make on purpose in every scan.

    Raises
    ------
    WrongFault
        If they exclude each other.
    """

    frames: Mapping[Kind, Among] = field(default_factory=dict)
    abort_at: int | None = None
    """The detector aborts each scan before the frame of this number."""
    short_by: int = 0
    """Frames that are announced at the end of each scan and not sent."""
    late_header: int = 0
    """Frames that come before the start of their scan."""
    rearm: int | None = None
    """Each scan but the last ends before the frame of this number without a word, and the next begins at once."""
    seed: int = 0
    """Decides what happens by chance."""

    def __post_init__(self) -> None:
        if self.abort_at is not None and self.rearm is not None:
            raise WrongFault("abort_at and rearm both end a scan; give one of them")
        for one, other in combinations(EXCLUSIVE, 2):
            number = self.frames.get(one, Among()).meets(self.frames.get(other, Among()))
            if number is not None:
                raise WrongFault(f"{one} and {other} both name frame {number}; one of them happens to a frame at most")
        chances = {kind: among.probability for kind, among in self.frames.items() if kind in EXCLUSIVE}
        if sum(chances.values()) > 1 + 1e-9:
            text = ", ".join(f"{kind} {chance:g}" for kind, chance in chances.items() if chance)
            raise WrongFault(f"expected probabilities of at most 1 together, found {text}")

    def __bool__(self) -> bool:
        singly = (self.abort_at is not None, self.rearm is not None, self.short_by, self.late_header)
        return any(singly) or any(among.probability or among.numbers for among in self.frames.values())

    def check(self, frames: int) -> None:
        """
        Look whether all can happen in a scan of so many frames.

        Raises
        ------
        WrongFault
            If a number is beyond it.
        """
        asked: dict[str, int | None] = {"abort_at": self.abort_at, "rearm": self.rearm, "short_by": self.short_by - 1}
        for kind, among in self.frames.items():
            asked[kind] = max((span.stop - 1 for span in among.numbers), default=-1)
        for name, number in asked.items():
            if number is not None and number >= frames:
                option = f"--{name.replace('_', '-')}"
                last = f"{frames} frames at most" if name == "short_by" else f"a scan of the frames 0 to {frames - 1}"
                raise WrongFault(f"{option}: expected {last}, found {number + (name == 'short_by')}")

    def asked(self) -> tuple[str, ...]:
        """Names of the faults that are asked for."""
        single = {
            "abort_at": self.abort_at is not None,
            "short_by": self.short_by,
            "late_header": self.late_header,
            "rearm": self.rearm is not None,
        }
        by_frame = [kind for kind, among in self.frames.items() if among.probability or among.numbers]
        return *by_frame, *(name for name, is_asked in single.items() if is_asked)

    def plan(self, scan: int, frames: int, last: bool = False) -> FaultPlan:
        """
        What happens in a scan.

        Parameters
        ----------
        scan
            Its number, from 0.
        frames
            Frames that it announces; 0 if it has no end.
        last
            No scan follows: it is not cut short by the next.
        """
        return _Planned(self, scan, frames, last).actions


class _Planned:
    """One scan's faults."""

    def __init__(self, faults: Faults, scan: int, frames: int, last: bool) -> None:
        self._faults = faults
        self._seed = (faults.seed, scan)
        self._frames = frames
        self._last = last
        self._edges = np.cumsum([faults.frames.get(kind, Among()).probability for kind in EXCLUSIVE])
        self._block = -1
        self._drawn: NDArray[Any] = np.empty((0, 1 + len(BESIDE)))

    def actions(self, number: int) -> tuple[Action, ...]:
        """What happens to the frame of a number."""
        if number < 0 or (self._frames and number >= self._frames):
            return ()
        faults = self._faults
        if faults.abort_at is not None and number >= faults.abort_at:
            return ("abort",)
        if faults.rearm is not None and number >= faults.rearm and not self._last:
            return ("rearm",)
        actions: list[Action] = ["late_header"] if number < faults.late_header else []
        if self._frames and number >= self._frames - faults.short_by:
            return (*actions, "short")
        return (*actions, *self._by_frame(number))

    def _by_frame(self, number: int) -> list[Action]:
        chosen = self._faults.frames
        if not chosen:
            return []
        chances = self._chances(number)
        found: list[Action] = [
            kind
            for kind, chance in zip(BESIDE, chances[1:], strict=True)
            if kind in chosen and (chance < chosen[kind].probability or chosen[kind].names(number))
        ]
        named = next((kind for kind in EXCLUSIVE if kind in chosen and chosen[kind].names(number)), None)
        drawn = int(np.searchsorted(self._edges, chances[0], side="right"))
        by_chance = EXCLUSIVE[drawn] if drawn < len(EXCLUSIVE) else None
        one = named or by_chance
        if one == "drop":
            # nothing is beside what is not there
            found = [kind for kind in found if kind != "second_series"]
        return [*found, one] if one else found

    def _chances(self, number: int) -> NDArray[Any]:
        block, at = divmod(number, DRAWN)
        if block != self._block:
            random = np.random.default_rng((*self._seed, block))
            self._block, self._drawn = block, random.random((DRAWN, 1 + len(BESIDE)))
        chances: NDArray[Any] = self._drawn[at]
        return chances


def is_whole(actions: Iterable[Action]) -> bool:
    """Whether a frame to which this happens is sent as it was."""
    return not SPOILED.intersection(actions)


def no_faults(number: int) -> tuple[Action, ...]:
    """Nothing happens to any frame."""
    del number
    return ()


def always(plan: FaultPlan) -> Plans:
    """The same in every scan."""
    return lambda scan, frames: plan


no_plans: Plans = always(no_faults)
"""Nothing goes wrong in any scan."""
