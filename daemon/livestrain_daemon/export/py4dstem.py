"""
One EMD 1.0 file for py4DSTEM 0.14: Bragg vectors, calibration, strain and virtual images. Written with h5py alone.

The Bragg vectors are raw, in pixels: py4DSTEM applies the calibration (centre, ellipse, pixel size, rotation) itself.
"""

from collections.abc import Iterable
from math import atan2, sqrt
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.export import emd
from livestrain_daemon.export.errors import NothingToExport
from livestrain_daemon.export.exported import Exported
from livestrain_daemon.export.hdf5_file import made_in_memory
from livestrain_daemon.export.pieces import Piece, refuse_twice
from livestrain_daemon.vectors import Vectors

STRAIN_NODE, VECTOR_NODE = "strain_map", "_v_uncal"
STRAIN = ("e_xx", "e_yy", "e_xy", "theta")
_VECTOR = np.dtype([("qx", "<f8"), ("qy", "<f8"), ("intensity", "<f8")])
_EXCHANGE = np.array([[0.0, 1.0], [1.0, 0.0]])


def pieces(scan: Exported) -> Iterable[Piece]:
    """
    One file.

    Raises
    ------
    NothingToExport
        If there are no Bragg vectors.
    """
    if scan.vectors is None:
        raise NothingToExport(
            f"revision {scan.revision} of scan {scan.scan_id} has no Bragg vectors: its plan looks for no disks"
        )
    vectors = scan.vectors
    maps = [one.name for one in scan.maps if one.name not in STRAIN]
    refuse_twice("nodes", [*maps, STRAIN_NODE, VECTOR_NODE, emd.BUNDLE])

    def write(path: Path) -> None:
        with made_in_memory(path) as file:
            root = emd.add_root(file, "livestrain")
            node = emd.add_node(root, "braggvectors", "custom", "BraggVectors")
            _add_vectors(node, scan, vectors)
            _add_maps(node, scan)
            _add_calibration(root, scan)

    return [Piece(write)]


def _add_vectors(node: h5py.Group, scan: Exported, vectors: Vectors) -> None:
    shapes: dict[str, emd.Value] = {"Rshape": scan.scan_shape, "Qshape": scan.frame_shape}
    emd.add_metadata(node, "_braggvectors_shape", shapes)
    emd.add_metadata(node, "livestrain", emd.as_text(scan.about))
    held = emd.add_node(node, VECTOR_NODE, "custom_pointlistarray", "PointListArray")
    data = held.create_dataset("data", scan.scan_shape, h5py.vlen_dtype(_VECTOR))
    lists = np.empty(scan.scan_shape, data.dtype)
    for place, position, intensity in zip(np.ndindex(scan.scan_shape), *vectors, strict=True):
        lists[place] = _points(position, intensity)
    # written below h5py's indexing, which takes lists of equal length for one array
    data.id.write(h5py.h5s.ALL, h5py.h5s.ALL, lists)


def _points(position: NDArray[np.float32], intensity: NDArray[np.float32]) -> NDArray[np.void]:
    """The vectors of one position, without those not found."""
    good = np.isfinite(position).all(axis=1) & np.isfinite(intensity)
    found = np.empty(int(good.sum()), _VECTOR)
    found["qx"], found["qy"] = position[good].T
    found["intensity"] = intensity[good]
    return found


def _add_maps(node: h5py.Group, scan: Exported) -> None:
    step = (scan.sizes.step_nm or 1.0, "nm" if scan.sizes.step_nm else "pixels")
    strain = [one for name in STRAIN if (one := scan.map(name)) is not None]
    if strain:
        images = [one.values for one in strain]
        measured = np.isfinite(images).all(axis=0)
        stack = np.stack([*images, measured.astype(np.float32)])
        held = emd.add_image(node, STRAIN_NODE, stack, "1; theta rad", step, [*(one.name for one in strain), "mask"])
        emd.add_metadata(held, "livestrain", emd.as_text(scan.about["strain"]))
    for one in scan.maps:
        if one.name not in STRAIN:
            held = emd.add_image(node, one.name, one.values, one.unit, step)
            emd.add_metadata(held, "livestrain", {"description": one.description, "unit": one.unit})


def _add_calibration(root: h5py.Group, scan: Exported) -> None:
    sizes = scan.sizes
    pixel, unit = _reciprocal(scan)
    values: dict[str, emd.Value] = {
        "R_pixel_size": sizes.step_nm or 1.0,
        "R_pixel_units": "nm" if sizes.step_nm else "pixels",
        "Q_pixel_size": pixel,
        "Q_pixel_units": unit,
        "_root_treepath": "",
        **_origins(scan),
    }
    if sizes.to_scan is not None:
        rotation, flip = rotation_and_flip(sizes.to_scan)
        values |= {"QR_rotation": rotation, "QR_rotation_degrees": float(np.degrees(rotation)), "QR_flip": flip}
    if sizes.ellipse is not None:
        ratio, angle = sizes.ellipse
        values |= {"a": sqrt(ratio), "b": 1 / sqrt(ratio), "theta": angle}
    calibration = emd.add_metadata(root, "calibration", values, "Calibration")
    emd.add_strings(calibration, "_target_paths", ["/braggvectors"])


def _reciprocal(scan: Exported) -> tuple[float, str]:
    """Pixel size in a unit that py4DSTEM knows."""
    size, unit = scan.sizes.detector, scan.sizes.detector_unit
    # ours keeps the area of an ellipse, py4DSTEM's correction keeps its short axis
    larger = 1.0 if scan.sizes.ellipse is None else sqrt(scan.sizes.ellipse[0])
    if size is None:
        return larger, "pixels"
    return (larger * size / 10.0, "A^-1") if unit == "1/nm" else (larger * size, "mrad")


def _origins(scan: Exported) -> dict[str, emd.Value]:
    """The centre of each position; where it was not measured, the median of the others, or the plan's."""
    rows, columns = scan.scan_shape
    measured = np.full((rows, columns, 2), np.nan) if scan.centres is None else scan.centres
    good = np.asarray(np.isfinite(measured).all(axis=2))
    usual = np.median(measured[good], axis=0) if good.any() else np.array(scan.origin)
    used = np.where(good[..., None], measured, usual)
    values: dict[str, emd.Value] = {}
    for number, axis in enumerate(("qx0", "qy0")):
        mean = float(used[..., number].mean())
        values |= {
            axis: used[..., number].copy(),
            f"{axis}_mean": mean,
            f"{axis}_shift": used[..., number] - mean,
            f"{axis}_meas": measured[..., number].copy(),
        }
    return values


def rotation_and_flip(to_scan: NDArray[np.float64]) -> tuple[float, bool]:
    """
    A turn, and whether the axes are exchanged before it, for any orthogonal matrix.

    Parameters
    ----------
    to_scan : (2, 2)
        Takes a direction on the detector to the scan.

    Returns
    -------
    rotation
        From axis 0 towards axis 1 [rad].
    flip
        True where axis 0 and axis 1 are exchanged.
    """
    flip = bool(np.linalg.det(to_scan) < 0)
    turn = to_scan @ _EXCHANGE if flip else to_scan
    return atan2(turn[1, 0], turn[0, 0]), flip
