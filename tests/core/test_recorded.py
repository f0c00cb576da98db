"""Accuracy on scans with exact truth made elsewhere, and the bright-field disk of a real one."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from livestrain_core.calibrate import calibrate
from livestrain_core.disks import track
from livestrain_core.lattice import fit_lattice
from livestrain_core.reason import Reason
from livestrain_core.strain import strain
from livestrain_core.target import Target, miller

DATA = Path(__file__).parents[3] / "shared" / "data"


def need(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"the data set {path} is not on this machine")
    return path


@pytest.mark.parametrize(
    ("case", "normal", "shear", "rotation"),
    [("A21_d5_u5", 16e-4, 9.6e-4, 0.89e-3), ("B37_d5_u5", 9e-4, 5.6e-4, 0.54e-3)],
)
def test_strain_of_a_known_scan_is_no_worse_than_the_best_peer(
    case: str, normal: float, shear: float, rotation: float
) -> None:
    with h5py.File(need(DATA / "synthetic" / f"{case}.h5")) as file:
        frames = file["frames"][:].reshape(-1, *file["frames"].shape[2:])
        vacuum, G0 = file["vacuum_probe"][:], file["G0"][:]
        truth = {name: file[f"truth/{name}"][:].ravel() for name in ("e00", "e11", "e01", "theta")}
    found = calibrate(frames[:64], None, vacuum)
    assert found.lattice is not None, found.reason
    fit = fit_lattice(
        track(frames, None, Target(found.lattice, miller(found.hk), found.probe, found.search_px)), found.hk
    )
    assert (fit.reason == Reason.FITTED).all()
    # the basis found and the basis of the truth are the same lattice: a whole-numbered matrix turns one into the other
    turn = np.linalg.solve(np.array([found.lattice.g1, found.lattice.g2]).T, G0)
    whole = np.rint(turn)
    np.testing.assert_allclose(turn, whole, atol=0.1)
    assert abs(np.linalg.det(whole)) == pytest.approx(1.0)
    g = (np.stack([fit.g1, fit.g2], axis=2) @ whole).transpose(0, 2, 1)
    got = strain(g, G0.T)

    def rms(values: object) -> float:
        return float(np.sqrt(np.mean(np.square(np.asarray(values)))))

    assert rms([got.e_xx - truth["e00"], got.e_yy - truth["e11"]]) < normal
    assert rms(got.e_xy - truth["e01"]) < shear
    assert rms(got.theta - truth["theta"]) < rotation


def test_a_scan_of_vitreous_ice_has_a_bright_field_disk_and_no_lattice() -> None:
    with h5py.File(need(DATA / "cryo_24x127x256x256.h5")) as file:
        frames = file["frames"][:2].reshape(-1, 256, 256)[:64]
    found = calibrate(frames)
    np.testing.assert_allclose(found.centre, (126.0, 127.7), atol=0.3)
    assert found.probe.radius_px == pytest.approx(60.1, abs=1.0)
    assert found.lattice is None
    assert "disks stand out" in found.reason
