"""What strain is measured against, and what it was measured against before."""

from collections.abc import Iterable

import numpy as np

from livestrain_core import basis
from livestrain_wire.messages import Axes, ReferenceInfo

Vectors = tuple[float, float, float, float]
"""g1 row, g1 column, g2 row, g2 column [px]."""
Region = tuple[int, int, int, int]
"""First row, first column, row after the last, column after the last."""

FIRST_MEDIAN = 256
"""Analysed positions at which the median replaces the plan's lattice; again at each doubling, and at the end."""
MOST_STRAIN = 0.5
"""No specimen is strained by so much: vectors that would make it so belong to another lattice, or to other units."""


def spans_area(vectors: Vectors) -> bool:
    """True where strain can be measured against these: two finite vectors that are not parallel."""
    with np.errstate(over="ignore", invalid="ignore"):
        return basis.spans_area(np.array(vectors).reshape(2, 2).T)


def why_unfit(vectors: Vectors, lattice: Vectors) -> str:
    """
    Why strain of a lattice against these vectors would say nothing; empty where it does say something.

    Parameters
    ----------
    vectors
        A reference that somebody gives; it spans an area [px].
    lattice
        The lattice of the plan [px].
    """
    from livestrain_core.strain import strain  # noqa: PLC0415 - numba takes its time to import

    given, planned = np.array(vectors).reshape(2, 2), np.array(lattice).reshape(2, 2)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if np.sign(np.linalg.det(given)) != np.sign(np.linalg.det(planned)):
            return (
                f"mirrored: there will be no strain; expected g2 turned from g1 as in the plan, {_told(lattice)}, "
                f"found {_told(vectors)}; swap the two"
            )
        found = strain(planned[None], given)
        e_xx, e_yy, e_xy = float(found.e_xx[0]), float(found.e_yy[0]), float(found.e_xy[0])
    half, middle = float(np.hypot((e_xx - e_yy) / 2, e_xy)), (e_xx + e_yy) / 2
    largest = max((middle - half, middle + half), key=abs)
    if abs(largest) <= MOST_STRAIN:
        return ""
    amount = f"{100 * largest:.3g} %" if np.isfinite(largest) else "no number"
    return (
        f"expected vectors near those of the plan, {_told(lattice)}, found {_told(vectors)}: "
        f"its lattice would be strained by {amount}, expected {100 * MOST_STRAIN:g} % at most"
    )


def _told(vectors: Vectors) -> str:
    return f"g1 ({vectors[0]:.5g}, {vectors[1]:.5g}) g2 ({vectors[2]:.5g}, {vectors[3]:.5g}) px"


class References:
    """
    The history of a scan's reference; the latest one holds.

    Parameters
    ----------
    history
        From an earlier life of the daemon, oldest first.
    """

    def __init__(self, history: Iterable[ReferenceInfo] = ()) -> None:
        self._history = {info.revision: info for info in history}
        self._next_median = FIRST_MEDIAN

    @property
    def current(self) -> ReferenceInfo | None:
        """The one that holds; None before the first lattice."""
        return self._history[max(self._history)] if self._history else None

    def get(self, revision: int) -> ReferenceInfo | None:
        """An earlier one."""
        return self._history.get(revision)

    def adopt(self, info: ReferenceInfo, by_command: bool = False) -> ReferenceInfo:
        """
        Makes this the reference, under the next revision number; nothing happens if it holds already.

        Parameters
        ----------
        info
            A new one, or an earlier one to go back to.
        by_command
            True where somebody has asked for it. To go back to what held before the latest request that has not been
            undone undoes that request.
        """
        current = self.current
        undoes = by_command and current is not None and info.revision == current.undo_to
        if current is not None and not undoes and _content(info) == _content(current):
            return current
        if undoes:
            undo_to = info.undo_to
        elif current is None:
            undo_to = None
        else:
            undo_to = current.revision if by_command else current.undo_to
        update = {
            "revision": (current.revision if current else 0) + 1,
            "source": "command" if by_command else "automatic",
            "undo_to": undo_to,
        }
        adopted = info.model_copy(update=update)
        self._history[adopted.revision] = adopted
        return adopted

    def restart_medians(self) -> None:
        """A new plan revision begins: its medians come at the same counts again."""
        self._next_median = FIRST_MEDIAN

    def median_due(self, analysed: int) -> bool:
        """True once at each of the fixed counts, while the reference is one that follows the data."""
        if self.current is None or analysed < self._next_median:
            return False
        while self._next_median <= analysed:
            self._next_median *= 2
        return self.follows_data

    @property
    def follows_data(self) -> bool:
        """False where a user has given values."""
        return self.current is not None and self.current.kind != "values"

    def axes(self, otherwise: Axes) -> Axes:
        """The axes that hold; before the first reference, those given."""
        return self.current.axes if self.current is not None else otherwise

    @property
    def region(self) -> Region | None:
        """The region whose median is wanted; None: all positions."""
        current = self.current
        return current.region if current is not None else None


def _content(info: ReferenceInfo) -> ReferenceInfo:
    """What strain is measured against, and not how it came to that."""
    return info.model_copy(update={"revision": 0, "source": "automatic", "undo_to": None})
