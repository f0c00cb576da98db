"""Values to colours, without a plotting library."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from livestrain_wire.messages import MapInfo

STRAIN_MAPS = ("e_xx", "e_yy", "e_xy")
SHOWN_FIRST = (*STRAIN_MAPS, "theta")
STRAIN_LIMIT = 0.03
"""Colours of strain maps reach from minus to plus this, unless the map says otherwise [1]."""
ROTATION_SCALES = (5e-3, 10e-3, 20e-3)
"""Smaller scales for the rotation [rad]."""
ROTATION_LIMIT = float(np.deg2rad(3.0))
"""The same for rotation [rad]."""
STEPS = 64
"""Colours of a scale; few, so that their terminal styles can be remembered."""
NO_DATA = (96, 96, 96)
"""Grey, which no scale contains."""

Rgb = NDArray[np.uint8]
"""(rows, columns, 3)."""
Kind = Literal["sequential", "diverging", "categorical"]

# Anchors of the scales, evenly spaced; in the order blue, white, red, and from dark to bright.
_ANCHORS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "diverging": (
        (5, 48, 97),
        (33, 102, 172),
        (67, 147, 195),
        (146, 197, 222),
        (209, 229, 240),
        (247, 247, 247),
        (253, 219, 199),
        (244, 165, 130),
        (214, 96, 77),
        (178, 24, 43),
        (103, 0, 31),
    ),
    "sequential": ((0, 0, 4), (60, 15, 112), (140, 41, 129), (222, 73, 104), (254, 159, 109), (252, 253, 191)),
    "categorical": ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189), (23, 190, 207)),
}


def _scale(kind: str) -> Rgb:
    anchors = np.array(_ANCHORS[kind], float)
    at = np.linspace(0, len(anchors) - 1, STEPS)
    table = np.stack([np.interp(at, np.arange(len(anchors)), anchors[:, part]) for part in range(3)], axis=1)
    return table.round().astype(np.uint8)


_TABLES = {kind: _scale(kind) for kind in ("diverging", "sequential")}


@dataclass(frozen=True)
class ColourScale:
    """Which colours, and the values at their ends."""

    kind: Kind
    low: float
    high: float

    def colours(self, values: NDArray[Any]) -> Rgb:
        """
        Values as colours.

        Parameters
        ----------
        values : (rows, columns)
            NaN becomes grey.

        Returns
        -------
        (rows, columns, 3)
        """
        numbers = np.asarray(values, float)
        missing = ~np.isfinite(numbers)
        filled = np.where(missing, self.low, numbers)
        if self.kind == "categorical":
            table = np.array(_ANCHORS["categorical"], np.uint8)
            colours = table[filled.astype(np.int64) % len(table)]
        else:
            span = self.high - self.low or 1.0
            steps = np.clip(np.floor((filled - self.low) / span * STEPS), 0, STEPS - 1).astype(np.intp)
            colours = _TABLES[self.kind][steps]
        colours[missing] = NO_DATA
        return colours


def scale_of(info: MapInfo, values: NDArray[Any]) -> ColourScale:
    """
    The colours that suit a map: fixed for strain and rotation, else spread over the values measured.

    Parameters
    ----------
    info
        What the map holds.
    values : (rows, columns)
        NaN where not measured.
    """
    limit = info.limit
    if info.name in STRAIN_MAPS:
        limit = limit or STRAIN_LIMIT
    elif info.name == "theta":
        limit = _rotation_limit(values, limit or ROTATION_LIMIT)
    if limit is not None and (info.colours == "diverging" or info.name in SHOWN_FIRST):
        return ColourScale("diverging", -limit, limit)
    measured = values[np.isfinite(values)]
    if not measured.size:
        return ColourScale(info.colours, 0.0, 1.0)
    low, high = (float(value) for value in np.percentile(measured, [1, 99]))
    if info.colours == "diverging":
        reach = max(abs(low), abs(high))
        return ColourScale("diverging", -reach, reach)
    return ColourScale(info.colours, low, high)


def _rotation_limit(values: NDArray[Any], largest: float) -> float:
    """The smallest usual scale that most of the rotations fit on: bends of a few mrad drown on one of degrees [rad]."""
    measured = np.abs(values[np.isfinite(values)])
    if not measured.size:
        return largest
    reach = float(np.percentile(measured, 98))
    return next((limit for limit in ROTATION_SCALES if reach <= limit < largest), largest)
