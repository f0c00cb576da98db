"""Strain maps as a picture for papers and READMEs; needs matplotlib, which is imported only here."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_client.colours import STRAIN_MAPS

LABELS = {"e_xx": "$e_{xx}$", "e_yy": "$e_{yy}$", "e_xy": "$e_{xy}$", "theta": r"$\theta$"}
NICE = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
GREY = "0.55"


def strain_figure(
    maps: Mapping[str, NDArray[Any]],
    path: Path,
    title: str = "",
    truth: Mapping[str, NDArray[Any]] | None = None,
    step_nm: float | None = None,
) -> None:
    """
    Draw strain and rotation with one locked colour scale for all strains, symmetric about zero.

    Parameters
    ----------
    maps : (scan_rows, scan_columns) each
        Of e_xx, e_yy, e_xy [1] and theta [rad] those that there are; NaN becomes grey.
    path
        The PNG file to write.
    title
        A line above.
    truth : (scan_rows, scan_columns) each, optional
        The same maps as they should be, for a second row.
    step_nm
        Distance of scan positions, for a scale bar [nm].

    Raises
    ------
    ValueError
        If there is none of the maps.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - an optional dependency

    names = [name for name in LABELS if name in maps]
    if not names:
        raise ValueError(f"expected some of {', '.join(LABELS)}, found {', '.join(maps) or 'nothing'}")
    rows = [("measured", maps)] if truth is None else [("measured", maps), ("true", truth)]
    aspect = maps[names[0]].shape[0] / maps[names[0]].shape[1]
    panel = 2.6
    figure = Figure(
        figsize=(panel * len(names) + 1.8, panel * min(aspect, 2.0) * len(rows) + 0.75), dpi=150, layout="constrained"
    )
    axes = figure.subplots(len(rows), len(names), squeeze=False)
    for index, (label, _) in enumerate(rows):
        axes[index, 0].set_ylabel(label if len(rows) > 1 else "", fontsize=11)
    for group, unit, factor in (([n for n in names if n in STRAIN_MAPS], "%", 100.0), (["theta"], "mrad", 1000.0)):
        present = [name for name in group if name in names]
        if present:
            _draw_group(figure, axes, rows, [names.index(name) for name in present], names, unit, factor)
    if step_nm is not None:
        _scale_bar(axes[0, 0], maps[names[0]].shape[1], step_nm)
    if title:
        figure.suptitle(title, fontsize=12)
    figure.savefig(path)


def _draw_group(
    figure: Any,
    axes: Any,
    rows: list[tuple[str, Mapping[str, NDArray[Any]]]],
    columns: list[int],
    names: list[str],
    unit: str,
    factor: float,
) -> None:
    """Maps that share a colour scale, and their colour bar."""
    from matplotlib import colormaps  # noqa: PLC0415 - an optional dependency

    limit = _nice_limit(factor, [values[names[c]] for _, values in rows for c in columns if names[c] in values])
    colours = colormaps["RdBu_r"].with_extremes(bad=GREY)
    image = None
    for index, (_, values) in enumerate(rows):
        for column in columns:
            axis = axes[index, column]
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set(linewidth=0.6, color="0.3")
            if index == 0:
                axis.set_title(LABELS[names[column]], fontsize=13)
            if names[column] not in values:
                axis.set_visible(False)
                continue
            shown = np.ma.masked_invalid(factor * np.asarray(values[names[column]], float))
            image = axis.imshow(shown, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
    bar = figure.colorbar(image, ax=axes[:, columns[-1]], shrink=0.85, pad=0.03, aspect=25, extend="both")
    bar.set_label(f"strain [{unit}]" if unit == "%" else f"rotation [{unit}]")
    bar.outline.set_visible(False)


def _nice_limit(factor: float, values: list[NDArray[Any]]) -> float:
    """A round number that 99.5 % of the values stay below."""
    measured = np.concatenate([np.abs(value[np.isfinite(value)]).ravel() for value in values])
    reach = factor * float(np.percentile(measured, 99.5)) if measured.size else 1.0
    if reach <= 0:
        return 1.0
    decade = 10.0 ** math.floor(math.log10(reach))
    return decade * next(number for number in NICE if number >= min(reach / decade, NICE[-1]))


def _scale_bar(axis: Any, columns: int, step_nm: float) -> None:
    """A bar of a round length, about a quarter of the width, in the lower left corner."""
    length_nm = _round_below(columns * step_nm / 3)
    width = length_nm / step_nm / columns
    axis.plot([0.06, 0.06 + width], [0.07, 0.07], transform=axis.transAxes, color="k", lw=3, solid_capstyle="butt")
    label = f"{length_nm:g} nm" if length_nm < 1000 else f"{length_nm / 1000:g} µm"
    axis.text(0.06 + width / 2, 0.09, label, transform=axis.transAxes, ha="center", va="bottom", fontsize=9)


def _round_below(value: float) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    return decade * max(number for number in (1.0, 2.0, 5.0) if number <= max(value / decade, 1.0))
