"""What an emulator has really done, from which follows what a receiver must have."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.emulators.faults import Action


@dataclass
class ScanRecord:
    """One scan."""

    scan: int
    """Its number, from 0."""
    frames: int
    """Frames that it announced; 0 if it has no end."""
    done: list[tuple[int, Action]] = field(default_factory=list)
    """Faults, with the number of the frame, in this order."""
    whole: set[int] = field(default_factory=set)
    """Numbers of frames of which a copy left undamaged, in its scan, before the end of that."""
    unheard: set[int] = field(default_factory=set)
    """Numbers of frames that left while nobody listened."""
    started: bool = False
    """Its start has left."""
    ended: bool = False
    """It went to its regular end."""
    copies: Counter[int] = field(default_factory=Counter)
    """How often a whole copy left of the frame of a number."""
    surplus: int = 0
    """Those of them that left when all the frames that it announced had."""
    astray: int = 0
    """Whole frames that left with it where they have no place in it: before its start, behind its end, beyond its last
    frame, or of the scan before it, which is over."""

    def do(self, number: int, actions: Iterable[Action]) -> None:
        """Something happens to a frame."""
        self.done += [(number, action) for action in actions]

    def left(self, number: int, times: int = 1) -> None:
        """Whole copies of a frame have left."""
        had_all = bool(self.frames) and len(self.whole) == self.frames
        self.whole.add(number)
        has_all = len(self.whole) == self.frames
        self.surplus += times if had_all else (times - 1) * has_all
        self.copies[number] += times

    def counts(self) -> dict[str, int]:
        """Frames by what was done to them on purpose."""
        return dict(Counter(action for _, action in self.done if action != "absent"))

    def numbers(self, *actions: Action) -> list[int]:
        """Frames that something was done to."""
        return [number for number, action in self.done if action in actions]

    def stored(self) -> NDArray[np.bool_]:
        """(frames,) true where a receiver that makes no mistake has the frame."""
        stored: NDArray[Any] = np.zeros(self.frames, bool)
        stored[[number for number in self.whole if number < self.frames]] = True
        return stored

    @property
    def sent(self) -> int:
        """Frames that left, copies and damaged ones included."""
        return self.copies.total() + self.astray + len(self.numbers("corrupt", "bad_length", "truncate"))

    @property
    def duplicates(self) -> int:
        """Whole copies beyond the first of each frame."""
        return self.copies.total() - len(self.copies)
