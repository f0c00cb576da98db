"""
py4DSTEM 0.14 opens recorded frames. It needs numpy 1, so it lives in an environment of its own; LIVESTRAIN_PEERS_PYTHON
names that environment's interpreter, and without it these tests skip.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from daemon.scanfolder.scans import new_scan, pixels, scan_start
from livestrain_daemon.scanfolder import FrameWriter

PEERS_PYTHON = os.environ.get("LIVESTRAIN_PEERS_PYTHON", "")

needs_py4dstem = pytest.mark.skipif(
    not PEERS_PYTHON, reason="py4DSTEM is not here: LIVESTRAIN_PEERS_PYTHON names no interpreter that has it"
)

LOOK = """
import json, sys, py4DSTEM
cube = py4DSTEM.read(sys.argv[1])
calibration = cube.calibration
found = {
    "type": type(cube).__name__,
    "data": cube.data.tolist(),
    "r": [calibration.get_R_pixel_size(), calibration.get_R_pixel_units()],
    "q": [calibration.get_Q_pixel_size(), calibration.get_Q_pixel_units()],
}
print("FOUND" + json.dumps(found))
"""
TREE = "import sys, py4DSTEM; py4DSTEM.print_h5_tree(sys.argv[1])"


def _ask_py4dstem(code: str, path: Path) -> str:
    done = subprocess.run(
        [PEERS_PYTHON, "-c", code, str(path)], capture_output=True, text=True, timeout=100, check=True
    )
    return done.stdout


@needs_py4dstem
@pytest.mark.parametrize("shape", [(4, 5), (1, 5), (5, 1), (1, 1)])
def test_py4dstem_opens_a_recorded_scan_as_a_calibrated_cube(tmp_path: Path, shape: tuple[int, int]) -> None:
    layout = new_scan(tmp_path / "s", scan_start(shape, step_nm=0.5, pixel_size_mrad=0.7))
    with FrameWriter(layout) as writer:
        writer.write_run(0, pixels(layout))
        found: dict[str, Any] = json.loads(_ask_py4dstem(LOOK, layout.path).split("FOUND")[1])
    assert found["type"] == "DataCube"
    np.testing.assert_array_equal(found["data"], pixels(layout).reshape(*shape, 6, 7))
    assert (found["r"], found["q"]) == ([0.5, "nm"], [0.7, "mrad"])


@needs_py4dstem
def test_py4dstem_prints_the_tree(tmp_path: Path) -> None:
    printed = _ask_py4dstem(TREE, new_scan(tmp_path / "s").path)
    assert printed.split()[-3:] == ["/", "|---scan", "|---frames"]


def test_the_groups_are_those_of_emd(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s", scan_start(step_nm=0.5))
    with h5py.File(layout.path) as file:
        assert (file.attrs["emd_group_type"], file.attrs["version_major"], file.attrs["version_minor"]) == (
            "file",
            1,
            0,
        )
        assert dict(file["scan"].attrs) == {"emd_group_type": "root", "python_class": "Root"}
        assert dict(file["scan/frames"].attrs) == {"emd_group_type": "array", "python_class": "DataCube"}
        assert file["scan/frames/data"].shape == (4, 5, 6, 7)
        assert file["frames"] == file["scan/frames/data"]
        axes = [file[f"scan/frames/dim{number}"] for number in range(4)]
        assert [axis.attrs["units"] for axis in axes] == ["nm", "nm", "pixels", "pixels"]
        assert [axis[1] for axis in axes] == [0.5, 0.5, 1.0, 1.0]
