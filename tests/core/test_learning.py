"""What is learned of contrast and counts is what was drawn."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from core.patterns import PROBE, SHAPE, SQUARE, Float64, draw_disk, drawn_once, indices, scan
from livestrain_core.calibrate import calibrate
from livestrain_core.contrast import SHELLS, USUAL, Contrast
from livestrain_core.disks import track
from livestrain_core.dynamical import contrast_modes, reduction, shell_terms
from livestrain_core.lattice import LatticeFit, fit_lattice
from livestrain_core.learning import MOST_ELECTRONS, learn_contrast
from livestrain_core.probe_disk import disk
from livestrain_core.products import inner, leverages, normals
from livestrain_core.shot_noise import counts_per_electron
from livestrain_core.strain import strain
from livestrain_core.strain_error import standard_errors, strain_covariance
from livestrain_core.target import Target, miller
from livestrain_core.templates import filters

FRAMES = 24
HK = indices(2, 48, SQUARE)


def waves(y: Float64, x: Float64, rms: float, cycles: float, rng: np.random.Generator) -> Float64:
    """A random field of plane waves of one frequency [cycles per radius], of this root mean square on average."""
    angles, phases = rng.uniform(0, 2 * np.pi, (2, 6))
    field = [
        np.cos(2 * np.pi * cycles * (y * np.cos(a) + x * np.sin(a)) + p) for a, p in zip(angles, phases, strict=True)
    ]
    return np.asarray(rms * np.sqrt(2 / 6) * np.sum(field, axis=0), np.float64)


@drawn_once
def fringed(rms: float, cycles: float = 0.5, electrons: float = 3e5, seed: int = 5) -> NDArray[np.uint16]:
    """Frames of one unstrained lattice whose disks carry such fields."""
    rng = np.random.default_rng(seed)
    place = np.array(SQUARE.centre) + HK @ np.array([SQUARE.g1, SQUARE.g2])
    frames = np.empty((FRAMES, *SHAPE), np.uint16)
    disks = [draw_disk(SHAPE, at, PROBE) for at in place]
    lit = [np.nonzero(flat) for flat in disks]
    for i in range(FRAMES):
        mean = np.full(SHAPE, 0.02)
        for flat, at, (r, c) in zip(disks, place, lit, strict=True):
            y, x = (r - at[0]) / PROBE.radius_px, (c - at[1]) / PROBE.radius_px
            mean[r, c] += flat[r, c] * (1.0 + waves(y, x, rms, cycles, rng)) * rng.uniform(0.5, 1.0)
        frames[i] = rng.poisson(electrons * np.maximum(mean, 0) / mean.sum())
    return frames


def lattices(frames: NDArray[np.generic], contrast: Contrast | None = None) -> LatticeFit:
    return fit_lattice(track(frames, None, Target(SQUARE, miller(HK), PROBE, 4.0, contrast=contrast)), HK)


def total(contrast: Contrast) -> float:
    return float(np.sqrt(np.sum(np.square(contrast.amplitude))))


def test_plane_waves_of_a_shell_add_up_to_an_isotropic_field() -> None:
    """Its covariance is the mean of cos(2 pi k d cos(angle)) over all directions, a Bessel function of the distance."""
    angles = np.linspace(0, np.pi, 721)[:-1]
    y, x = np.array([0.0, 0.4, -0.3, 0.9]), np.array([0.0, 0.2, 0.8, -0.6])
    terms, shell = shell_terms(y, x)
    distance = np.hypot(y[:, None] - y, x[:, None] - x)
    for number, cycles in enumerate(SHELLS):
        expected = np.cos(2 * np.pi * cycles * distance[..., None] * np.cos(angles)).mean(axis=-1)
        found = terms[shell == number].T @ terms[shell == number]
        np.testing.assert_allclose(found, expected, atol=0.02)


def test_few_modes_carry_the_contrast_of_a_disk() -> None:
    axis = np.arange(-9.0, 10.0)
    dr, dc = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    modes = contrast_modes(PROBE, USUAL, dr, dc)
    flat = disk(PROBE, dr, dc)
    terms, shell = shell_terms(dr / PROBE.radius_px, dc / PROBE.radius_px)
    fields = terms - (terms * flat).sum(axis=1, keepdims=True) / flat.sum()
    expected = (np.square(USUAL.amplitude)[shell][:, None] * fields**2).sum(axis=0)
    middle = flat > 0.99
    np.testing.assert_allclose((modes[:, middle] ** 2).sum(axis=0), expected[middle], rtol=0.08)
    # contrast leaves the mean of a disk as it is
    np.testing.assert_allclose(modes.sum(axis=1) / flat.sum(), 0.0, atol=2e-3)
    assert len(modes) < 50
    assert reduction(PROBE, USUAL.amplitude) is reduction(PROBE, USUAL.amplitude)


def test_products_of_small_matrices_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    terms: Float64 = rng.standard_normal((3, 4, 30))
    weight: Float64 = rng.uniform(0.5, 2.0, (3, 30))
    np.testing.assert_allclose(inner(terms[0], weight[0], terms[1]), (terms[0] * weight[0]) @ terms[1].T)
    np.testing.assert_allclose(normals(terms, weight), (terms * weight[:, None]) @ terms.transpose(0, 2, 1))
    inverse: Float64 = np.asarray(np.linalg.inv(normals(terms, weight)), np.float64)
    expected = np.einsum("nip,nij,njp->np", terms, inverse, terms)
    np.testing.assert_allclose(leverages(terms, inverse), expected)


@pytest.mark.parametrize("rms", [0.05, 0.2])
def test_the_amplitude_of_contrast_is_learned(rms: float) -> None:
    frames = fringed(rms)
    learned = learn_contrast(frames, None, lattices(frames), HK, PROBE)
    assert total(learned) == pytest.approx(rms, rel=0.3)
    # the shells next to half a cycle per radius hold most of it
    assert np.sum(np.square(learned.amplitude[3:6])) > 0.5 * total(learned) ** 2


def test_disks_without_contrast_have_none() -> None:
    frames = fringed(0.0)
    learned = learn_contrast(frames, None, lattices(frames), HK, PROBE)
    assert total(learned) < 0.03


@pytest.mark.parametrize("scale", [1e-6, 40.0])
def test_what_is_learned_does_not_depend_on_the_scale_of_the_counts(scale: float) -> None:
    frames = fringed(0.1)
    fits = lattices(frames)
    expected = learn_contrast(frames, None, fits, HK, PROBE)
    found = learn_contrast((frames * scale).astype(np.float32), None, fits, HK, PROBE)
    assert found.electrons_per_count * scale == pytest.approx(expected.electrons_per_count, rel=1e-3)
    assert expected.electrons_per_count == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(found.amplitude, expected.amplitude, rtol=0.01, atol=1e-4)
    assert found.background == pytest.approx(expected.background, rel=0.01)


def test_hidden_pixels_teach_nothing() -> None:
    frames = fringed(0.1)
    fits = lattices(frames)
    usable = np.ones(SHAPE, np.bool_)
    usable[60, :] = False
    spoiled = frames.copy()
    spoiled[:, 60] = 60000
    expected = learn_contrast(frames, None, fits, HK, PROBE)
    found = learn_contrast(spoiled, usable, fits, HK, PROBE)
    assert total(found) == pytest.approx(total(expected), rel=0.4)
    assert found.electrons_per_count == pytest.approx(1.0, abs=0.1)


def test_frames_without_a_lattice_give_the_usual_contrast() -> None:
    empty = np.zeros((4, *SHAPE), np.uint16)
    assert learn_contrast(empty, None, lattices(empty), HK, PROBE) == USUAL


@pytest.mark.parametrize("gain", [1.0, 0.01, 7.0])
def test_the_scatter_between_disks_tells_the_counts_per_electron(gain: float) -> None:
    rng = np.random.default_rng(2)
    # a background that is smooth, and a structure that stays the same
    structure = np.where(rng.random((64, 64)) < 0.1, 3.0, 0.0)
    mean = 1.5 + np.linspace(0, 1, 64)[:, None] + structure
    frames = (gain * rng.poisson(mean, (40, 64, 64))).astype(np.float32)
    usable = np.ones((64, 64), np.bool_)
    position = np.full((40, 1, 2), 30.0)
    frames[:, 25:36, 25:36] *= 50
    found = counts_per_electron(frames, usable, position, PROBE)
    assert found == pytest.approx(gain, rel=0.04)


def test_where_disks_leave_no_room_nothing_is_said_of_the_counts() -> None:
    frames = np.ones((8, 16, 16), np.float32)
    assert counts_per_electron(frames, np.ones((16, 16), np.bool_), np.full((8, 1, 2), 8.0), PROBE) is None


def test_learned_filters_beat_the_usual_ones_where_contrast_is_strong() -> None:
    frames = fringed(0.35, electrons=1e6)
    learned = learn_contrast(frames, None, lattices(frames), HK, PROBE)
    errors = []
    for contrast in (None, learned):
        fit = lattices(frames, contrast)
        errors.append(float(np.sqrt(np.mean((fit.g1 - SQUARE.g1) ** 2 + (fit.g2 - SQUARE.g2) ** 2))))
    assert errors[1] < 0.9 * errors[0]


@pytest.mark.parametrize("rms", [0.0, 0.2])
def test_errors_are_as_large_as_the_standard_errors_say(rms: float) -> None:
    frames = fringed(rms, electrons=1e5)
    learned = learn_contrast(frames, None, lattices(frames), HK, PROBE)
    fit = lattices(frames, learned)
    g, true = np.stack([fit.g1, fit.g2], axis=1), np.array([SQUARE.g1, SQUARE.g2])
    error = standard_errors(strain_covariance(g, true, fit.covariance))
    found = strain(g, true)
    z = [found.e_xx / error.e_xx, found.e_yy / error.e_yy, found.e_xy / error.e_xy, found.theta / error.theta]
    assert 0.7 < float(np.sqrt(np.mean(np.square(z)))) < 1.3
    # counting is a part of the error, and the whole of it where there is no contrast
    part = (fit.noise_covariance[:, 11] / fit.covariance[:, 11]).mean()
    assert part < 0.95 if rms else part > 0.7


def test_a_brighter_class_trusts_the_inside_less_where_contrast_is_known() -> None:
    """The misfit of a filter is a floor that no dose goes below; without contrast it nearly vanishes."""
    calm = replace(USUAL, amplitude=(1e-4,) * len(SHELLS), roughness=1e-3)
    assert filters(PROBE, calm).noise[-1, 2] < 0.01 * filters(PROBE, USUAL).noise[-1, 2]
    assert filters(PROBE, calm).noise[-1, 2] >= 0.0


def test_a_calibration_hands_on_what_it_learned() -> None:
    given = scan(SQUARE)
    found = calibrate(given.frames, None, given.vacuum)
    assert found.contrast.electrons_per_count == pytest.approx(1.0, abs=0.1)
    assert 0.02 < total(found.contrast) < 0.4
    assert found.contrast.misfit_px < 0.1


def test_without_disks_to_learn_from_the_contrast_is_the_usual_one() -> None:
    frames = fringed(0.1)
    assert learn_contrast(frames, None, lattices(frames), np.empty((0, 2), np.int64), PROBE) == USUAL


@pytest.mark.parametrize("g2", [(0.0, 0.05), (20.0, 0.0), (-40.0, 1e-3)])
def test_lattices_too_narrow_for_disks_give_the_usual_contrast(g2: tuple[float, float]) -> None:
    frames = fringed(0.1)
    fits = lattices(frames)
    fits.g2[:] = g2
    fits.g1[:] = (0.05, 0.0) if g2[0] == 0 else (20.0, 0.0)
    assert learn_contrast(frames, None, fits, HK, PROBE) == USUAL


def test_frames_without_noise_say_nothing_of_the_counts() -> None:
    frames = np.repeat(np.random.default_rng(3).uniform(0.1, 7.3, (1, 64, 64)).astype(np.float32), 40, axis=0)
    frames[::2] *= np.float32(1.0000001)
    usable, position = np.ones((64, 64), np.bool_), np.full((40, 1, 2), 30.0)
    assert counts_per_electron(frames, usable, position, PROBE) is None


def test_few_windows_let_no_disk_have_more_electrons_than_is_believed() -> None:
    frames = fringed(0.0).astype(np.float32)
    fits = lattices(frames)
    calm = np.repeat(frames[:1] + np.float32(1.0), FRAMES, axis=0)
    # far less noise than counts are believed to have, but more than rounding
    calm += np.random.default_rng(0).standard_normal(calm.shape, np.float32) * np.float32(1e-3)
    outside = np.array([[40, 0], [0, 40]])
    learned = learn_contrast(calm, None, fits, outside, PROBE)
    assert learned.amplitude == USUAL.amplitude
    assert learned.electrons_per_count * float(np.quantile(calm, 0.99)) == pytest.approx(MOST_ELECTRONS, rel=0.01)
