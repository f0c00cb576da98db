"""
HyperSpy's own HDF5 markup, version 3.3: one signal for each map, a stack of the virtual images, the Bragg vector map.

References
----------
https://hyperspy.org/rosettasciio/file_specification/hspy.html
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.export.exported import Exported
from livestrain_daemon.export.hdf5_file import made_in_memory
from livestrain_daemon.export.pieces import Piece, refuse_twice

NONE = "_None_"
"""What stands for None."""
STACK, BRAGG = "virtual_images", "bragg_vector_map"
"""Signals beside the maps."""
MOST_TEXT = 30_000
"""HDF5 attributes hold at most 64 KiB; longer text is cut, which it then says [characters]."""


@dataclass(frozen=True)
class Axis:
    """An axis of a signal; evenly spaced from 0 on unless an offset is given."""

    name: str
    size: int
    scale: float = 1.0
    units: str = NONE
    offset: float = 0.0
    navigate: bool = False


def pieces(scan: Exported) -> Iterable[Piece]:
    """One file with all signals."""
    stack = [STACK] if any(one.is_virtual for one in scan.maps) else []
    bragg = [BRAGG] if scan.read_bragg else []
    refuse_twice("signals", [*(one.name for one in scan.maps), *stack, *bragg])

    def write(path: Path) -> None:
        with made_in_memory(path) as file:
            file.attrs.update(file_format="HyperSpy", file_format_version="3.3")
            experiments = file.create_group("Experiments")
            for one in scan.maps:
                told = {"unit": one.unit, "description": one.description}
                _add(experiments, one.name, one.values, _scan_axes(scan), _quantity(one.name, one.unit), told, scan)
            _add_stack(experiments, scan)
            _add_bragg(experiments, scan)

    return [Piece(write)]


def _add_stack(experiments: h5py.Group, scan: Exported) -> None:
    images = [one for one in scan.maps if one.is_virtual]
    if not images:
        return
    names = [one.name for one in images]
    axes = (Axis("virtual detector", len(images), navigate=True), *_scan_axes(scan))
    told = {"virtual_detectors": ", ".join(names)}
    stack = np.stack([one.values for one in images])
    _add(experiments, STACK, stack, axes, "intensity (counts)", told, scan)


def _add_bragg(experiments: h5py.Group, scan: Exported) -> None:
    if scan.bragg is None:
        return
    size, units = scan.sizes.detector or 1.0, scan.sizes.detector_unit or "px"
    origin = scan.origin if scan.sizes.detector else (0.0, 0.0)
    sides = zip(("kx", "ky"), scan.bragg.pixels.shape, origin, strict=True)
    # zero of a calibrated axis is the direct beam
    axes = tuple(Axis(name, side, size, units, -size * centre) for name, side, centre in sides)
    _add(experiments, BRAGG, scan.bragg.pixels, axes, "intensity (counts)", scan.bragg.about, scan)


def _scan_axes(scan: Exported) -> tuple[Axis, Axis]:
    rows, columns = scan.scan_shape
    step, units = scan.sizes.step_nm or 1.0, "nm" if scan.sizes.step_nm else "px"
    return Axis("y", rows, step, units), Axis("x", columns, step, units)


def _quantity(name: str, unit: str) -> str:
    return f"{name} ({unit})"


def _add(
    experiments: h5py.Group,
    title: str,
    data: NDArray[Any],
    axes: tuple[Axis, ...],
    quantity: str,
    told: Mapping[str, Any],
    scan: Exported,
) -> None:
    """One signal."""
    group = experiments.create_group(title)
    group.attrs.update(package="hyperspy", package_version="2.0")
    group.create_dataset("data", data=data, compression="gzip", shuffle=True)
    for number, axis in enumerate(axes):
        group.create_group(f"axis-{number}").attrs.update(
            _type="UniformDataAxis",
            is_binned=np.bool_(False),
            name=axis.name,
            navigate=np.bool_(axis.navigate),
            offset=float(axis.offset),
            scale=float(axis.scale),
            size=axis.size,
            units=axis.units,
        )
    group.create_group("attributes").attrs.update(_lazy=np.bool_(False), ragged=np.bool_(False))
    group.create_group("learning_results")
    group.create_group("original_metadata")
    facts = {**scan.about, "map": {"name": title, **told}}
    _add_facts(
        group.create_group("metadata"),
        {
            "General": {"title": title},
            "Signal": {"signal_type": "", "quantity": quantity},
            "_HyperSpy": {
                "Folding": {"original_axes_manager": NONE, "original_shape": NONE}
                | {"signal_unfolded": np.bool_(False), "unfolded": np.bool_(False)}
            },
            "livestrain": {"version": version("livestrain"), **facts},
        },
    )


def _add_facts(group: h5py.Group, facts: Mapping[str, Any]) -> None:
    """Nested facts as groups and attributes; what HDF5 has no type for, as JSON."""
    for name, value in facts.items():
        # the sender's metadata may have names that HDF5 has not
        if isinstance(value, Mapping) and name != "metadata":
            _add_facts(group.create_group(name), value)
        elif value is None:
            group.attrs[name] = NONE
        elif isinstance(value, bool | int | float | np.bool_):
            group.attrs[name] = value
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            group.attrs[name] = text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} (cut)"
