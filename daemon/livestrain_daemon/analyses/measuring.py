"""Measures virtual detectors, total counts and centre of mass, for `virtual`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.descan import CentrePlane, predicted_centre
from livestrain_core.types import Usable
from livestrain_core.virtual import Detector, measure
from livestrain_daemon.analyses.protocol import FrameKind, Prepared, Results
from livestrain_daemon.plan import DetectorPlan, Plan


def measuring(plan: Plan, kind: FrameKind, counts_left_out: bool) -> Prepared:
    """
    Detectors in pixels.

    Parameters
    ----------
    plan, kind
        As of `Analysis.prepare`.
    counts_left_out
        Whether the outputs have the pixels that are left out.
    """
    radius = plan.calibration.radius_px
    descan = plan.calibration.descan
    return _Measuring(
        usable=plan.usable_pixels(kind.shape) if plan.unusable else None,
        centre=plan.calibration.centre,
        radius_px=radius,
        names=tuple(detector.name for detector in plan.detectors),
        detectors=tuple(_in_pixels(detector, radius) for detector in plan.detectors),
        plane=None if descan is None else descan.plane(),
        scan_columns=kind.scan_shape[1],
        saturation=plan.corrections.saturation_seen,
        counts_left_out=counts_left_out,
    )


@dataclass(frozen=True)
class _Measuring:
    usable: Usable | None
    centre: tuple[float, float]
    radius_px: float
    names: tuple[str, ...]
    detectors: tuple[Detector, ...]
    plane: CentrePlane | None
    scan_columns: int
    saturation: float | None
    counts_left_out: bool

    def analyse(self, frames: NDArray[Any], positions: NDArray[np.int64], earlier: Results) -> Results:
        del earlier
        predicted = self._predicted(positions)
        found = measure(
            frames, self.usable, self.centre, self.radius_px, self.detectors, predicted, saturation=self.saturation
        )
        return {
            "total": found.total,
            "centre_of_mass": found.centre_of_mass,
            "beam_centre": found.centre,
            **({"left_out": found.left_out} if self.counts_left_out else {}),
            **({} if self.plane is None else {"deflection": found.centre_of_mass - predicted}),
            **{name: found.sums[:, k] for k, name in enumerate(self.names)},
        }

    def _predicted(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Centres (n, 2) on the plane, or the plan's centre where no plane is known."""
        if self.plane is None:
            return np.tile(np.array(self.centre, np.float64), (len(positions), 1))
        return predicted_centre(self.plane, np.stack(np.divmod(positions, self.scan_columns), axis=1))


def _in_pixels(detector: DetectorPlan, radius_px: float) -> Detector:
    scale = radius_px if detector.unit == "radius" else 1.0
    inner, outer = detector.inner * scale, detector.outer * scale
    if detector.centre == "descan":
        return Detector(inner_px=inner, outer_px=outer, predicted=True)
    return Detector(inner_px=inner, outer_px=outer, centre=detector.centre)
