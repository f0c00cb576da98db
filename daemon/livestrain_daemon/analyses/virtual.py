"""Virtual detectors, total counts, centre of mass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.types import Usable
from livestrain_core.virtual import Detector, measure
from livestrain_daemon.analyses.protocol import FrameKind, Prepared, Results
from livestrain_daemon.plan import DetectorPlan, Plan
from livestrain_daemon.scanfolder import Output


class VirtualDetectors:
    """Sums over parts of the detector, exact for counting detectors."""

    def outputs(self, plan: Plan, kind: FrameKind) -> Sequence[Output]:
        """One map per detector of the plan, and three that are always there."""
        del kind
        return (
            Output("total", dtype="float64", unit="counts", description="sum of all usable pixels"),
            Output("centre_of_mass", (2,), "float64", "px", description="centre of mass (row, column)"),
            Output("beam_centre", (2,), "float64", "px", description="centre of the undiffracted disk (row, column)"),
            *(
                Output(detector.name, dtype="float64", unit="counts", description=_described(detector))
                for detector in plan.detectors
            ),
        )

    def prepare(self, plan: Plan, kind: FrameKind) -> Prepared:
        """Detectors in pixels."""
        radius = plan.calibration.radius_px
        return _Prepared(
            usable=plan.usable_pixels(kind.shape) if plan.unusable else None,
            centre=plan.calibration.centre,
            radius_px=radius,
            names=tuple(detector.name for detector in plan.detectors),
            detectors=tuple(_in_pixels(detector, radius) for detector in plan.detectors),
        )


@dataclass(frozen=True)
class _Prepared:
    usable: Usable | None
    centre: tuple[float, float]
    radius_px: float
    names: tuple[str, ...]
    detectors: tuple[Detector, ...]

    def analyse(self, frames: NDArray[Any], positions: NDArray[np.int64], earlier: Results) -> Results:
        del positions, earlier
        found = measure(frames, self.usable, self.centre, self.radius_px, self.detectors)
        return {
            "total": found.total,
            "centre_of_mass": found.centre_of_mass,
            "beam_centre": found.centre,
            **{name: found.sums[:, k] for k, name in enumerate(self.names)},
        }


def _in_pixels(detector: DetectorPlan, radius_px: float) -> Detector:
    scale = radius_px if detector.unit == "radius" else 1.0
    return Detector(inner_px=detector.inner * scale, outer_px=detector.outer * scale, centre=detector.centre)


def _described(detector: DetectorPlan) -> str:
    unit = "radii" if detector.unit == "radius" else "px"
    where = "the measured centre" if detector.centre is None else f"({detector.centre[0]:g}, {detector.centre[1]:g})"
    shape = f"{detector.inner:g} to {detector.outer:g}" if detector.inner else f"up to {detector.outer:g}"
    return f"counts {shape} {unit} from {where}"
