"""Virtual detectors, total counts, centre of mass."""

from collections.abc import Sequence

from livestrain_daemon.analyses.protocol import FrameKind, Prepared
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
        from livestrain_daemon.analyses.measuring import measuring  # noqa: PLC0415 - only workers wait for numba

        return measuring(plan, kind, counts_left_out=_may_lose_pixels(plan, kind))


def _may_lose_pixels(plan: Plan, kind: FrameKind) -> bool:
    """Whether a pixel may be not finite, or saturated."""
    return kind.dtype.kind == "f" or plan.corrections.saturation is not None


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
