from dataclasses import replace

import numpy as np
import pytest

from livestrain_simulator.cases.case import Case, ContrastName, StrainName
from livestrain_simulator.cases.fields import deformation, strain_field, strain_of
from livestrain_simulator.cases.render import BROKEN, VACUUM_ELECTRONS, Rendering

SMALL = Case("small", (72, 80), spacing_px=17.0, radius_px=4.0, disks=9, scan_shape=(3, 4), seed=3)
FLAT = replace(SMALL, nonuniformity=0.0, background=0.0)


def centre_of_mass(image: np.ndarray, near: np.ndarray, reach: float) -> np.ndarray:
    rows, columns = np.indices(image.shape)
    part = np.where((rows - near[0]) ** 2 + (columns - near[1]) ** 2 < reach**2, image, 0.0)
    return np.asarray(np.array([(part * rows).sum(), (part * columns).sum()]) / part.sum())


def test_a_case_gives_the_same_frames_each_time_and_in_any_order() -> None:
    forwards, backwards = Rendering(SMALL), Rendering(SMALL)
    frames = list(forwards.frames())
    for position in reversed(range(12)):
        assert np.array_equal(backwards.frame(position), frames[position])
    assert not np.array_equal(Rendering(replace(SMALL, seed=4)).frame(0), frames[0])


def test_disks_lie_at_centre_plus_h_g1_plus_k_g2() -> None:
    rendering = Rendering(FLAT)
    centres = rendering.centres.reshape(-1, 2)
    for position in (0, 5, 11):
        vectors = rendering.columns.reshape(-1, 2, 2)[position].T
        expected = rendering.expected(position)
        for (h, k), place in zip(rendering.hk, rendering.positions[position], strict=True):
            assert place == pytest.approx(centres[position] + h * vectors[0] + k * vectors[1])
            assert centre_of_mass(expected, place, 8.0) == pytest.approx(place, abs=2e-3)


@pytest.mark.parametrize("strain", ["smooth", "step", "rotation", "none"])
def test_the_true_lattice_has_the_true_strain(strain: StrainName) -> None:
    rendering = Rendering(replace(SMALL, strain=strain, largest=0.05))
    assert strain_of(rendering.columns, rendering.reference) == pytest.approx(rendering.field, abs=1e-12)


def test_a_rotation_alone_is_no_strain() -> None:
    turned = deformation(np.array([0.0, 0.0, 0.0, 0.2]))
    reference = SMALL.vectors().T
    columns = np.linalg.inv(turned).T @ reference
    assert strain_of(columns, reference) == pytest.approx([0, 0, 0, 0.2], abs=1e-12)


def test_a_step_divides_the_scan_in_two_by_the_strain_asked_for() -> None:
    field = strain_field(replace(SMALL, strain="step", largest=0.05))
    jump = np.abs(field[:, -1, :2] - field[:, 0, :2])
    assert (jump > 0.035).all()
    assert (jump < 0.065).all()


@pytest.mark.parametrize("contrast", ["fringes", "rocking", "field", "wedge", "lines", "mixed"])
def test_contrast_changes_disks_but_not_their_electrons(contrast: ContrastName) -> None:
    flat = Rendering(replace(SMALL, nonuniformity=0.0))
    rendering = Rendering(replace(SMALL, contrast=contrast, nonuniformity=0.9))
    assert rendering.expected(4).sum() == pytest.approx(flat.expected(4).sum(), rel=1e-9)
    assert np.abs(rendering.expected(4) - flat.expected(4)).max() > 0.2 * flat.expected(4).max()
    assert rendering.expected(4).min() > 0


def test_the_electrons_of_disks_and_background_add_up_to_the_dose() -> None:
    rendering = Rendering(SMALL)
    assert rendering.expected(0).sum() == pytest.approx(SMALL.dose, rel=1e-6)
    assert rendering.electrons.sum(axis=1) == pytest.approx(np.full(12, 0.8 * SMALL.dose))


def test_counts_scatter_as_poisson_numbers_around_what_is_expected() -> None:
    rendering = Rendering(SMALL)
    residuals = [(rendering.frame(i) - rendering.expected(i)) / np.sqrt(rendering.expected(i)) for i in range(12)]
    assert np.mean(residuals) == pytest.approx(0, abs=0.02)
    assert np.var(residuals) == pytest.approx(1, abs=0.02)


def test_without_noise_a_frame_is_what_is_expected_and_sums_to_one() -> None:
    rendering = Rendering(replace(SMALL, dose=float("inf")))
    frame = rendering.frame(2)
    assert frame.dtype == np.float32
    assert frame == pytest.approx(rendering.expected(2), rel=1e-6)
    assert frame.sum() == pytest.approx(1, rel=1e-5)


def test_faults_change_their_pixels_and_no_others() -> None:
    good = Rendering(SMALL).frame(1)
    for case in (
        replace(SMALL, name="hot", faults=("hot",)),
        replace(SMALL, faults=("stop",)),
        replace(SMALL, faults=("gap",)),
    ):
        rendering = Rendering(case)
        frame, usable = rendering.frame(1), rendering.usable
        assert 0 < (~usable).sum() < 0.2 * usable.size
        assert np.array_equal(frame[usable], good[usable])
        dark = int((frame[~usable] == 0).sum())
        assert dark == (BROKEN if "hot" in case.faults else (~usable).sum())


def test_what_is_hidden_of_a_disk_is_not_visible() -> None:
    assert np.array_equal(Rendering(SMALL).visible(), np.ones((12, 9)))
    visible = Rendering(replace(SMALL, faults=("stop",))).visible()
    assert visible[:, 0].max() < 0.2
    assert visible.max() == pytest.approx(1)


def test_the_vacuum_probe_is_one_disk_in_the_middle() -> None:
    probe = Rendering(SMALL).vacuum_probe()
    assert probe.sum() == pytest.approx(VACUUM_ELECTRONS, rel=1e-5)
    assert centre_of_mass(probe, SMALL.middle, 20.0) == pytest.approx(SMALL.middle, abs=1e-4)
    area = probe.sum() / probe.max()
    assert np.sqrt(area / np.pi) == pytest.approx(SMALL.radius_px, rel=0.02)


def test_a_bullseye_has_gaps_that_a_round_disk_has_not() -> None:
    plain, rings = (
        Rendering(replace(FLAT, radius_px=7.5, spacing_px=24.0, aperture=aperture)).vacuum_probe()
        for aperture in ("round", "bullseye")
    )
    inside = plain > 0.95 * plain.max()
    assert rings[inside].min() < 0.3 * rings[inside].max()


def test_grains_are_turned_at_random_around_one_centre() -> None:
    rendering = Rendering(replace(SMALL, grains=2, disks=7))
    assert rendering.positions.shape == (12, 13, 2)
    assert rendering.positions[:, 0] == pytest.approx(rendering.centres.reshape(-1, 2))
    assert not np.allclose(rendering.positions[0], rendering.positions[1], atol=2.0, equal_nan=True)
    lost = np.isnan(rendering.positions[..., 0])
    assert (rendering.electrons[lost] == 0).all()
    assert (rendering.electrons[~lost] > 0).all()


def test_a_case_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        replace(SMALL, radius_px=0.0)
    with pytest.raises(ValueError, match="lies in"):
        replace(SMALL, nonuniformity=1.5)
    with pytest.raises(ValueError, match="hot"):
        replace(SMALL, faults=("hot",))
