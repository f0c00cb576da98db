"""Bragg vectors as they are stored with the results."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.scanfolder import Output, ResultsFile

KINDS = ("disk", "peak")
"""What the outputs of Bragg vectors are called, `disk_position` and so on: the first that a plan has is taken."""
CENTRES = ("centre", "beam_centre")
"""Maps of the centre, the best first: that of the fitted lattice, and that of the direct beam."""


class Vectors(NamedTuple):
    """Bragg vectors of consecutive positions, not centred."""

    position: NDArray[np.float32]
    """(n, m, 2) places of up to m disks (row, column); NaN where there is none [px]."""
    intensity: NDArray[np.float32]
    """(n, m) [counts]."""


def vector_kind(outputs: Mapping[str, Output]) -> str | None:
    """Which of `KINDS` a plan with these outputs stores, if any."""
    return next((kind for kind in KINDS if {f"{kind}_position", f"{kind}_intensity"} <= set(outputs)), None)


def centre_map(outputs: Mapping[str, Output]) -> str:
    """The best map of centres; empty if there is none."""
    return next((name for name in CENTRES if name in outputs), "")


def read_vectors(results: ResultsFile, analysed: NDArray[np.bool_], first: int, count: int) -> Vectors:
    """
    The Bragg vectors of consecutive positions.

    Parameters
    ----------
    analysed : (positions,)
        True where the ledger calls a position analysed; elsewhere there are none.
    first, count
        Which positions.

    Raises
    ------
    KeyError
        If the results hold no Bragg vectors.
    """
    kind = vector_kind(results.layout.outputs)
    if kind is None:
        raise KeyError("no Bragg vectors")
    position = results.read(f"{kind}_position", first, count)
    intensity = results.read(f"{kind}_intensity", first, count)
    position[~analysed[first : first + count]] = np.nan
    # some twenty times as fast as all() along an axis of two
    intensity[~(np.isfinite(position[..., 0]) & np.isfinite(position[..., 1]))] = np.nan
    return Vectors(position, intensity)
