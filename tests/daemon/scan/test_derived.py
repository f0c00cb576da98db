from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.small_scan import LATTICE, POSITIONS, SCAN, SPECIMEN, known_plan, lay_out, stored_scan
from livestrain_daemon.scan.derived import COMPONENTS, ERRORS, MISFIT, NOISE, published_maps
from livestrain_daemon.scan.values import read_maps
from livestrain_daemon.scanfolder import Output, ResultsFile, create_results, open_results
from livestrain_wire.messages import ReferenceInfo

Values = NDArray[np.float64]
COVARIANCE = (0.01**2 * np.eye(6))[np.triu_indices(6)].astype(np.float32)
"""Lattice vectors good to a hundredth of a pixel."""


def twin(g: Values, reference: Values) -> dict[str, Values]:
    """The formulae of the method: M = G G0^-1 with vectors as columns, F = M^-T = R U, strain U - I."""
    m = np.swapaxes(g, 1, 2) @ np.linalg.inv(reference.T)
    f = np.swapaxes(np.linalg.inv(m), 1, 2)
    left, stretch, right = np.linalg.svd(f)
    rotation = left @ right
    u = np.swapaxes(right, 1, 2) @ (stretch[:, :, None] * right)
    return {
        "e_xx": u[:, 0, 0] - 1,
        "e_yy": u[:, 1, 1] - 1,
        "e_xy": u[:, 0, 1],
        "theta": np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0]),
    }


def reference(vectors: Values) -> ReferenceInfo:
    g11, g12, g21, g22 = vectors.ravel().tolist()
    return ReferenceInfo(revision=1, kind="values", vectors=(g11, g12, g21, g22))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> ResultsFile:
    """Results that hold the specimen's true lattice vectors."""
    folder: Path = stored_scan(tmp_path_factory.mktemp("scans") / "small").folder
    lay_out(folder, known_plan())
    found = ResultsFile(open_results(folder, 1))
    vectors = SPECIMEN.vectors().reshape(-1, 2, 2)
    found.write("g1", 0, vectors[:, 0])
    found.write("g2", 0, vectors[:, 1])
    found.write("covariance", 0, np.tile(COVARIANCE, (POSITIONS, 1)))
    return found


def test_strain_against_the_unstrained_lattice_is_what_the_specimen_has(results: ResultsFile) -> None:
    found = read_maps(list(COMPONENTS), results, reference(LATTICE.vectors()), 0, POSITIONS)
    for name in COMPONENTS:
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], getattr(SPECIMEN, name).ravel(), atol=1e-7)


def test_strain_equals_its_numpy_twin(results: ResultsFile) -> None:
    rng = np.random.default_rng(3)
    turned = LATTICE.vectors() + rng.normal(0, 0.4, (2, 2))
    found = read_maps(list(COMPONENTS), results, reference(turned), 40, 100)
    expected = twin(SPECIMEN.vectors().reshape(-1, 2, 2)[40:140], turned)
    for name in COMPONENTS:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)


def test_a_rotated_reference_gives_rotation_and_no_strain(results: ResultsFile) -> None:
    middle = SPECIMEN.vectors()[9, 10]
    angle = np.radians(10.0)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    position = 9 * 20 + 10
    found = read_maps(list(COMPONENTS), results, reference(middle @ rotation.T), position, 1)
    assert found["theta"][0] == pytest.approx(-angle, abs=1e-6)
    assert max(abs(float(found[name][0])) for name in ("e_xx", "e_yy", "e_xy")) < 1e-6


def test_the_errors_of_a_square_lattice_are_those_of_its_vectors(results: ResultsFile) -> None:
    found = read_maps([*ERRORS, "e_xx"], results, reference(LATTICE.vectors()), 0, POSITIONS)
    # to first order e_xx is -dg1 along g1 over its length, and shear and rotation the mean of two such angles
    length = float(np.hypot(*LATTICE.vectors()[0]))
    for name, expected in (
        ("e_xx_error", 1.0),
        ("e_yy_error", 1.0),
        ("e_xy_error", 0.5**0.5),
        ("theta_error", 0.5**0.5),
    ):
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], expected * 0.01 / length, rtol=0.03)


def test_other_axes_and_a_distortion_are_those_of_the_reference(results: ResultsFile) -> None:
    plain = reference(LATTICE.vectors())
    before = read_maps([*COMPONENTS, *ERRORS], results, plain, 0, POSITIONS)
    flipped = plain.model_copy(update={"axes": "scan", "to_axes": (0.0, 1.0, 1.0, 0.0)})
    after = read_maps([*COMPONENTS, *ERRORS], results, flipped, 0, POSITIONS)
    for name, old, sign in (("e_xx", "e_yy", 1), ("e_yy", "e_xx", 1), ("e_xy", "e_xy", 1), ("theta", "theta", -1)):
        np.testing.assert_array_equal(after[name], sign * before[old])
        np.testing.assert_allclose(after[f"{name}_error"], before[f"{old}_error"], rtol=1e-6)
    bent = plain.model_copy(update={"distortion": (1.02, 0.0, 0.0, 1 / 1.02)})
    assert np.abs(read_maps(["e_xy"], results, bent, 0, POSITIONS)["e_xy"] - before["e_xy"]).max() > 1e-5


def test_a_position_without_a_lattice_has_no_strain(results: ResultsFile) -> None:
    kept = results.read("g1", 7, 1)
    results.write("g1", 7, np.full((1, 2), np.nan))
    found = read_maps(["e_xx", "total"], results, reference(LATTICE.vectors()), 6, 3)
    results.write("g1", 7, kept)
    assert np.isnan(found["e_xx"]).tolist() == [False, True, False]


def test_there_is_no_strain_without_a_reference(results: ResultsFile) -> None:
    with pytest.raises(KeyError):
        read_maps(["e_xx"], results, None, 0, 1)


def test_an_unheard_of_map_is_an_error(results: ResultsFile) -> None:
    with pytest.raises(KeyError):
        read_maps(["e_zz"], results, None, 0, 1)


def test_a_plan_with_a_lattice_publishes_strain_and_leaves_large_and_block_outputs_out(results: ResultsFile) -> None:
    names = [info.name for info in published_maps(results.layout.outputs)]
    assert set(names) >= {*COMPONENTS, *ERRORS, "total", "centre_of_mass", "bright_field", "ring", "g1", "residual"}
    assert not {"disk_position", "disk_intensity", "covariance", "sum", "largest"} & set(names)
    assert len(names) == len(set(names))


def test_a_plan_without_a_lattice_publishes_what_is_stored() -> None:
    outputs = {
        "total": Output("total", dtype="float64", description="all"),
        "wide": Output("wide", (5,)),
        "pair": Output("pair", (2, 2)),
    }
    assert [info.name for info in published_maps(outputs)] == ["total", "pair"]


def test_each_map_says_what_it_is(results: ResultsFile) -> None:
    infos = {info.name: info for info in published_maps(results.layout.outputs)}
    assert "along x" in infos["e_xx"].description
    assert infos["theta_error"].unit == "rad"
    assert all(info.description for info in infos.values())


def test_an_analysis_without_a_covariance_gives_strain_without_errors() -> None:
    outputs = {name: Output(name, (2,), "float64", description="a vector") for name in ("g1", "g2")}
    assert [info.name for info in published_maps(outputs)] == [*COMPONENTS, "g1", "g2"]


def test_noise_and_misfit_are_published_apart_where_the_fit_tells_them_apart() -> None:
    outputs = {name: Output(name, (2,), "float64") for name in ("g1", "g2")}
    outputs |= {name: Output(name, (21,), "float32") for name in ("covariance", "noise_covariance")}
    names = [info.name for info in published_maps(outputs)]
    assert names == [*COMPONENTS, *ERRORS, *NOISE, *MISFIT, "g1", "g2"]


def test_the_squares_of_noise_and_misfit_add_up(tmp_path: Path) -> None:
    kind = {name: Output(name, (2,), "float64") for name in ("g1", "g2")}
    kind |= {name: Output(name, (21,), "float32") for name in ("covariance", "noise_covariance")}
    folder = stored_scan(tmp_path / "parts").folder
    create_results(folder, 1, SCAN, {"diffraction": tuple(kind.values())}, {}, {})
    with ResultsFile(open_results(folder, 1)) as found:
        vectors = SPECIMEN.vectors().reshape(-1, 2, 2)
        found.write("g1", 0, vectors[:, 0])
        found.write("g2", 0, vectors[:, 1])
        found.write("covariance", 0, np.tile(COVARIANCE, (POSITIONS, 1)))
        found.write("noise_covariance", 0, np.tile(np.float32(0.25) * COVARIANCE, (POSITIONS, 1)))
        values = read_maps([*ERRORS, *NOISE, *MISFIT], found, reference(LATTICE.vectors()), 0, POSITIONS)
    for name in COMPONENTS:
        whole, noise, misfit = (values[f"{name}_{part}"] for part in ("error", "noise", "misfit"))
        np.testing.assert_allclose(noise, 0.5 * whole, rtol=1e-5)
        np.testing.assert_allclose(noise**2 + misfit**2, whole**2, rtol=1e-5)
