"""Lengths and angles from the ways that files write their units."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose, isfinite

from livestrain_core.scale import mrad_from_per_nm

NANOMETRES = {
    "pm": 1e-3, "A": 0.1, "Å": 0.1, "\u212b": 0.1, "angstrom": 0.1, "nm": 1.0, "um": 1e3, "µm": 1e3, "\u03bcm": 1e3,
    "mm": 1e6, "m": 1e9,
}  # fmt: skip
MILLIRADIANS = {"mrad": 1.0, "rad": 1e3, "urad": 1e-3, "µrad": 1e-3}
_NOISE = re.compile(r"[\s$\\{}\[\]_]")
_RECIPROCAL = re.compile(r"1/(?P<over>.+)|(?P<power>.+?)(?:\^-1|⁻¹|\^\(-1\))")


@dataclass(frozen=True, slots=True)
class Axis:
    """How far apart the values along an axis are."""

    scale: float
    units: str


def axis_facts(scan: Sequence[Axis], frame: Sequence[Axis], energy_kev: float | None = None) -> dict[str, float]:
    """
    What a file's axes tell, in the terms of a scan.

    Parameters
    ----------
    scan, frame
        Axes of the scan positions and of the frame, as many as are known.
    energy_kev
        Of the beam, which an angle is reached with where the frame has spatial frequencies [keV].

    Returns
    -------
    dict
        step_nm, pixel_size_mrad and pixel_size_per_nm, each where both axes have it and agree.
    """
    facts = {
        "step_nm": _common(scan, NANOMETRES),
        "pixel_size_mrad": _common(frame, MILLIRADIANS),
        "pixel_size_per_nm": _common(frame, NANOMETRES, reciprocal=True),
    }
    per_nm = facts["pixel_size_per_nm"]
    if per_nm and energy_kev and not facts["pixel_size_mrad"]:
        facts["pixel_size_mrad"] = mrad_from_per_nm(per_nm, energy_kev)
    return {name: value for name, value in facts.items() if value is not None}


def is_length(axis: Axis) -> bool:
    """Whether an axis is one of places."""
    return _scale(axis, NANOMETRES, False) is not None


def is_frequency(axis: Axis) -> bool:
    """Whether an axis is one of spatial frequencies or of angles."""
    return _scale(axis, NANOMETRES, True) is not None or _scale(axis, MILLIRADIANS, False) is not None


def _common(axes: Sequence[Axis], units: Mapping[str, float], reciprocal: bool = False) -> float | None:
    """The scale that all axes have; None if it is in other units, or they differ."""
    found = [_scale(axis, units, reciprocal) for axis in axes]
    first = found[0] if found else None
    if first is None or not all(one is not None and isclose(one, first, rel_tol=1e-3) for one in found):
        return None
    return first


def _scale(axis: Axis, units: Mapping[str, float], reciprocal: bool) -> float | None:
    if not isfinite(axis.scale) or axis.scale == 0:
        return None
    text = _NOISE.sub("", axis.units)
    if reciprocal:
        match = _RECIPROCAL.fullmatch(text)
        unit = units.get(match["over"] or match["power"]) if match else None
        return abs(axis.scale) / unit if unit else None
    unit = units.get(text)
    return abs(axis.scale) * unit if unit else None
