from pathlib import Path

import pytest

from daemon.export.scans import recorded
from daemon.small_scan import known_plan
from livestrain_daemon.geometry import EllipsePlan, PixelSizePlan, ScanAxesPlan
from livestrain_daemon.plan import Plan


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished scan."""
    return recorded(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan of which half has come."""
    return recorded(tmp_path_factory.mktemp("half"), runs=((0, 170),), over=False)


@pytest.fixture(scope="session")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan whose calibration knows the scan's axes, an ellipse and the size of a pixel in 1/nm."""
    return recorded(tmp_path_factory.mktemp("turned"), turned_plan())


@pytest.fixture(scope="session")
def without_disks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan with virtual detectors only."""
    plan = known_plan(stages={"diffraction": ("virtual",)})
    return recorded(tmp_path_factory.mktemp("virtual"), plan, pixel_size_mrad=None, step_nm=None)


def turned_plan() -> Plan:
    calibration = known_plan().calibration.model_copy(
        update={
            "scan_axes": ScanAxesPlan(rotation_deg=25.0, flip="rows"),
            "ellipse": EllipsePlan(ratio=1.04, angle_deg=35.0),
            "pixel_size": PixelSizePlan(size=0.2, unit="1/nm"),
        }
    )
    return known_plan(calibration=calibration)
