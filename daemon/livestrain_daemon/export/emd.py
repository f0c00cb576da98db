"""
The parts of EMD 1.0 that an export needs: nodes of a tree, each with data and metadata.

References
----------
https://emdatasets.com/format/
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

BUNDLE = "metadatabundle"
"""The group in a node that holds its metadata."""
Value = str | bool | int | float | tuple[int, ...] | NDArray[Any]


def add_root(file: h5py.File, name: str) -> h5py.Group:
    """Makes a new file an EMD file, and gives its root."""
    file.attrs.update(
        emd_group_type="file",
        version_major=1,
        version_minor=0,
        UUID=str(uuid.uuid4()),
        authoring_program="livestrain",
        authoring_user="",
    )
    return add_node(file, name, "root", "Root")


def add_node(parent: h5py.Group, name: str, kind: str, python_class: str) -> h5py.Group:
    """A group of a kind that readers know."""
    node = parent.create_group(name)
    node.attrs.update(emd_group_type=kind, python_class=python_class)
    return node


def add_metadata(
    node: h5py.Group, name: str, values: Mapping[str, Value], python_class: str = "Metadata"
) -> h5py.Group:
    """A bundle of named values."""
    bundle = node.require_group(BUNDLE)
    bundle.attrs["emd_group_type"] = "metadatabundle"
    group = add_node(bundle, name, "metadata", python_class)
    for key, value in values.items():
        stored, kind = _stored(value)
        group[key] = stored
        group[key].attrs["type"] = kind
    return group


def add_strings(group: h5py.Group, name: str, strings: Sequence[str]) -> None:
    """A list of text in metadata."""
    held = group.create_group(name)
    held.attrs.update(type="list_of_strings", length=len(strings))
    for number, text in enumerate(strings):
        held[str(number)] = text


def add_image(
    parent: h5py.Group, name: str, values: NDArray[Any], unit: str, step: tuple[float, str], labels: Sequence[str] = ()
) -> h5py.Group:
    """
    An image over the scan, or a stack of them.

    Parameters
    ----------
    values : (scan_rows, scan_columns), or (labels, scan_rows, scan_columns)
        The image, or one for each label.
    step
        Distance of scan positions and its unit.
    """
    node = add_node(parent, name, "array", "RealSlice")
    node.create_dataset("data", data=values).attrs["units"] = unit
    for number, axis in enumerate(("Rx", "Ry")):
        # an even axis is given by its first two values
        held = node.create_dataset(f"dim{number}", data=np.array([0.0, step[0]]))
        held.attrs.update(name=axis, units=step[1])
    if labels:
        node.create_dataset("dim2", data=list(labels), dtype=h5py.string_dtype()).attrs["name"] = "_labels_"
    return node


def as_text(facts: Mapping[str, Any]) -> dict[str, Value]:
    """Facts as metadata: what is nested becomes JSON."""
    return {
        key: value if isinstance(value, str | bool | int | float) else json.dumps(value) for key, value in facts.items()
    }


def _stored(value: Value) -> tuple[Any, str]:
    match value:
        case bool():
            return value, "bool"
        case str():
            return value, "string"
        case int() | float():
            return value, "number"
        case tuple():
            return np.array(value), "tuple"
    return np.asarray(value), "array"
