from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import pdtr

from livestrain_simulator.kernels import poisson
from livestrain_simulator.lattice import Lattice, LatticeKind
from livestrain_simulator.patterns import Camera, PixelType, Renderer, vacuum_probe
from livestrain_simulator.specimen import gradient, uniform, vacuum

PLAIN = Camera(background=0.0, nonuniformity=0.0)


def centres_of_mass(image: NDArray[np.float64], near: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """Centre of mass of what lies around each of these points."""
    rows, columns = np.indices(image.shape)
    found = []
    for row, column in near:
        part = np.where((rows - row) ** 2 + (columns - column) ** 2 < reach**2, image, 0.0)
        found.append([(part * rows).sum() / part.sum(), (part * columns).sum() / part.sum()])
    return np.array(found)


@pytest.mark.parametrize("kind", ["square", "hexagonal", "oblique"])
def test_each_disk_lies_at_its_true_centre(kind: LatticeKind) -> None:
    specimen = gradient((5, 5), Lattice(kind, 22.0), largest=0.02)
    renderer = Renderer(specimen, PLAIN)
    for position in (0, 7, 24):
        truth = renderer.disks(position)
        found = centres_of_mass(renderer.expected(position), truth, reach=10.0)
        assert np.abs(found - truth).max() < 0.02


def test_disks_lie_at_centre_plus_h_g1_plus_k_g2() -> None:
    specimen = uniform((3, 3))
    renderer = Renderer(specimen, Camera())
    h, k = renderer.indices.T[:, :, None]
    vectors = specimen.vectors()[1, 2]
    np.testing.assert_allclose(renderer.disks(5), renderer.centres[1, 2] + h * vectors[0] + k * vectors[1])


def test_the_centre_wanders_over_the_scan_by_the_descan() -> None:
    still = Renderer(uniform((4, 6)), replace(PLAIN, descan_px=(0.0, 0.0))).centres
    moving = Renderer(uniform((4, 6)), replace(PLAIN, descan_px=(2.0, 0.0))).centres
    assert np.ptp(still.reshape(-1, 2), axis=0).tolist() == [0.0, 0.0]
    assert moving[-1, 0, 0] - moving[0, 0, 0] == pytest.approx(2.0)


@pytest.mark.parametrize("nonuniformity", [0.0, 0.9])
@pytest.mark.parametrize("background", [0.0, 0.3])
def test_the_expected_frame_sums_to_the_dose(nonuniformity: float, background: float) -> None:
    camera = Camera(dose=12345.0, nonuniformity=nonuniformity, background=background)
    assert Renderer(uniform((1, 1)), camera).expected(0).sum() == pytest.approx(12345.0, rel=1e-9)


def test_counts_are_poisson_about_the_expected_frame() -> None:
    specimen = uniform((20, 20), theta=0.0)
    renderer = Renderer(specimen, replace(Camera(dose=2e4), descan_px=(0.0, 0.0)))
    expected = renderer.expected(0)
    frames = renderer.frames(np.arange(400)).astype(np.float64)
    totals = frames.sum(axis=(1, 2))
    assert totals.mean() == pytest.approx(2e4, abs=4 * np.sqrt(2e4 / 400))
    assert totals.var() == pytest.approx(2e4, rel=4 * np.sqrt(2 / 400))
    pulls = (frames.mean(axis=0) - expected) / np.sqrt(expected / 400)
    bright = expected > 0.05
    assert np.abs(pulls[bright]).max() < 6
    assert (pulls[bright] ** 2).mean() == pytest.approx(1.0, abs=0.05)
    assert (frames.var(axis=0, ddof=1)[bright] / expected[bright]).mean() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("mean", [0.0, 0.03, 1.0, 7.5, 23.9, 24.0, 24.1, 300.0, 5e4])
def test_evenly_spread_numbers_give_the_poisson_distribution(mean: float) -> None:
    uniforms = (np.arange(20_000) + 0.5) / 20_000
    counts = np.array([poisson(mean, float(number)) for number in uniforms])
    edges = np.unique(counts)
    below = np.searchsorted(np.sort(counts), edges, side="right") / 20_000
    np.testing.assert_allclose(below, pdtr(edges, mean) if mean else 1.0, atol=0.02 if mean > 20 else 1e-4)
    assert counts.mean() == pytest.approx(mean, rel=2e-3, abs=1e-4)


def test_a_frame_is_the_same_whatever_it_is_rendered_with() -> None:
    specimen, camera = gradient((6, 6)), Camera()
    whole = Renderer(specimen, camera).frames(np.arange(36))
    other = Renderer(specimen, camera)
    other.frames(np.array([30, 2]))
    np.testing.assert_array_equal(other.frames(np.array([20, 3, 19])), whole[[20, 3, 19]])
    blocks = np.concatenate(list(Renderer(specimen, camera).blocks(np.arange(36), 5)))
    np.testing.assert_array_equal(blocks, whole)


def test_another_seed_gives_other_counts() -> None:
    one, two = (Renderer(uniform((1, 1)), Camera(seed=seed)).frames(np.arange(1)) for seed in (1, 2))
    assert not np.array_equal(one, two)


def test_flyback_frames_differ_from_every_position_and_from_each_other() -> None:
    renderer = Renderer(uniform((1, 2)), Camera())
    block = renderer.frames(np.array([0, -1, -1]), first_index=0)
    assert block[1].std() < block[0].std() / 3
    assert not np.array_equal(block[1], block[2])
    np.testing.assert_array_equal(renderer.frames(np.array([-1]), first_index=2)[0], block[2])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
def test_every_pixel_type_holds_the_same_counts(dtype: PixelType) -> None:
    block = Renderer(uniform((1, 1)), Camera(dose=5e3, dtype=dtype)).frames(np.arange(1))
    reference = Renderer(uniform((1, 1)), Camera(dose=5e3)).frames(np.arange(1))
    assert block.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(block, reference)


def test_counts_beyond_the_pixel_type_are_cut_and_counted() -> None:
    bright = Camera(dose=1e6, dtype="uint8")
    renderer = Renderer(uniform((1, 1)), bright)
    block = renderer.frames(np.arange(1))
    real = Renderer(uniform((1, 1)), replace(bright, dtype="uint32")).frames(np.arange(1))
    assert renderer.clipped == (real > 255).sum() > 0
    np.testing.assert_array_equal(block, np.minimum(real, 255))


def test_counts_within_the_pixel_type_are_not_cut() -> None:
    renderer = Renderer(uniform((1, 1)), Camera(dose=1e4, dtype="uint8"))
    renderer.frames(np.arange(1))
    assert renderer.clipped == 0


def test_fringes_move_intensity_within_a_disk_and_change_with_thickness() -> None:
    specimen = replace(uniform((1, 2)), thickness=np.array([[1.0, 1.1]]))
    still = replace(PLAIN, descan_px=(0.0, 0.0))
    plain, fringed = (Renderer(specimen, replace(still, nonuniformity=value)) for value in (0.0, 0.9))
    truth = plain.disks(0)
    shifts = [centres_of_mass(fringed.expected(position), truth, 10.0) - truth for position in (0, 1)]
    assert np.abs(shifts[0]).max() > 0.5
    assert np.abs(shifts[1] - shifts[0]).max() > 0.1
    assert np.abs(centres_of_mass(plain.expected(0), truth, 10.0) - truth).max() < 0.02


def test_vacuum_shows_the_central_disk_alone() -> None:
    renderer = Renderer(vacuum((1, 1)), PLAIN)
    assert renderer.indices.tolist() == [[0, 0]]
    np.testing.assert_allclose(renderer.expected(0), vacuum_probe(PLAIN), rtol=1e-6)


def test_the_vacuum_probe_is_a_centred_disk_of_the_radius() -> None:
    probe = vacuum_probe(PLAIN).astype(np.float64)
    assert probe.sum() == pytest.approx(PLAIN.dose, rel=1e-6)
    np.testing.assert_allclose(centres_of_mass(probe, np.array([PLAIN.centre]), 20.0)[0], PLAIN.centre, atol=0.01)
    assert np.sqrt(probe.sum() / probe.max() / np.pi) == pytest.approx(PLAIN.radius_px, abs=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"radius_px": 0.0}, {"radius_px": float("nan")}, {"nonuniformity": 0.95}, {"background": 1.5}, {"dose": -1.0},
        {"dose": 1e30}, {"dose": float("nan")},
    ],
)  # fmt: skip
def test_a_camera_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"above zero|lies in|expected a dose"):
        replace(PLAIN, **wrong)  # type: ignore[arg-type]


def test_blocks_of_large_frames_are_short_and_hold_the_same_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = Renderer(uniform((1, 5)), PLAIN)
    (whole,) = renderer.blocks(np.arange(5))
    monkeypatch.setattr("livestrain_simulator.patterns.BLOCK_BYTES", 2 * whole[0].nbytes)
    short = list(renderer.blocks(np.arange(5)))
    assert [len(block) for block in short] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(short), whole)
