"""A calibration as a person reads it: what was found, and where each quantity comes from."""

from collections.abc import Callable, Mapping, Sequence
from math import atan2, degrees, hypot
from typing import Any

Row = tuple[str, str, str]
"""Quantity, value, where it comes from."""
SOURCES = {"automatic": "found by itself", "command": "found on request", "given": "configuration"}
GIVEN = {"command": "given by request", "given": "given in the configuration"}
"""Where a value comes from that nothing was measured for."""
FLIPS = {
    "none": "no flip",
    "rows": "axis 0 reversed",
    "columns": "axis 1 reversed",
    "transpose": "axes exchanged",
}
UNKNOWN = {
    "descan": ("not known", "the positions looked at tell no plane"),
    "ellipse": ("not known, not corrected", "takes --ellipse, --known-lattice or --ring"),
    "scan axes": ("not known", "takes --rotation or --flip"),
    "pixel": ("not known", "takes --pixel-size, --semiangle or --spacing"),
}
"""What the table has of a quantity that nobody has told or measured."""


def calibration_rows(calibration: Mapping[str, Any]) -> list[Row]:
    """
    The table of a calibration.

    Parameters
    ----------
    calibration
        The plan's calibration, field by field.
    """
    frames = _frames(calibration)
    given = "given in the configuration" if calibration.get("probe_given") else frames
    probe = "image of the probe in vacuum" if calibration.get("vacuum_probe") else given
    rows: list[Row] = [
        ("centre", _vector(calibration.get("centre")), frames),
        ("disk radius", _number(calibration.get("radius_px"), "px"), probe),
        ("disk edge", _number(calibration.get("edge_px"), "px"), probe),
        ("template", "image of the probe" if calibration.get("pattern") else "flat disk", probe),
        *_lattice_rows(calibration, frames),
        ("broken pixels", str(sum(int(count) for _, count in calibration.get("broken") or ())), frames),
        _known_row("descan", calibration.get("descan"), _descan),
        _known_row("ellipse", calibration.get("ellipse"), _ellipse),
        _known_row("scan axes", calibration.get("scan_axes"), _axes),
        _known_row("pixel", calibration.get("pixel_size"), _pixel),
    ]
    return rows


def _lattice_rows(calibration: Mapping[str, Any], frames: str) -> list[Row]:
    g1, g2 = calibration.get("g1"), calibration.get("g2")
    if not g1 or not g2:
        return [("lattice", "none", str(calibration.get("reason") or "none was found"))]
    angle = degrees(atan2(g1[0] * g2[1] - g1[1] * g2[0], g1[0] * g2[0] + g1[1] * g2[1]))
    rows: list[Row] = [
        (name, f"{_vector(vector)}, length {hypot(*vector):.4g} px", frames)
        for name, vector in (("g1", g1), ("g2", g2))
    ]
    return [
        *rows,
        ("g1 to g2", f"{angle:.2f} degrees, |g1| / |g2| = {hypot(*g1) / max(hypot(*g2), 1e-9):.4f}", ""),
        ("disks", f"{len(calibration.get('hk') or ())}, each within {calibration.get('search_px', 0):.3g} px", frames),
        ("misfit", _number(calibration.get("residual_px"), "px of the disks from the lattice"), frames),
    ]


def _known_row(name: str, part: Mapping[str, Any] | None, tell: Callable[[Mapping[str, Any]], str]) -> Row:
    """A quantity that may be known or not; `tell` says its value where it is."""
    if not part:
        return (name, *UNKNOWN[name])
    residual = part.get("residual_px")
    return (name, tell(part) + ("" if residual is None else f", {residual:.3g} px off"), _origin(part))


def _descan(part: Mapping[str, Any]) -> str:
    return f"{_vector(part.get('per_row'))} per row, {_vector(part.get('per_column'))} per column"


def _ellipse(part: Mapping[str, Any]) -> str:
    return f"{part.get('ratio', 1.0):.5f} to 1, long axis at {part.get('angle_deg', 0.0):.1f} degrees"


def _axes(part: Mapping[str, Any]) -> str:
    flip = FLIPS.get(str(part.get("flip")), str(part.get("flip")))
    return f"{flip}, then turned by {part.get('rotation_deg', 0.0):g} degrees"


def _pixel(part: Mapping[str, Any]) -> str:
    return f"{part.get('size', 0.0):.5g} {part.get('unit', '')}"


def _origin(part: Mapping[str, Any]) -> str:
    if part.get("how") == "as given":
        return GIVEN.get(str(part.get("source")), "as given")
    if part.get("how") == "as the sender says":
        return "as the sender says"
    source = SOURCES.get(str(part.get("source")), str(part.get("source")))
    return f"{source}: {part['how']}" if part.get("how") else source


def _frames(calibration: Mapping[str, Any]) -> str:
    source = SOURCES.get(str(calibration.get("source")), "")
    positions: Sequence[int] = calibration.get("positions") or ()
    frames = f"{len(positions)} frames from position {min(positions)} to {max(positions)}" if positions else ""
    frames = f"the frame at position {positions[0]}" if len(positions) == 1 else frames
    return ": ".join(text for text in (source, frames) if text)


def _vector(value: Any) -> str:
    return f"({value[0]:.4g}, {value[1]:.4g}) px" if value else "none"


def _number(value: Any, unit: str) -> str:
    return f"{value:.4g} {unit}" if isinstance(value, int | float) else "not measured"
