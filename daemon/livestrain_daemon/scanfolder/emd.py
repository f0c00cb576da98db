"""
The groups that make a file with a 4D-STEM scan an EMD 1.0 file, which py4DSTEM opens as a data cube.

References
----------
https://emdatasets.com/format/
"""

import uuid

import h5py
import numpy as np

from livestrain_daemon.scanfolder import hdf5
from livestrain_wire.messages import ScanStart

FRAMES = "scan/frames/data"
"""The dataset of all frames."""


def add_cube(file: h5py.File, start: ScanStart) -> h5py.Dataset:
    """
    The dataset of all frames, with what EMD wants around it.

    Parameters
    ----------
    start
        Gives the shape and, where known, the calibration.

    Returns
    -------
    h5py.Dataset
        (scan_rows, scan_columns, rows, columns)
    """
    shape = (*start.scan_shape, *start.frame_shape)
    frames = hdf5.add_dataset(file, FRAMES, shape, np.dtype(start.dtype).newbyteorder("<"))
    describe(file, start)
    return frames


def describe(file: h5py.File, start: ScanStart) -> None:
    """What EMD wants around the dataset of all frames."""
    frames = file[FRAMES]
    frames.attrs["units"] = "pixel intensity"
    file["frames"] = frames
    file.attrs.update(
        emd_group_type="file",
        version_major=1,
        version_minor=0,
        UUID=str(uuid.uuid4()),
        authoring_program="livestrain",
        authoring_user="",
    )
    file["scan"].attrs.update(emd_group_type="root", python_class="Root")
    file["scan/frames"].attrs.update(emd_group_type="array", python_class="DataCube")
    _add_axes(file["scan/frames"], start)
    _add_calibration(file["scan"], start)


def _add_axes(cube: h5py.Group, start: ScanStart) -> None:
    for number, name in enumerate(("Rx", "Ry", "Qx", "Qy")):
        step, unit = (start.step_nm, "nm") if number < 2 else (start.pixel_size_mrad, "mrad")
        # an even axis is given by its first two values
        axis = cube.create_dataset(f"dim{number}", data=np.array([0.0, step or 1.0]))
        axis.attrs.update(name=name, units=unit if step else "pixels")


def _add_calibration(root: h5py.Group, start: ScanStart) -> None:
    calibration = root.create_group("metadatabundle/calibration")
    root["metadatabundle"].attrs["emd_group_type"] = "metadatabundle"
    calibration.attrs.update(emd_group_type="metadata", python_class="Calibration")
    for axis, size, unit in (("R", start.step_nm, "nm"), ("Q", start.pixel_size_mrad, "mrad")):
        _add_value(calibration, f"{axis}_pixel_size", "number", float(size or 1.0))
        _add_value(calibration, f"{axis}_pixel_units", "string", unit if size else "pixels")
    _add_value(calibration, "QR_flip", "bool", False)
    _add_value(calibration, "_root_treepath", "string", "")
    paths = calibration.create_group("_target_paths")
    paths.attrs.update(type="list_of_strings", length=1)
    paths["0"] = "/frames"


def _add_value(group: h5py.Group, name: str, kind: str, value: float | str | bool) -> None:
    group[name] = value
    group[name].attrs["type"] = kind
