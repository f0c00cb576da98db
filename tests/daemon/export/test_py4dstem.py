"""
py4DSTEM 0.14 reads our export. It needs numpy 1, so it lives in an environment of its own; LIVESTRAIN_PEERS_PYTHON
names that environment's interpreter, and without it the tests that need it skip.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from daemon.small_scan import CAMERA, POSITIONS, SCAN, known_plan
from livestrain_daemon.export import Choice, Exported, NothingToExport, read_scan, write_scan
from livestrain_daemon.export.py4dstem import rotation_and_flip

PEERS_PYTHON = os.environ.get("LIVESTRAIN_PEERS_PYTHON", "")

needs_py4dstem = pytest.mark.skipif(
    not PEERS_PYTHON, reason="py4DSTEM is not here: LIVESTRAIN_PEERS_PYTHON names no interpreter that has it"
)

LOOK = """
import json, sys, numpy as np, py4DSTEM
found = py4DSTEM.read(sys.argv[1])
def listed(vectors):
    shape = found.Rshape
    fields = ("qx", "qy", "intensity")
    return [[vectors[r, c].data[f].tolist() for f in fields] for r in range(shape[0]) for c in range(shape[1])]
strain = found.tree("strain_map")
calibration = found.calibration
told = {
    "type": type(found).__name__,
    "shapes": [[int(side) for side in shape] for shape in (found.Rshape, found.Qshape)],
    "raw": listed(found.raw),
    "state": {key: bool(value) for key, value in found.calstate.items()},
    "cal": listed(found.cal),
    "origin": [np.asarray(axis).tolist() for axis in calibration.get_origin()],
    "r": [calibration.get_R_pixel_size(), calibration.get_R_pixel_units()],
    "q": [calibration.get_Q_pixel_size(), calibration.get_Q_pixel_units()],
    "labels": list(strain.slicelabels),
    "strain": {name: strain.get_slice(name).data.tolist() for name in strain.slicelabels},
    "convention": strain.metadata["livestrain"]["convention"],
    "bright_field": found.tree("bright_field").data.tolist(),
    "bvm": found.get_bvm(mode="raw").data.tolist(),
    "centred_bvm": found.get_bvm(mode="cal").data.tolist(),
}
print("FOUND" + json.dumps(told))
"""
INFINITESIMAL = """
import json, sys, numpy as np
from py4DSTEM import RealSlice
from py4DSTEM.process.strain.latticevectors import get_strain_from_reference_g1g2
labels = ["g1x", "g1y", "g2x", "g2y", "mask"]
found = []
for (g1, g2) in json.loads(sys.argv[1]):
    stack = np.array([*g1, *g2, 1.0])[:, None, None] * np.ones((5, 2, 2))
    map = get_strain_from_reference_g1g2(RealSlice(data=stack, slicelabels=labels), (10.0, 0.0), (0.0, 10.0))
    found.append({name: float(map.get_slice(name).data[0, 0]) for name in ("e_xx", "e_yy", "e_xy", "theta")})
print("FOUND" + json.dumps(found))
"""


def ask(code: str, *arguments: object) -> Any:
    done = subprocess.run(
        [PEERS_PYTHON, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=110, check=False
    )
    assert "FOUND" in done.stdout, done.stderr[-2000:]
    return json.loads(done.stdout.split("FOUND")[1])


def exported(folder: Path, to: Path) -> tuple[Exported, Path]:
    scan = read_scan(folder, Choice())
    [path] = write_scan(scan, "py4dstem", to / "scan.h5")
    return scan, path


def assert_the_same_vectors(found: list[list[list[float]]], scan: Exported, moved: Any) -> None:
    """Those that py4DSTEM has at each position are ours, after what the calibration should do to them."""
    assert scan.vectors is not None
    assert len(found) == POSITIONS
    for position, (qx, qy, intensity) in enumerate(found):
        where = scan.vectors.position[position].astype(np.float64)
        good = np.isfinite(where).all(axis=1)
        np.testing.assert_allclose(np.array([qx, qy]).T, moved(where[good], position), atol=1e-9)
        np.testing.assert_array_equal(intensity, scan.vectors.intensity[position][good])


@needs_py4dstem
def test_py4dstem_reads_vectors_calibration_strain_and_images(folder: Path, tmp_path: Path) -> None:
    scan, path = exported(folder, tmp_path)
    found = ask(LOOK, path)
    assert scan.centres is not None
    centres = scan.centres.reshape(-1, 2)
    assert found["type"] == "BraggVectors"
    assert found["shapes"] == [list(SCAN), list(CAMERA.shape)]
    assert (found["r"], found["q"]) == ([1.5, "nm"], [0.4, "mrad"])
    assert_the_same_vectors(found["raw"], scan, lambda where, position: where)
    assert_the_same_vectors(found["cal"], scan, lambda where, position: 0.4 * (where - centres[position]))
    np.testing.assert_allclose(np.array(found["origin"]).reshape(2, -1).T, centres)
    assert found["labels"] == ["e_xx", "e_yy", "e_xy", "theta", "mask"]
    for name in ("e_xx", "e_yy", "e_xy", "theta"):
        ours = scan.map(name)
        assert ours is not None
        np.testing.assert_array_equal(np.array(found["strain"][name], np.float32), ours.values)
    assert np.array(found["strain"]["mask"]).all()
    assert "F = R U" in found["convention"]
    ours = scan.map("bright_field")
    assert ours is not None
    np.testing.assert_array_equal(np.array(found["bright_field"], np.float32), ours.values)
    assert_sensible_vector_maps(found, scan)


def assert_sensible_vector_maps(found: dict[str, Any], scan: Exported) -> None:
    """py4DSTEM's histograms of our vectors hold all their intensity; its brightest place is where ours is."""
    assert scan.vectors is not None
    assert scan.bragg is not None
    whole = float(np.nansum(scan.vectors.intensity.astype(np.float64)))
    raw, centred = np.array(found["bvm"]), np.array(found["centred_bvm"])
    assert raw.sum() == pytest.approx(whole, rel=1e-9)
    assert centred.sum() == pytest.approx(whole, rel=1e-9)
    brightest = np.unravel_index(scan.bragg.pixels.argmax(), scan.bragg.pixels.shape)
    assert brightest == tuple(np.round(scan.origin))
    assert np.abs(np.array(np.unravel_index(raw.argmax(), raw.shape)) - brightest).max() <= 1
    # with the descan out, the direct beams of all positions lie at the origin
    direct = known_plan().calibration.hk.index((0, 0))
    beams = float(scan.vectors.intensity[:, direct].sum(dtype=np.float64))
    row, column = np.unravel_index(centred.argmax(), centred.shape)
    assert centred[row - 1 : row + 2, column - 1 : column + 2].sum() == pytest.approx(beams, rel=1e-6)
    assert centred.max() > raw.max()


@needs_py4dstem
def test_py4dstem_turns_and_rounds_the_vectors_as_the_calibration_says(turned: Path, tmp_path: Path) -> None:
    scan, path = exported(turned, tmp_path)
    found = ask(LOOK, path)
    sizes = scan.sizes
    assert scan.centres is not None
    assert sizes.to_scan is not None
    assert found["state"] == {"center": True, "ellipse": True, "pixel": True, "rotate": True}
    # py4DSTEM leaves the short axis of an ellipse as it is, ours keeps the area; the pixel size makes up for it
    assert found["q"] == [pytest.approx(0.02 * np.sqrt(1.04)), "A^-1"]
    c, s = np.cos(np.radians(35.0)), np.sin(np.radians(35.0))
    turn = np.array([[c, -s], [s, c]])
    distortion = turn @ np.diag([np.sqrt(1.04), 1 / np.sqrt(1.04)]) @ turn.T
    whole = 0.02 * sizes.to_scan @ np.linalg.inv(distortion)
    centres = scan.centres.reshape(-1, 2)
    assert_the_same_vectors(found["cal"], scan, lambda where, position: (where - centres[position]) @ whole.T)


@needs_py4dstem
def test_py4dstem_s_own_strain_is_infinitesimal_and_its_theta_has_the_other_sign() -> None:
    """What the exported convention says of py4DSTEM holds: lattice vectors are F^-T of the reference's."""
    turn = np.array([[np.cos(0.01), -np.sin(0.01)], [np.sin(0.01), np.cos(0.01)]])
    shear = np.array([[1.0, 0.004], [0.004, 1.0]])
    lattices = [(np.linalg.inv(F).T @ (10.0 * np.eye(2))).T.tolist() for F in (turn, shear)]
    rotated, sheared = ask(INFINITESIMAL, json.dumps(lattices))
    assert rotated["theta"] == pytest.approx(-0.01, rel=1e-3)
    assert rotated["e_xx"] == pytest.approx(1 - np.cos(0.01), rel=1e-6)
    assert sheared["e_xy"] == pytest.approx(0.004, rel=1e-3)


def test_a_running_scan_has_empty_lists_and_nan_where_nothing_is_known(running: Path, tmp_path: Path) -> None:
    _, path = exported(running, tmp_path)
    with h5py.File(path) as file:
        node = file["livestrain/braggvectors"]
        lists = node["_v_uncal/data"][...].ravel()
        assert [len(one) > 0 for one in lists] == [position < 170 for position in range(POSITIONS)]
        stack = node["strain_map/data"][...].reshape(5, -1)
        assert np.isnan(stack[:4, 170:]).all()
        assert stack[4].tolist() == [1.0] * 170 + [0.0] * (POSITIONS - 170)
        # py4DSTEM would spoil every vector with a NaN here, so there is a usual value
        assert np.isfinite(file["livestrain/metadatabundle/calibration/qx0"][...]).all()
        assert np.isnan(file["livestrain/metadatabundle/calibration/qx0_meas"][...].ravel()[170:]).all()


def test_a_scan_without_vectors_is_refused(without_disks: Path) -> None:
    with pytest.raises(NothingToExport, match="no Bragg vectors"):
        write_scan(read_scan(without_disks, Choice()), "py4dstem")


@pytest.mark.parametrize("degrees", [-170.0, -30.0, 0.0, 90.0, 135.0])
@pytest.mark.parametrize("mirror", [np.eye(2), np.diag([-1.0, 1.0]), np.diag([1.0, -1.0]), np.eye(2)[::-1]])
def test_every_orthogonal_matrix_is_a_turn_after_an_exchange_of_axes(degrees: float, mirror: Any) -> None:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.array([[c, -s], [s, c]]) @ mirror
    rotation, flip = rotation_and_flip(matrix)
    turn = np.array([[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]])
    np.testing.assert_allclose(turn @ (np.eye(2)[::-1] if flip else np.eye(2)), matrix, atol=1e-12)
