"""What an analysis is: one or two verbs, so that other people's packages can bring their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.plan import Plan
from livestrain_daemon.scanfolder import Output

Results = Mapping[str, NDArray[Any]]
"""Values by output name, each (positions, *shape)."""


@dataclass(frozen=True)
class FrameKind:
    """What all frames of a scan have in common."""

    shape: tuple[int, int]
    """(rows, columns)"""
    dtype: np.dtype[Any]
    scan_shape: tuple[int, int] = (1, 1)
    """Scan positions (rows, columns); flat position p is at (p // columns, p % columns)."""


class Prepared(Protocol):
    """An analysis ready for one plan: compiled, loaded, precomputed."""

    def analyse(self, frames: NDArray[Any], positions: NDArray[np.int64], earlier: Results) -> Results:
        """
        The outputs of some frames.

        Parameters
        ----------
        frames : (n, rows, columns)
            Patterns [counts].
        positions : (n,)
            Their flat scan positions.
        earlier
            What the stage's earlier analyses found in the same frames; in a stage whose outputs are per block, also
            the outputs so far: a block comes in several batches, in order, each to be added to those before.

        Returns
        -------
        Results
            Every output, (n, *shape); for outputs per block, one array of their shape. It may depend on the frames
            and the plan only: not on what else is in the batch, nor on what came before.
        """
        ...


class Analysis(Protocol):
    """Something that can be measured in a frame."""

    def outputs(self, plan: Plan, kind: FrameKind) -> Sequence[Output]:
        """What will be measured under this plan."""
        ...

    def prepare(self, plan: Plan, kind: FrameKind) -> Prepared:
        """The analysis for this plan; called once per worker and revision."""
        ...
