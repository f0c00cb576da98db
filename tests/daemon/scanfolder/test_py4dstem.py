from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from daemon.scanfolder.scans import new_scan, pixels, scan_start
from livestrain_daemon.scanfolder import FrameWriter


def _py4dstem() -> Any:
    return pytest.importorskip("py4DSTEM", reason="py4DSTEM is not installed (pip install 'livestrain[peers]')")


@pytest.mark.parametrize("shape", [(4, 5), (1, 5), (5, 1), (1, 1), (2, 3)])
@pytest.mark.filterwarnings("ignore")
def test_py4dstem_opens_a_recorded_scan_as_a_calibrated_cube(tmp_path: Path, shape: tuple[int, int]) -> None:
    py4dstem = _py4dstem()
    layout = new_scan(tmp_path / "s", scan_start(shape, step_nm=0.5, pixel_size_mrad=0.7))
    with FrameWriter(layout) as writer:
        writer.write_run(0, pixels(layout))
        cube = py4dstem.read(layout.path)
    assert type(cube).__name__ == "DataCube"
    np.testing.assert_array_equal(cube.data, pixels(layout).reshape(*shape, 6, 7))
    assert (cube.calibration.get_R_pixel_size(), cube.calibration.get_R_pixel_units()) == (0.5, "nm")
    assert (cube.calibration.get_Q_pixel_size(), cube.calibration.get_Q_pixel_units()) == (0.7, "mrad")


@pytest.mark.filterwarnings("ignore")
def test_py4dstem_prints_the_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    py4dstem = _py4dstem()
    py4dstem.print_h5_tree(new_scan(tmp_path / "s").path)
    assert capsys.readouterr().out.split() == ["/", "|---scan", "|---frames"]


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
