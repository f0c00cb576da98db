from pathlib import Path

import numpy as np
import pytest

from livestrain_core.strain import strain
from livestrain_simulator.lattice import Lattice, LatticeKind
from livestrain_simulator.specimen import SPECIMENS, gradient, si_sige, uniform, write_truth


@pytest.mark.parametrize(("kind", "disks"), [("square", 21), ("hexagonal", 19)])
def test_the_usual_reach_gives_the_known_number_of_disks(kind: LatticeKind, disks: int) -> None:
    indices = Lattice(kind, 30.0).indices()
    assert len(indices) == disks
    assert indices[0].tolist() == [0, 0]
    assert sorted(map(tuple, indices.tolist())) == sorted(map(tuple, (-indices).tolist()))


@pytest.mark.parametrize("kind", ["square", "hexagonal", "oblique"])
def test_lattices_are_right_handed(kind: LatticeKind) -> None:
    assert np.linalg.det(Lattice(kind).vectors()) > 0


@pytest.mark.parametrize("name", sorted(SPECIMENS))
def test_strain_of_the_vectors_is_the_strain_of_the_truth(name: str) -> None:
    specimen = SPECIMENS[name]((12, 9), Lattice("oblique"))
    found = strain(specimen.vectors().reshape(-1, 2, 2), specimen.lattice.vectors())
    for part in ("e_xx", "e_yy", "e_xy", "theta"):
        np.testing.assert_allclose(getattr(found, part), getattr(specimen, part).ravel(), atol=1e-12)


def test_a_stretch_in_real_space_shortens_the_vector_on_the_detector() -> None:
    lattice = Lattice("square", 20.0, angle_deg=0.0)
    specimen = uniform((1, 1), lattice, e_xx=0.25, e_yy=0.0, e_xy=0.0, theta=0.0)
    np.testing.assert_allclose(specimen.vectors()[0, 0], [[16.0, 0.0], [0.0, 20.0]], atol=1e-12)


def test_a_rotation_turns_the_vectors_from_axis_0_towards_axis_1() -> None:
    lattice = Lattice("square", 20.0, angle_deg=0.0)
    specimen = uniform((1, 1), lattice, e_xx=0.0, e_yy=0.0, e_xy=0.0, theta=0.1)
    np.testing.assert_allclose(specimen.vectors()[0, 0, 0], [20 * np.cos(0.1), 20 * np.sin(0.1)], atol=1e-12)


def test_si_sige_layers_stretch_along_the_growth_direction_alone_by_two_percent() -> None:
    specimen = si_sige((64, 64))
    assert specimen.e_xx.max() == pytest.approx(0.0203, abs=0.0005)
    assert not specimen.e_yy.any()
    assert not specimen.e_xy.any()
    assert 0.002 < np.abs(specimen.theta).max() < 0.005


def test_si_sige_has_an_unstrained_median_and_first_row() -> None:
    specimen = si_sige((64, 64))
    median = np.median(specimen.vectors().reshape(-1, 2, 2), axis=0)
    np.testing.assert_allclose(median, specimen.lattice.vectors(), atol=22 * 2e-5)
    assert np.abs(specimen.e_xx[0]).max() < 1e-6


def test_the_truth_file_holds_maps_reference_and_centres(tmp_path: Path) -> None:
    specimen = gradient((4, 5))
    centres = np.zeros((4, 5, 2))
    write_truth(tmp_path / "truth.npz", specimen, centres, dose=1e5)
    with np.load(tmp_path / "truth.npz") as truth:
        assert set(truth) == {
            "e_xx", "e_yy", "e_xy", "theta", "vectors", "G0", "centre", "specimen", "dose",
        }  # fmt: skip
        np.testing.assert_array_equal(truth["e_xx"], specimen.e_xx)
        found = strain(truth["vectors"].reshape(-1, 2, 2), truth["G0"])
    np.testing.assert_allclose(found.theta, specimen.theta.ravel(), atol=1e-12)
