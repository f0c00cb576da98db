"""A set of whole numbers kept as sorted runs: the positions that wait for something."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from livestrain_wire.messages import Run


class RunSet:
    """
    Positions as disjoint runs, in order; adding and taking cost O(runs), not O(positions).

    Parameters
    ----------
    runs
        (first, count) of runs to begin with.
    """

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._size = 0
        for first, count in runs:
            self.add(first, count)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Run]:
        for start, stop in zip(self._starts, self._stops, strict=True):
            yield start, stop - start

    def add(self, first: int, count: int) -> None:
        """Positions first .. first + count - 1; those that are in already stay."""
        if count <= 0:
            return
        start, stop = first, first + count
        low = bisect_left(self._stops, start)
        high = bisect_right(self._starts, stop)
        if low < high:
            start = min(start, self._starts[low])
            stop = max(stop, self._stops[high - 1])
        self._replace(low, high, [(start, stop)])

    def remove(self, first: int, count: int) -> None:
        """Positions first .. first + count - 1; those that are not in are ignored."""
        if count <= 0:
            return
        start, stop = first, first + count
        low = bisect_right(self._stops, start)
        high = bisect_left(self._starts, stop)
        if low >= high:
            return
        kept: list[Run] = []
        if self._starts[low] < start:
            kept.append((self._starts[low], start))
        if self._stops[high - 1] > stop:
            kept.append((stop, self._stops[high - 1]))
        self._replace(low, high, kept)

    def overlap(self, first: int, count: int) -> list[Run]:
        """The positions of first .. first + count - 1 that are in."""
        stop = first + count
        low = bisect_right(self._stops, first)
        high = bisect_left(self._starts, stop)
        clipped = ((max(first, self._starts[i]), min(stop, self._stops[i])) for i in range(low, high))
        return [(start, end - start) for start, end in clipped if end > start]

    def take_first(self, most: int) -> list[Run]:
        """Removes and returns at most so many of the lowest positions, in order."""
        taken: list[Run] = []
        while most > 0 and self._starts:
            start = self._starts[0]
            count = min(most, self._stops[0] - start)
            taken.append((start, count))
            self.remove(start, count)
            most -= count
        return taken

    def take_last(self, most: int) -> list[Run]:
        """Removes and returns at most so many of the highest positions, in order."""
        taken: list[Run] = []
        while most > 0 and self._starts:
            stop = self._stops[-1]
            count = min(most, stop - self._starts[-1])
            taken.append((stop - count, count))
            self.remove(stop - count, count)
            most -= count
        return taken[::-1]

    def _replace(self, low: int, high: int, runs: list[tuple[int, int]]) -> None:
        self._size += sum(stop - start for start, stop in runs)
        self._size -= sum(self._stops[low:high]) - sum(self._starts[low:high])
        self._starts[low:high] = [start for start, _ in runs]
        self._stops[low:high] = [stop for _, stop in runs]


def split(runs: Iterable[Run]) -> tuple[list[Run], list[Run]]:
    """Runs cut into two halves of equal size, the first never the larger one."""
    all_runs = list(runs)
    half = sum(count for _, count in all_runs) // 2
    before: list[Run] = []
    after: list[Run] = []
    for first, count in all_runs:
        here = min(count, half)
        if here:
            before.append((first, here))
        if count > here:
            after.append((first + here, count - here))
        half -= here
    return before, after


def size(runs: Iterable[Run]) -> int:
    """The number of positions in these runs."""
    return sum(count for _, count in runs)
