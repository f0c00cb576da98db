"""Compiles, or loads from the cache, what nearly every scan needs."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.bragg import bragg_vector_map
from livestrain_core.calibrate import calibrate
from livestrain_core.corrections import in_electrons
from livestrain_core.disks import track
from livestrain_core.lattice import Lattice, fit_lattice
from livestrain_core.probe import Probe
from livestrain_core.recover import recover
from livestrain_core.reduce import block_sum_max
from livestrain_core.seek import find_lattices
from livestrain_core.strain import strain
from livestrain_core.target import Target, miller
from livestrain_core.virtual import Detector, measure

HK = np.array([(0, 0), (0, 1), (1, 0), (-1, 0), (0, -1)], dtype=np.int64)
TARGET = Target(Lattice((32.0, 32.0), (18.0, 0.0), (0.0, 18.0)), miller(HK), Probe(4.0, 0.8), 4.0)


def warm(dtypes: tuple[str, ...] = ("uint16",)) -> None:
    """
    Runs every kernel once on a small pattern with a few disks.

    Parameters
    ----------
    dtypes
        Of the frames; a scan of another type compiles when its first revision is prepared.
    """
    bragg_vector_map(np.zeros((1, 1, 2)), np.zeros((1, 1)), (64, 64))
    warm_calibration(dtypes)
    # a lattice that is turned away is lost, and found again by detection
    turned = replace(TARGET, lattice=Lattice((32.0, 32.0), (16.5, 7.2), (-7.2, 16.5)))
    for dtype in dtypes:
        frames = _frames(dtype)
        fit = fit_lattice(track(frames, None, TARGET), HK)
        find_lattices(frames[:1], None, turned)
        measure(frames, None, (32.0, 32.0), 4.0, (Detector(0.0, 4.0),))
        block_sum_max(frames)
        strain(np.stack([fit.g1, fit.g2], axis=1), np.array([[18.0, 0.0], [0.0, 18.0]]))


def warm_calibration(dtypes: tuple[str, ...]) -> None:
    """The part of them that a calibration needs: most of tracking is among it."""
    for dtype in dtypes:
        frames = _frames(dtype)
        calibrate(frames, None, None)
        calibrate(frames, np.ones((64, 64), np.bool_), frames[0].astype(np.float32))


def warm_detection() -> None:
    """The part of them that finds a lattice by detection, whatever the type of the frames."""
    recover(in_electrons(_frames("uint16")[:1], TARGET.contrast, None), None, TARGET.probe, TARGET.lattice)


def _frames(dtype: str) -> NDArray[Any]:
    rows, columns = np.mgrid[:64, :64]
    pattern = np.zeros((64, 64))
    for h in (-1, 0, 1):
        for k in (-1, 0, 1):
            pattern += 40.0 * ((rows - 32 - 18 * h) ** 2 + (columns - 32 - 18 * k) ** 2 <= 16)
    return np.repeat(pattern[None], 4, axis=0).astype(dtype)
