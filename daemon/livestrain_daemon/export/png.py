"""Pictures with a colour bar, units and, where the step is known, a scale bar; grey is not measured."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.export.errors import MissingLibrary
from livestrain_daemon.export.exported import Exported, MapImage
from livestrain_daemon.export.pieces import Piece
from livestrain_wire.messages import ReferenceInfo

STRAINS = ("e_xx", "e_yy", "e_xy")
"""Maps that share one scale."""
GREY = "0.55"
NICE = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
LONGEST_SIDE = 5.0
"""Of a picture [inch]."""


def pieces(scan: Exported) -> Iterable[Piece]:
    """
    A file for each map, and one for the Bragg vector map.

    Raises
    ------
    MissingLibrary
        If there is no matplotlib.
    """
    try:
        import matplotlib  # noqa: F401, PLC0415 - an optional dependency
    except ModuleNotFoundError as error:
        raise MissingLibrary("PNG", error) from error
    strain_limit = _limit([one.values for one in scan.maps if one.name in STRAINS])
    for one in scan.maps:
        yield Piece(_writer(scan, one, strain_limit), f"{one.name}.png")
    if scan.bragg is not None:
        yield Piece(_bragg_writer(scan), "bragg_vector_map.png")


def _writer(scan: Exported, one: MapImage, strain_limit: float) -> Any:
    def write(path: Path) -> None:
        shown, unit = _in_people_s_unit(one)
        low, high = _range(one, strain_limit)
        factor = 100.0 if unit == "%" else 1000.0 if unit == "mrad" else 1.0
        figure, axis = _figure(one.values.shape)
        colours = {"diverging": "RdBu_r", "categorical": "tab10"}.get(one.colours, "viridis")
        image = axis.imshow(
            shown, cmap=_map_of(colours), vmin=factor * low, vmax=factor * high, interpolation="nearest"
        )
        axis.set_title(f"{one.name}\n{_subtitle(scan, one)}", fontsize=8)
        _colour_bar(figure, axis, image, one.name if unit == "1" else f"{one.name} [{unit}]")
        if scan.sizes.step_nm:
            _scale_bar(axis, one.values.shape[1], scan.sizes.step_nm)
        figure.savefig(path, format="png")

    return write


def _bragg_writer(scan: Exported) -> Any:
    def write(path: Path) -> None:
        from matplotlib.colors import LogNorm  # noqa: PLC0415 - an optional dependency

        assert scan.bragg is not None  # noqa: S101 - for the type checker
        pixels = scan.bragg.pixels
        figure, axis = _figure(pixels.shape)
        high = max(float(pixels.max()), 1.0)
        low = high / 1e4
        norm = LogNorm(low, high)
        image = axis.imshow(np.maximum(pixels, low), cmap=_map_of("magma"), norm=norm, interpolation="nearest")
        axis.set_title(f"Bragg vector map\n{scan.scan_id}, revision {scan.revision}", fontsize=8)
        _colour_bar(figure, axis, image, "intensity [counts]")
        figure.savefig(path, format="png")

    return write


def _in_people_s_unit(one: MapImage) -> tuple[NDArray[np.float64], str]:
    values = one.values.astype(np.float64)
    if one.is_strain and one.unit == "1":
        return 100.0 * values, "%"
    if one.unit == "rad":
        return 1000.0 * values, "mrad"
    return values, one.unit


def _range(one: MapImage, strain_limit: float) -> tuple[float, float]:
    """The values at the ends of the scale: symmetric about zero for what has a sign."""
    if one.name in STRAINS:
        return -strain_limit, strain_limit
    if one.colours == "diverging":
        limit = _limit([one.values])
        return -limit, limit
    measured = one.values[np.isfinite(one.values)]
    if not measured.size:
        return 0.0, 1.0
    if one.colours == "categorical":
        return -0.5, 9.5
    low, high = (float(value) for value in np.percentile(measured, [0.5, 99.5]))
    return low, high if high > low else low + 1.0


def _limit(values: list[NDArray[np.float32]]) -> float:
    """A round number that 99.5 % of the magnitudes stay below."""
    measured = np.concatenate([np.abs(one[np.isfinite(one)]).ravel() for one in values] or [np.empty(0, np.float32)])
    reach = float(np.percentile(measured, 99.5)) if measured.size else 1.0
    if not reach > 0:
        return 1.0
    decade = 10.0 ** math.floor(math.log10(reach))
    return decade * next(number for number in NICE if number >= min(reach / decade, NICE[-1]))


def _figure(shape: tuple[int, ...]) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - an optional dependency

    scale = LONGEST_SIDE / max(shape)
    # a scan of one row would be a line
    size = (max(shape[1] * scale, 1.5) + 1.3, max(shape[0] * scale, 1.0) + 0.8)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    axis = figure.subplots()
    axis.set_xticks([])
    axis.set_yticks([])
    return figure, axis


def _map_of(name: str) -> Any:
    from matplotlib import colormaps  # noqa: PLC0415 - an optional dependency

    return colormaps[name].with_extremes(bad=GREY)


def _colour_bar(figure: Any, axis: Any, image: Any, label: str) -> None:
    bar = figure.colorbar(image, ax=axis, shrink=0.85, pad=0.03, aspect=25, extend="both")
    bar.set_label(label)
    bar.outline.set_visible(False)


def _subtitle(scan: Exported, one: MapImage) -> str:
    where = f"{scan.scan_id}, revision {scan.revision}; grey: not measured"
    if not one.is_strain or scan.reference is None:
        return where
    return f"{where}\n{scan.reference.axes} axes, reference: {_reference_line(scan.reference)}"


def _reference_line(reference: ReferenceInfo) -> str:
    """What strain is against, in a few words."""
    if reference.kind != "region" or reference.region is None:
        return {"values": "given vectors", "plan": "the plan's lattice"}.get(reference.kind, reference.kind)
    first_row, first_column, row_after, column_after = reference.region
    return f"region {first_row}:{row_after},{first_column}:{column_after}"


def _scale_bar(axis: Any, columns: int, step_nm: float) -> None:
    """A bar of a round length below a third of the width, in the lower left corner."""
    length_nm = _round_below(columns * step_nm / 3)
    width = length_nm / step_nm / columns
    label = f"{length_nm:g} nm" if length_nm < 1000 else f"{length_nm / 1000:g} µm"
    # on white, as the map may be as dark as the bar
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5}
    place = {"transform": axis.transAxes, "ha": "center", "va": "bottom", "fontsize": 8}
    axis.text(0.04 + width / 2, 0.05, label, bbox=box, **place)
    axis.plot([0.04, 0.04 + width], [0.035, 0.035], transform=axis.transAxes, color="w", lw=5, solid_capstyle="butt")
    axis.plot([0.04, 0.04 + width], [0.035, 0.035], transform=axis.transAxes, color="k", lw=3, solid_capstyle="butt")


def _round_below(value: float) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    return decade * max(number for number in (1.0, 2.0, 5.0) if number <= max(value / decade, 1.0))
