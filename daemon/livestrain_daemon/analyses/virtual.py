"""Virtual detectors, total counts, centre of mass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.descan import CentrePlane, predicted_centre
from livestrain_core.types import Usable
from livestrain_core.virtual import Detector, measure
from livestrain_daemon.analyses.protocol import FrameKind, Prepared, Results
from livestrain_daemon.plan import DetectorPlan, Plan
from livestrain_daemon.scanfolder import Output

DEFLECTION = Output(
    "deflection",
    (2,),
    "float64",
    "px",
    "diverging",
    description="centre of mass from the centre that the descan plane predicts (row, column)",
)

LEFT_OUT = Output(
    "left_out", dtype="uint32", description="usable pixels that are not finite or saturated in the frame, and left out"
)


class VirtualDetectors:
    """Sums over parts of the detector, exact for counting detectors."""

    def outputs(self, plan: Plan, kind: FrameKind) -> Sequence[Output]:
        """One map per detector of the plan, and three that are always there."""
        return (
            Output("total", dtype="float64", unit="counts", description="sum of all usable pixels"),
            Output("centre_of_mass", (2,), "float64", "px", description="centre of mass (row, column)"),
            Output("beam_centre", (2,), "float64", "px", description="centre of the undiffracted disk (row, column)"),
            *((LEFT_OUT,) if _may_lose_pixels(plan, kind) else ()),
            *((DEFLECTION,) if plan.calibration.descan is not None else ()),
            *(
                Output(detector.name, dtype="float64", unit="counts", description=_described(detector))
                for detector in plan.detectors
            ),
        )

    def prepare(self, plan: Plan, kind: FrameKind) -> Prepared:
        """Detectors in pixels."""
        radius = plan.calibration.radius_px
        descan = plan.calibration.descan
        return _Prepared(
            usable=plan.usable_pixels(kind.shape) if plan.unusable else None,
            centre=plan.calibration.centre,
            radius_px=radius,
            names=tuple(detector.name for detector in plan.detectors),
            detectors=tuple(_in_pixels(detector, radius) for detector in plan.detectors),
            plane=None if descan is None else descan.plane(),
            scan_columns=kind.scan_shape[1],
            saturation=plan.corrections.saturation_seen,
            counts_left_out=_may_lose_pixels(plan, kind),
        )


def _may_lose_pixels(plan: Plan, kind: FrameKind) -> bool:
    """Whether a pixel may be not finite, or saturated."""
    return kind.dtype.kind == "f" or plan.corrections.saturation is not None


@dataclass(frozen=True)
class _Prepared:
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
            **({LEFT_OUT.name: found.left_out} if self.counts_left_out else {}),
            **({} if self.plane is None else {DEFLECTION.name: found.centre_of_mass - predicted}),
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


def _described(detector: DetectorPlan) -> str:
    unit = "radii" if detector.unit == "radius" else "px"
    match detector.centre:
        case None:
            where = "the measured centre"
        case "descan":
            where = "the centre that the descan plane predicts"
        case (row, column):
            where = f"({row:g}, {column:g})"
    shape = f"{detector.inner:g} to {detector.outer:g}" if detector.inner else f"up to {detector.outer:g}"
    return f"counts {shape} {unit} from {where}"
