"""Compiles, or loads from the cache, what nearly every scan needs."""

from dataclasses import replace

import numpy as np

from livestrain_core.bragg import bragg_vector_map
from livestrain_core.calibrate import calibrate
from livestrain_core.disks import track
from livestrain_core.lattice import Lattice, fit_lattice
from livestrain_core.probe import Probe
from livestrain_core.reduce import block_sum_max
from livestrain_core.seek import find_lattices
from livestrain_core.strain import strain
from livestrain_core.target import Target, miller
from livestrain_core.virtual import Detector, measure


def warm(dtypes: tuple[str, ...] = ("uint16",)) -> None:
    """
    Runs every kernel once on a small pattern with a few disks.

    Parameters
    ----------
    dtypes
        Of the frames; a scan of another type compiles when its first revision is prepared.
    """
    rows, columns = np.mgrid[:64, :64]
    pattern = np.zeros((64, 64))
    for h in (-1, 0, 1):
        for k in (-1, 0, 1):
            pattern += 40.0 * ((rows - 32 - 18 * h) ** 2 + (columns - 32 - 18 * k) ** 2 <= 16)
    bragg_vector_map(np.zeros((1, 1, 2)), np.zeros((1, 1)), (64, 64))
    for dtype in dtypes:
        frames = np.repeat(pattern[None], 4, axis=0).astype(dtype)
        calibrate(frames, None, None)
        calibrate(frames, np.ones((64, 64), np.bool_), pattern.astype(np.float32))
        hk = np.array([(0, 0), (0, 1), (1, 0), (-1, 0), (0, -1)], dtype=np.int64)
        lattice = Lattice((32.0, 32.0), (18.0, 0.0), (0.0, 18.0))
        target = Target(lattice, miller(hk), Probe(4.0, 0.8), 4.0)
        fit = fit_lattice(track(frames, None, target), hk)
        # a lattice that is turned away is lost, and found again by detection
        turned = Lattice((32.0, 32.0), (16.5, 7.2), (-7.2, 16.5))
        find_lattices(frames[:1], None, replace(target, lattice=turned))
        measure(frames, None, (32.0, 32.0), 4.0, (Detector(0.0, 4.0),))
        block_sum_max(frames)
        strain(np.stack([fit.g1, fit.g2], axis=1), np.array([[18.0, 0.0], [0.0, 18.0]]))
