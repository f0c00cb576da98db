"""Bragg vectors as they are stored with the results, and the map made of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from livestrain_core.bragg import INSIDE, OUTSIDE, UNCENTRED, add_vectors, empty_vector_map
from livestrain_daemon.errors import NotAScan
from livestrain_daemon.plan import DIFFRACTION, parse_plan
from livestrain_daemon.scanfolder import Output, ResultsFile, ResultState, open_frames, open_results
from livestrain_wire.messages import VectorMapInfo

KINDS = ("disk", "peak")
"""What the outputs of Bragg vectors are called, `disk_position` and so on: the first that a plan has is taken."""
CENTRES = ("centre", "beam_centre")
"""Maps of the centre, the best first: that of the fitted lattice, and that of the direct beam."""
PORTION = 8192
"""Positions that are read at a time."""


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
    intensity[~np.isfinite(position).all(axis=2)] = np.nan
    return Vectors(position, intensity)


def vector_map(folder: Path, revision: int, sampling: int, centred: bool) -> tuple[VectorMapInfo, NDArray[np.float64]]:
    """
    The Bragg vector map of all analysed positions of a plan revision.

    Parameters
    ----------
    sampling
        Pixels of the map per detector pixel, along each axis.
    centred
        Subtract the centre of each position, if there is a map of centres.

    Returns
    -------
    about
        What is in it.
    image : (rows * sampling, columns * sampling)
        Summed intensity [counts].

    Raises
    ------
    NotAScan
        If the revision has no Bragg vectors.
    """
    frame_shape = open_frames(folder).frame_shape
    with ResultsFile(open_results(folder, revision), read_only=True) as results:
        layout = results.layout
        if vector_kind(layout.outputs) is None:
            raise NotAScan(f"{layout.path}: holds no Bragg vectors")
        origin = parse_plan(layout.plan).calibration.centre
        centres = centre_map(layout.outputs) if centred else ""
        analysed = results.ledger(DIFFRACTION) == ResultState.ANALYSED
        found = empty_vector_map(frame_shape, sampling)
        for first in range(0, layout.positions, PORTION):
            count = min(PORTION, layout.positions - first)
            vectors = read_vectors(results, analysed, first, count)
            shift = np.array(origin) - results.read(centres, first, count) if centres else None
            add_vectors(found, vectors.position, vectors.intensity, shift)
    about = VectorMapInfo(
        revision=revision,
        shape=found.image.shape,
        dtype="float64",
        sampling=sampling,
        centred_by=centres,
        origin=origin,
        positions=int(analysed.sum()),
        vectors=int(found.counts[INSIDE]),
        intensity=float(found.intensities[INSIDE]),
        outside=int(found.counts[OUTSIDE]),
        outside_intensity=float(found.intensities[OUTSIDE]),
        without_centre=int(found.counts[UNCENTRED]),
        without_centre_intensity=float(found.intensities[UNCENTRED]),
    )
    return about, found.image
