"""A case as an HDF5 file: the frames, what a microscopist would have beside them, and the truth."""

import json
from dataclasses import asdict
from math import isinf
from pathlib import Path

import h5py
import numpy as np

from livestrain_simulator.cases.bound import bound
from livestrain_simulator.cases.case import Case
from livestrain_simulator.cases.render import Rendering

MODES = (0, 6)
"""Numbers of unknown intensity terms of which the bound is written."""
SPELLED = {"hexagonal": "hex"}
"""Lattices whose name in files is another."""


def write_case(folder: Path, case: Case) -> Path:
    """
    Render a case and save it as `NAME.h5`.

    Parameters
    ----------
    folder
        Where the file goes.
    case
        What to render.

    Returns
    -------
    Path
        The file.

    Notes
    -----
    Datasets: frames (scan_rows, scan_columns, rows, columns), usable_pixels, vacuum_probe, and, but for polycrystals,
    hk (m, 2) and G0 (2, 2) with g1 and g2 as columns; truth/positions, electrons, visible of each disk, centre,
    probe_centre, and, but for polycrystals, e00, e11, e01, theta, F, G. Attributes: the case's values, and
    bound_modes_N where there is noise.
    """
    rendering = Rendering(case)
    path = folder / f"{case.name}.h5"
    partial = path.with_suffix(".partial")
    with h5py.File(partial, "w") as file:
        _write_frames(file, rendering)
        _write_truth(file.create_group("truth"), rendering)
        for name, value in _attributes(rendering).items():
            file.attrs[name] = value
    partial.replace(path)
    return path


def _write_frames(file: h5py.File, rendering: Rendering) -> None:
    case = rendering.case
    dtype = np.float32 if isinf(case.dose) else np.uint16
    frames = file.create_dataset(
        "frames", (*case.scan_shape, *case.shape), dtype, chunks=(1, 1, *case.shape), compression="gzip"
    )
    columns = case.scan_shape[1]
    for position, frame in enumerate(rendering.frames()):
        frames[position // columns, position % columns] = frame
    file["usable_pixels"] = rendering.usable
    file["vacuum_probe"] = rendering.vacuum_probe()
    if not case.grains:
        file["hk"] = rendering.hk
        file["G0"] = rendering.reference


def _write_truth(group: h5py.Group, rendering: Rendering) -> None:
    scan = rendering.case.scan_shape
    group["positions"] = rendering.positions.reshape(*scan, -1, 2)
    group["electrons"] = rendering.electrons.reshape(*scan, -1)
    group["visible"] = rendering.visible().reshape(*scan, -1)
    group["centre"] = rendering.centres
    group["probe_centre"] = rendering.case.middle
    if rendering.case.grains:
        return
    for name, values in zip(("e00", "e11", "e01", "theta"), np.moveaxis(rendering.field, -1, 0), strict=True):
        group[name] = values
    group["F"] = rendering.deformation
    group["G"] = rendering.columns


def _attributes(rendering: Rendering) -> dict[str, str | float | int]:
    case = rendering.case
    attributes: dict[str, str | float | int] = {
        "lattice": "polycrystal" if case.grains else SPELLED.get(case.lattice, case.lattice),
        "spacing_px": case.spacing_px,
        "radius_px": case.radius_px,
        "edge_px": case.edge_px,
        "dose_electrons": case.dose,
        "nonuniformity": case.nonuniformity,
        "contrast": case.contrast,
        "aperture": case.aperture,
        "case": json.dumps(asdict(case)),
    }
    if not (isinf(case.dose) or case.grains):
        for modes in MODES:
            attributes[f"bound_modes_{modes}"] = json.dumps(bound(rendering, modes))
    return attributes
