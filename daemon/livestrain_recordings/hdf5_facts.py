"""What the attributes around a dataset of HDF5 tell of a scan."""

import json
from itertools import islice
from typing import Any

import h5py
import numpy as np

from livestrain_recordings.recording import LONGEST_TEXT, MOST_FACTS, Fact
from livestrain_recordings.units import Axis, axis_facts, is_frequency, is_length

START_FACTS = ("step_nm", "energy_kev", "semiangle_mrad", "pixel_size_mrad")
TEM = "metadata/Acquisition_instrument/TEM"
"""Where HyperSpy keeps the microscope, below the dataset's group."""
TEM_FACTS = {"beam_energy": "energy_kev", "convergence_angle": "semiangle_mrad"}
"""In the units that HyperSpy has for them, which are ours."""


def facts_of(dataset: Any) -> dict[str, Fact]:
    """
    Scalar attributes of a dataset, of the groups above it and of the file; the nearest wins.

    Steps and pixel sizes from the axes that HyperSpy or an EMD file describe beside the dataset are among them, by the
    names that `livestrain_recordings.optics` knows.
    """
    facts: dict[str, Fact] = {}
    item = dataset
    while True:
        if item.name == "/" and "start" in item.attrs:
            # livestrain's own file: its other attributes are about the file, not the scan
            return {**_recorded_start(item), **facts}
        for name in islice(item.attrs, MOST_FACTS - len(facts)):
            value = _attribute(item, name)
            if value is not None:
                facts.setdefault(name, value)
        if item.name == "/":
            return {**_described(dataset), **facts}
        item = item.parent


def is_turned(dataset: Any) -> bool:
    """
    Whether the axes of the frame come first, and those of the scan last, each the other way round.

    HyperSpy writes EMD files like that; the units of their axes tell.
    """
    axes = _axes(dataset)
    return len(axes) == 4 and all(
        axis is not None and unit(axis) for axis, unit in zip(axes, (is_frequency,) * 2 + (is_length,) * 2, strict=True)
    )


def plain(value: object) -> Fact | None:
    """A value of HDF5 as one of Python's; None if it is no short text and no number."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, (str, int, float, bool)) and len(str(value)) <= LONGEST_TEXT else None


def _attribute(item: Any, name: str) -> Fact | None:
    try:
        value = item.attrs[name]
    except (OSError, TypeError, ValueError, RuntimeError):
        # of a type that h5py does not know: nothing that a scan has a word for
        return None
    return None if isinstance(value, np.ndarray) else plain(value)


def _recorded_start(file: Any) -> dict[str, Fact]:
    """What the start message of a scan said that livestrain itself has recorded."""
    try:
        start = json.loads(file.attrs["start"])
    except (TypeError, ValueError, RecursionError):
        return {}
    if not isinstance(start, dict):
        return {}
    metadata = start.pop("metadata", {})
    kept = {name: start[name] for name in START_FACTS if start.get(name) is not None}
    return {**(metadata if isinstance(metadata, dict) else {}), **kept}


def _described(dataset: Any) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    tem = dataset.parent.get(TEM)
    for name, ours in TEM_FACTS.items() if isinstance(tem, h5py.Group) else ():
        value = _attribute(tem, name)
        if isinstance(value, (int, float)):
            facts[ours] = value
    axes = _axes(dataset)[:: -1 if is_turned(dataset) else 1]
    scan, frame = ([axis for axis in some if axis] for some in (axes[:-2], axes[-2:]))
    energy = facts.get("energy_kev")
    return {**axis_facts(scan, frame, energy if isinstance(energy, (int, float)) else None), **facts}


def _axes(dataset: Any) -> list[Axis | None]:
    return [_axis(dataset.parent, number) for number in range(dataset.ndim)]


def _axis(group: Any, number: int) -> Axis | None:
    """Of HyperSpy's ``axis-0``, or of the first two values of EMD's ``dim0`` or, from one on, ``dim1``."""
    hyperspy = group.get(f"axis-{number}")
    if isinstance(hyperspy, h5py.Group):
        scale, units = _attribute(hyperspy, "scale"), _attribute(hyperspy, "units")
        return Axis(float(scale), str(units)) if isinstance(scale, (int, float)) else None
    dim = group.get(f"dim{number if 'dim0' in group else number + 1}")
    if not isinstance(dim, h5py.Dataset) or len(dim.shape or ()) != 1 or len(dim) < 2 or dim.dtype.kind not in "uif":
        return None
    values = dim[:2].astype(float)
    return Axis(float(values[1] - values[0]), str(_attribute(dim, "units")))
