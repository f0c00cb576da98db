"""A real recorded scan, replayed: particles in vitreous ice on holey carbon, no Bragg disks."""

import subprocess
from collections.abc import Iterator

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.rig import SHARED_DATA, follow, running
from livestrain_client.live import Live
from livestrain_client.requests import Control
from livestrain_client.rig.processes import livestrain
from livestrain_wire.messages import StatusReply

RECORDING = SHARED_DATA / "cryo_24x127x256x256.h5"

pytestmark = pytest.mark.skipif(not RECORDING.exists(), reason=f"the recorded scan {RECORDING.name} is not here")


class Replayed:
    """What came of the recording."""

    def __init__(self, live: Live, status: StatusReply, mean: NDArray[np.float64]) -> None:
        self.maps = {name: state.values.copy() for name, state in live.maps.items()}
        assert status.plan is not None
        assert status.ended is not None
        self.calibration = status.plan.plan["calibration"]
        self.detectors = status.plan.plan["detectors"]
        self.ended = status.ended
        self.mean = mean


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    with h5py.File(RECORDING) as file:
        recorded: NDArray[np.uint8] = file["frames"][...]
    return recorded


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    with running(tmp_path_factory.mktemp("cryo")) as rig, rig.live() as live:
        command = livestrain("replay", str(RECORDING), "--endpoint", rig.ports.frames_endpoint, "--scan-id", "cryo")
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        follow(live, "cryo")
        with Control(rig.ports.control_endpoint) as control:
            summed = control.pattern("sum")
            mean = summed.pixels / summed.about.positions
            yield Replayed(live, control.status(), mean)


def test_every_count_arrives(replayed: Replayed, frames: NDArray[np.uint8]) -> None:
    assert replayed.ended.stages["diffraction"].analysed == 24 * 127
    assert replayed.maps["total"].sum() == 284_755_932
    assert np.array_equal(replayed.maps["total"], frames.sum(axis=(2, 3), dtype=np.uint64))


def test_virtual_images_equal_an_offline_computation(replayed: Replayed, frames: NDArray[np.uint8]) -> None:
    radius = replayed.calibration["radius_px"]
    rows, columns = np.mgrid[:256, :256]
    for detector in replayed.detectors:
        inner, outer = detector["inner"] * radius, detector["outer"] * radius
        expected = np.zeros((24, 127))
        for row, column in np.ndindex(24, 127):
            centre = replayed.maps["beam_centre"][row, column]
            distance2 = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
            inside = (distance2 >= inner**2) & (distance2 <= outer**2)
            expected[row, column] = frames[row, column][inside].sum(dtype=np.uint64)
        assert np.array_equal(replayed.maps[detector["name"]], expected), detector["name"]


def test_the_centre_of_mass_equals_an_offline_computation(replayed: Replayed, frames: NDArray[np.uint8]) -> None:
    total = frames.sum(axis=(2, 3), dtype=np.float64)
    row_moment = frames.sum(axis=3, dtype=np.float64) @ np.arange(256.0)
    column_moment = frames.sum(axis=2, dtype=np.float64) @ np.arange(256.0)
    expected = np.stack([row_moment / total, column_moment / total], axis=-1)
    assert np.abs(replayed.maps["centre_of_mass"] - expected).max() < 1e-5


def test_the_bright_field_disk_is_found(replayed: Replayed) -> None:
    centre, radius = replayed.calibration["centre"], replayed.calibration["radius_px"]
    assert abs(centre[0] - 126.0) <= 0.3
    assert abs(centre[1] - 127.7) <= 0.3
    assert abs(radius - 60.1) <= 1.0
    assert replayed.calibration.get("g1") is None


def test_the_mean_pattern_is_that_of_the_file(replayed: Replayed, frames: NDArray[np.uint8]) -> None:
    expected = frames.reshape(-1, 256, 256).mean(axis=0)
    assert np.abs(replayed.mean - expected).max() < 1e-9
