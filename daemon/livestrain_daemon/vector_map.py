"""The Bragg vector map, made of the vectors that are stored with the results."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from livestrain_core.bragg import INSIDE, OUTSIDE, UNCENTRED, add_vectors, empty_vector_map
from livestrain_daemon.errors import NotAScan
from livestrain_daemon.plan import DIFFRACTION, parse_plan
from livestrain_daemon.scanfolder import ResultsFile, ResultState, open_frames, open_results
from livestrain_daemon.vectors import centre_map, read_vectors, vector_kind
from livestrain_wire.messages import VectorMapInfo

PORTION = 8192
"""Positions that are read at a time."""


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
            if not analysed[first : first + count].any():
                continue
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
