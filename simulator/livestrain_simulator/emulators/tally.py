"""How often each frame of a scan has left, in a byte for each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FIRST_LENGTH = 1024
MOST = 255
"""A byte holds no more; the total is right."""


class Tally:
    """Counts by the number of a frame; grows with the largest number."""

    def __init__(self) -> None:
        self.total = 0
        """The sum of all counts."""
        self.different = 0
        """Numbers that have been counted."""
        self._counts: NDArray[np.uint8] = np.zeros(FIRST_LENGTH, np.uint8)

    @property
    def nbytes(self) -> int:
        """Memory that it takes [bytes]."""
        return self._counts.nbytes

    def add(self, number: int, times: int = 1) -> None:
        """Count a number so many times."""
        if number >= len(self._counts):
            grown = np.zeros(max(number + 1, 2 * len(self._counts)), np.uint8)
            grown[: len(self._counts)] = self._counts
            self._counts = grown
        before = int(self._counts[number])
        self.different += before == 0
        self.total += times
        self._counts[number] = min(MOST, before + times)

    def numbers(self) -> NDArray[Any]:
        """Those that have been counted, in order."""
        return np.flatnonzero(self._counts.copy())

    def counts(self) -> dict[int, int]:
        """How often, of those that have been counted."""
        numbers = self.numbers()
        return dict(zip(numbers.tolist(), self._counts[numbers].tolist(), strict=True))
