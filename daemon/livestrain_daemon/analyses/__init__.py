"""
The analyses, by the name that a plan gives them.

The main process only asks what they put out: what computes is imported when a worker prepares one.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points

from livestrain_daemon.analyses.detect import DetectedDisks
from livestrain_daemon.analyses.disks import TrackedDisks
from livestrain_daemon.analyses.patterns import SummedPatterns
from livestrain_daemon.analyses.protocol import Analysis, FrameKind, Prepared, Results
from livestrain_daemon.analyses.virtual import VirtualDetectors
from livestrain_daemon.errors import PlanError
from livestrain_daemon.plan import DIFFRACTION, Plan
from livestrain_daemon.scan.derived import DERIVED_NAMES
from livestrain_daemon.scanfolder import Output

__all__ = ["Analysis", "FrameKind", "Prepared", "Results", "find_analysis", "stage_outputs"]

ENTRY_POINTS = "livestrain.analyses"
"""Group in which other packages announce theirs: ``name = "package.module:Class"``."""

_OURS: Mapping[str, Analysis] = {
    "virtual": VirtualDetectors(),
    "disks": TrackedDisks(),
    "detect": DetectedDisks(),
    "patterns": SummedPatterns(),
}


def find_analysis(name: str) -> Analysis:
    """
    The analysis of this name.

    Raises
    ------
    PlanError
        If neither this package nor an installed one has it; names those there are.
    """
    if name in _OURS:
        return _OURS[name]
    others = entry_points(group=ENTRY_POINTS)
    if name in others.names:
        analysis: Analysis = others[name].load()()
        return analysis
    known = ", ".join(sorted({*_OURS, *others.names}))
    raise PlanError(f"stages: expected analyses among {known}, found {name!r}")


def stage_outputs(plan: Plan, kind: FrameKind) -> dict[str, tuple[Output, ...]]:
    """
    What every stage of a plan writes.

    Raises
    ------
    PlanError
        If two maps share a name, a stage mixes outputs per position and per block, or the stage that maps come from has
        outputs per block.
    """
    stages: dict[str, tuple[Output, ...]] = {}
    for stage, names in plan.stages.items():
        stages[stage] = tuple(output for name in names for output in find_analysis(name).outputs(plan, kind))
        if len({output.per_block for output in stages[stage]}) > 1:
            raise PlanError(f"stages.{stage}: outputs per position and per block cannot share a stage")
    if any(output.per_block for output in stages.get(DIFFRACTION, ())):
        raise PlanError(f"stages.{DIFFRACTION}: expected outputs per position, found outputs per block")
    _refuse_same_names([*DERIVED_NAMES, *(output.name for outputs in stages.values() for output in outputs)])
    return stages


def _refuse_same_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PlanError(f"expected maps and virtual detectors of different names, found {', '.join(twice)} twice")
