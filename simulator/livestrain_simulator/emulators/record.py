"""What an emulator has really done, from which follows what a receiver must have."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.emulators.faults import Action
from livestrain_simulator.emulators.tally import Tally


@dataclass
class ScanRecord:
    """One scan."""

    scan: int
    """Its number, from 0."""
    frames: int
    """Frames that it announced; 0 if it has no end."""
    done: list[tuple[int, Action]] = field(default_factory=list)
    """Faults, with the number of the frame, in this order."""
    started: bool = False
    """Its start has left."""
    ended: bool = False
    """It went to its regular end."""
    surplus: int = 0
    """Whole copies that left when all the frames that it announced had."""
    astray: int = 0
    """Whole frames that left with it where they have no place in it: before its start, behind its end, beyond its last
    frame, or of the scan before it, which is over."""
    _copies: Tally = field(default_factory=Tally)
    _unheard: Tally = field(default_factory=Tally)

    def do(self, number: int, actions: Iterable[Action]) -> None:
        """Something happens to a frame."""
        self.done += [(number, action) for action in actions]

    def left(self, number: int, times: int = 1) -> None:
        """Whole copies of a frame have left."""
        had_all = bool(self.frames) and self._copies.different == self.frames
        self._copies.add(number, times)
        has_all = self._copies.different == self.frames
        self.surplus += times if had_all else (times - 1) * has_all

    def left_unheard(self, number: int) -> None:
        """A frame has left while nobody listened."""
        self._unheard.add(number)

    @property
    def whole(self) -> set[int]:
        """Numbers of frames of which a copy left undamaged, in its scan, before the end of that."""
        return set(self._copies.numbers().tolist())

    @property
    def unheard(self) -> set[int]:
        """Numbers of frames that left while nobody listened."""
        return set(self._unheard.numbers().tolist())

    @property
    def copies(self) -> Counter[int]:
        """How often a whole copy left of the frame of a number."""
        return Counter(self._copies.counts())

    @property
    def lost(self) -> int:
        """Frames that were announced and that no receiver can have."""
        return self.frames - self._copies.different

    @property
    def nbytes(self) -> int:
        """Memory that it takes for frames that have left [bytes]."""
        return self._copies.nbytes + self._unheard.nbytes

    def counts(self) -> dict[str, int]:
        """Frames by what was done to them on purpose."""
        return dict(Counter(action for _, action in self.done if action != "absent"))

    def numbers(self, *actions: Action) -> list[int]:
        """Frames that something was done to."""
        return [number for number, action in self.done if action in actions]

    def stored(self) -> NDArray[np.bool_]:
        """(frames,) true where a receiver that makes no mistake has the frame."""
        stored: NDArray[Any] = np.zeros(self.frames, bool)
        numbers = self._copies.numbers()
        stored[numbers[numbers < self.frames]] = True
        return stored

    @property
    def sent(self) -> int:
        """Frames that left, copies and damaged ones included."""
        return self._copies.total + self.astray + len(self.numbers("corrupt", "bad_length", "truncate"))

    @property
    def duplicates(self) -> int:
        """Whole copies beyond the first of each frame."""
        return self._copies.total - self._copies.different


FORGOTTEN = ScanRecord(-1, 0)
"""Stands for scans of which nobody asks any more."""
