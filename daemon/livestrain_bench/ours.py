"""Our own measurement of a case, as the daemon does it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from livestrain_bench.case import Float64, Given
from livestrain_core.calibrate import Calibration, calibrate
from livestrain_core.lattice import LatticeFit
from livestrain_core.seek import find_lattices
from livestrain_core.strain import strain
from livestrain_core.target import Target
from livestrain_core.types import Frames, Template, Usable
from livestrain_core.virtual import Detector, measure

EstimatorName = Literal["fast", "precise"]
Fit = Callable[[Frames], LatticeFit]

CALIBRATION_FRAMES = 64
"""The first positions of a scan, which calibration may see."""
BLOCK = 32
"""Frames measured at a time."""


@dataclass(frozen=True)
class Measurement:
    """Lattices of all frames of a scan."""

    g: Float64
    """(n, 2, 2) [:, 0] = g1, [:, 1] = g2 [px]."""
    covariance: Float64
    """(n, 21) [px^2]."""


@dataclass(frozen=True)
class Prepared:
    """All that is done once for a scan."""

    fit: Fit
    """Lattices of some frames."""
    reference: Float64
    """(2, 2) the calibration's g1, g2 as rows [px]."""
    calibration: Calibration
    usable: Usable | None


def prepare(given: Given, estimator: EstimatorName, template: Template = "disk") -> Prepared | str:
    """
    Calibrate.

    Parameters
    ----------
    given
        Frames, probe and usable pixels; nothing else is looked at.
    estimator
        How lattices are to be fitted.
    template
        What disks are compared with.

    Returns
    -------
    Prepared, or str
        Why there is no lattice.
    """
    found = calibrate(given.frames[:CALIBRATION_FRAMES], given.usable, given.vacuum_probe, template=template)
    target = found.target
    if target is None:
        return found.reason
    usable = np.ones(given.frames.shape[1:], np.bool_) if given.usable is None else given.usable.copy()
    usable[found.broken[:, 0], found.broken[:, 1]] = False
    keep = None if usable.all() else usable
    return Prepared(
        _fit(replace(target, estimator=estimator), keep),
        np.array([target.lattice.g1, target.lattice.g2], np.float64),
        found,
        keep,
    )


def _fit(target: Target, usable: Usable | None) -> Fit:
    return lambda frames: find_lattices(frames, usable, target).fit


def run(frames: Frames, prepared: Prepared) -> Measurement:
    """
    Disks, lattice, strain, two virtual detectors and centre of mass of all frames, a block at a time.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns [counts].
    prepared
        What was calibrated.

    Returns
    -------
    Measurement
        The lattices; the rest was done to be timed.
    """
    radius = prepared.calibration.probe.radius_px
    detectors = (Detector(0.0, radius), Detector(1.5 * radius, 6.0 * radius))
    g = np.empty((len(frames), 2, 2))
    covariance = np.empty((len(frames), 21))
    for first in range(0, len(frames), BLOCK):
        block = frames[first : first + BLOCK]
        measure(block, prepared.usable, prepared.calibration.centre, radius, detectors)
        fit = prepared.fit(block)
        g[first : first + BLOCK] = np.stack([fit.g1, fit.g2], axis=1)
        covariance[first : first + BLOCK] = fit.covariance
        strain(g[first : first + BLOCK], prepared.reference)
    return Measurement(g, covariance)
