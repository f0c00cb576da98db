"""The plan: everything that a result depends on beside its frame. Frozen, swapped whole, recorded in the journal."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from livestrain_core.probe import Probe
from livestrain_core.types import Estimator
from livestrain_daemon.detecting import DetectPlan, DisksChoice
from livestrain_daemon.errors import PlanError
from livestrain_daemon.geometry import Axes, DescanPlan, EllipsePlan, PixelSizePlan, PlanPart, ScanAxesPlan, Source
from livestrain_daemon.learned import ContrastPlan
from livestrain_daemon.template import PatternPlan
from livestrain_daemon.unusable import pixels_outside
from livestrain_wire.messages import Count, Name, Run

Pixels = Annotated[float, Field(ge=0, le=65536, allow_inf_nan=False)]
Vector = tuple[float, float]
Level = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Index = Annotated[int, Field(ge=-65536, le=65536)]

DIFFRACTION = "diffraction"
"""The stage that reads every frame once: virtual detectors, centre of mass, disks, lattice."""
REDUCTION = "reduction"
"""The stage that adds whole blocks of frames: summed and largest pattern."""


class DetectorPlan(PlanPart):
    """A virtual detector: a disk (``inner`` 0) or an annulus."""

    name: Name
    inner: Pixels = 0.0
    outer: Pixels
    unit: Literal["radius", "px"] = "radius"
    """What inner and outer count: radii of the disk that the calibration measured, or pixels."""
    centre: tuple[Pixels, Pixels] | Literal["descan"] | None = None
    """Fixed centre (row, column) [px]; "descan" takes it from the calibration's plane over the scan; None follows the
    centre measured in each frame."""

    @model_validator(mode="after")
    def _outer_beyond_inner(self) -> "DetectorPlan":
        if self.outer <= self.inner:
            raise ValueError(f"outer must be larger than inner, found {self.outer} and {self.inner}")
        return self


class CalibrationPlan(PlanPart):
    """What the calibration found, and from what."""

    source: Source = "automatic"
    """Of everything in here that does not say otherwise."""
    positions: tuple[Count, ...] = ()
    """Flat scan positions that it looked at."""
    vacuum_probe: bool = False
    """True where radius and edge come from an image of the probe in vacuum."""
    probe_given: bool = False
    """True where the configuration gives radius and edge."""
    centre: tuple[Pixels, Pixels]
    """Centre of the undiffracted disk (row, column) [px]."""
    radius_px: Annotated[float, Field(gt=0, le=65536, allow_inf_nan=False)]
    """Radius of the disks [px]."""
    edge_px: Pixels
    """Width of the disks' edge [px]."""
    pattern: PatternPlan | None = None
    """The image of the probe in vacuum, where disks are compared with that; None compares them with a flat disk."""
    g1: Vector | None = None
    """Lattice vector (row, column) [px]; None where no lattice was found."""
    g2: Vector | None = None
    hk: tuple[tuple[Index, Index], ...] = ()
    """Indices of the disks to look for."""
    search_px: Pixels = 0.0
    """How far from its place a disk is looked for [px]."""
    broken: tuple[Run, ...] = ()
    """Hot and dead pixels that it found, as runs over the flat frame: disks are fitted without them."""
    residual_px: float | None = None
    """Typical misfit of disks to the lattice during calibration [px]."""
    contrast: ContrastPlan | None = None
    """What was learned of the intensity inside the disks; None takes the usual."""
    reason: str = ""
    """Why there is no lattice."""
    nominal: bool = False
    """True where no disk was found at all: centre, radius and edge are guesses."""
    descan: DescanPlan | None = None
    """The centre as a plane over the scan; None where it is not known."""
    ellipse: EllipsePlan | None = None
    """The detector's elliptic distortion; None where it is not known, and then not corrected."""
    scan_axes: ScanAxesPlan | None = None
    """How the scan lies to the detector; None where it is not known."""
    pixel_size: PixelSizePlan | None = None
    """What a pixel is; None where it is not known."""

    @property
    def probe(self) -> Probe:
        """What disks are compared with."""
        return Probe(self.radius_px, self.edge_px, self.pattern.pattern() if self.pattern else None)

    @model_validator(mode="after")
    def _pattern_of_this_probe(self) -> "CalibrationPlan":
        if self.pattern is not None and not self.vacuum_probe:
            raise ValueError("a pattern comes with vacuum_probe")
        if self.pattern is not None and self.radius_px > self.pattern.half:
            raise ValueError(f"a pattern of half {self.pattern.half} cannot hold a radius of {self.radius_px:g} px")
        return self

    @model_validator(mode="after")
    def _whole_lattice(self) -> "CalibrationPlan":
        if (self.g1 is None) != (self.g2 is None):
            raise ValueError("g1 and g2 come together")
        if self.g1 is not None and self.g2 is not None:
            area = self.g1[0] * self.g2[1] - self.g1[1] * self.g2[0]
            squares = sum(component * component for component in (*self.g1, *self.g2))
            if not np.isfinite(area) or abs(area) < 1.0 or abs(area) <= 1e-6 * squares:
                raise ValueError(f"g1 {self.g1} and g2 {self.g2} span {area:.3g} px^2, expected at least 1")
            if len(self.hk) < 3:
                raise ValueError(f"a lattice needs at least 3 disks, found {len(self.hk)}")
        return self


class CorrectionsPlan(PlanPart):
    """What is done to stored frames before any analysis sees them."""

    dark: Digest | None = None
    """Digest of the image of counts without a beam, which is subtracted; the scan folder has it."""
    gain: Digest | None = None
    """Digest of the image of factors that is multiplied after that; the scan folder has it."""
    saturation: Level | None = None
    """Stored counts from which on a pixel says nothing and is left out of its frame: of the configuration, else as the
    detector says; None: no pixel saturates."""

    @property
    def saturation_seen(self) -> float | None:
        """The same for frames as analyses see them; None where a correction has made saturated pixels NaN."""
        return self.saturation if self.dark is None and self.gain is None else None


class Plan(PlanPart):
    """One revision of the plan."""

    revision: Annotated[int, Field(ge=0)] = 1
    calibration: CalibrationPlan
    detectors: tuple[DetectorPlan, ...] = ()
    unusable: tuple[Run, ...] = ()
    """Pixels that no analysis may use, as runs over the flat frame: those of the configuration, and those that the
    detector marks."""
    corrections: CorrectionsPlan = CorrectionsPlan()
    """Dark, gain and saturation."""
    stages: dict[str, tuple[str, ...]]
    """The analyses of each stage, by name, in order."""
    estimator: Estimator = "precise"
    """How disks are measured."""
    disks: DisksChoice = "auto"
    """Which disks are looked for when the stages follow from the calibration."""
    detect: DetectPlan = DetectPlan()
    """Which disks the analysis ``detect`` reports."""
    axes: Axes = "detector"
    """Along what strain is given first; a reference may choose others."""

    @model_validator(mode="after")
    def _no_name_twice(self) -> "Plan":
        names = [detector.name for detector in self.detectors]
        if len(set(names)) != len(names):
            raise ValueError(f"virtual detectors need names of their own, found {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _something_to_do(self) -> "Plan":
        if DIFFRACTION not in self.stages or not all(self.stages.values()):
            raise ValueError(f"stages need a stage {DIFFRACTION}, and each an analysis, found {dict(self.stages)}")
        return self

    @model_validator(mode="after")
    def _known_axes(self) -> "Plan":
        if self.axes == "scan" and self.calibration.scan_axes is None:
            raise ValueError("axes along the scan need calibration.scan_axes")
        return self

    def usable_pixels(self, frame_shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """(rows, columns), true where a pixel may be used."""
        return pixels_outside(self.unusable, frame_shape)


def stages_for(calibration: CalibrationPlan, disks: DisksChoice = "auto") -> dict[str, tuple[str, ...]]:
    """The usual analyses: tracked disks only where a lattice is known, detected ones only where the probe is."""
    analyses: tuple[str, ...] = ("virtual",)
    lattice = calibration.g1 is not None
    if lattice and disks != "detected":
        analyses += ("disks",)
    if not calibration.nominal and (disks in {"detected", "both"} or (disks == "auto" and not lattice)):
        analyses += ("detect",)
    return {DIFFRACTION: analyses, REDUCTION: ("patterns",)}


def changed(plan: Plan, changes: Mapping[str, Any], revision: int) -> Plan:
    """
    A new revision of a plan.

    Parameters
    ----------
    plan
        The revision to start from.
    changes
        New values by field; a table replaces only the fields that it names. Where the stages are the usual ones of
        the calibration they follow it; stages that somebody has chosen stay until they are changed.
    revision
        Number of the new revision.

    Raises
    ------
    PlanError
        If the outcome makes no sense; names the field.
    """
    fields = plan.model_dump()
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(fields.get(key), dict) and key in {"calibration", "detect"}:
            fields[key] = {**fields[key], **value}
        else:
            fields[key] = value
    fields["revision"] = revision
    new = parse_plan(fields)
    if "stages" in changes:
        return new
    if plan.stages == stages_for(plan.calibration, plan.disks):
        return new.model_copy(update={"stages": stages_for(new.calibration, new.disks)})
    if new.disks != plan.disks:
        raise PlanError(f"disks: the plan has stages of its own, so give stages, too; found {new.disks!r}")
    return new


def only_derives_otherwise(one: Plan, other: Plan) -> bool:
    """True where two different plans measure the same in every frame: only what is derived from it differs."""
    if one.model_copy(update={"revision": other.revision}) == other:
        return False
    return _measuring(one) == _measuring(other)


def _measuring(plan: Plan) -> Plan:
    """The plan without what no analysis of a frame reads."""
    calibration = plan.calibration.model_copy(update={"ellipse": None, "scan_axes": None, "pixel_size": None})
    return plan.model_copy(update={"revision": 0, "axes": "detector", "calibration": calibration})


def parse_calibration(fields: Mapping[str, Any]) -> CalibrationPlan:
    """A calibration from outside; `PlanError` names the field that is wrong."""
    try:
        return CalibrationPlan.model_validate(fields)
    except ValidationError as error:
        raise PlanError(_first_line(error, "calibration")) from error


def parse_plan(fields: Mapping[str, Any]) -> Plan:
    """A plan from outside; `PlanError` names the field that is wrong."""
    try:
        return Plan.model_validate(fields)
    except ValidationError as error:
        raise PlanError(_first_line(error)) from error


def read_plan(path: Path) -> Plan:
    """A recorded plan: a JSON file that holds one, or a line of a journal with one."""
    try:
        fields = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise PlanError(f"expected a plan as JSON in {path}, found {error}") from error
    if isinstance(fields, dict) and isinstance(fields.get("plan"), dict):
        fields = fields["plan"]
    if not isinstance(fields, dict):
        raise PlanError(f"expected a plan as JSON in {path}, found {type(fields).__name__}")
    return parse_plan(fields)


def recorded_plan(entries: list[dict[str, Any]]) -> Plan | None:
    """
    The plan that held last, from a scan's journal; None if there was none.

    Raises
    ------
    PlanError
        If it is no plan.
    """
    plans = [entry.get("plan") for entry in entries if entry.get("kind") == "plan"]
    if not plans:
        return None
    if not isinstance(plans[-1], dict):
        raise PlanError(f"expected a plan in the journal's last line of that kind, found {plans[-1]!r:.40}")
    return parse_plan(plans[-1])


def _first_line(error: ValidationError, *within: str) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in (*within, *first["loc"])) or "plan"
    return f"{where}: {first['msg']}, found {first['input']!r:.80}"
