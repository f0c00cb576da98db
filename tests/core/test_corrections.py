from dataclasses import replace

import numpy as np
import pytest

from core.patterns import PROBE, SHAPE, SQUARE, scan
from livestrain_core.contrast import USUAL
from livestrain_core.corrections import corrected, in_electrons
from livestrain_core.detect import detect
from livestrain_core.disks import track
from livestrain_core.lattice import fit_lattice
from livestrain_core.reason import Reason
from livestrain_core.target import Target, miller


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f4"])
def test_dark_is_subtracted_and_gain_multiplied(dtype: str) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 200, (3, 20, 30)).astype(dtype)
    dark, gain = rng.normal(5, 1, (20, 30)), rng.normal(1, 0.1, (20, 30))
    found = corrected(frames, dark, gain)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (frames - dark) * gain, rtol=1e-5, atol=1e-4)


def test_without_references_frames_keep_their_values() -> None:
    frames = np.arange(600, dtype=np.uint16).reshape(1, 20, 30)
    np.testing.assert_array_equal(corrected(frames), frames)
    np.testing.assert_array_equal(corrected(frames, dark=np.full((20, 30), 7)), frames - 7.0)
    np.testing.assert_array_equal(corrected(frames, gain=np.full((20, 30), 2)), frames * 2.0)


def test_a_saturated_pixel_is_judged_by_its_stored_counts() -> None:
    frames = np.full((2, 20, 30), 4000, np.uint16)
    frames[1, 3, 4] = 4095
    found = corrected(frames, np.full((20, 30), 100), np.full((20, 30), 0.5), saturation=4095)
    assert np.argwhere(np.isnan(found)).tolist() == [[1, 3, 4]]
    assert not np.isnan(corrected(frames, np.full((20, 30), 100))).any()


def test_what_is_not_finite_is_nan() -> None:
    frames, dark, gain = np.ones((1, 20, 30), np.float32), np.zeros((20, 30)), np.ones((20, 30))
    frames[0, 0, 0], dark[1, 1], gain[2, 2] = np.inf, np.nan, np.inf
    found = corrected(frames, dark, gain)
    assert np.argwhere(np.isnan(found[0])).tolist() == [[0, 0], [1, 1], [2, 2]]


def test_a_reference_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape of a frame"):
        corrected(np.zeros((1, 20, 30), np.uint16), dark=np.zeros((30, 20)))


def test_a_frame_gives_the_same_bits_alone_and_among_others() -> None:
    rng = np.random.default_rng(0)
    frames, dark = rng.integers(0, 200, (5, 20, 30)).astype(np.uint16), rng.normal(5, 1, (20, 30))
    np.testing.assert_array_equal(corrected(frames[3:4], dark)[0], corrected(frames, dark)[3])


def test_a_lattice_seen_through_dark_and_gain_is_that_without_them() -> None:
    given = scan(SQUARE)
    rng = np.random.default_rng(3)
    dark, gain = rng.uniform(50, 150, SHAPE), rng.uniform(0.7, 1.4, SHAPE)
    stored = np.rint(given.frames / gain + dark).astype(np.uint16)

    def error(frames: np.ndarray) -> float:
        fit = fit_lattice(track(frames, None, Target(SQUARE, miller(given.hk), PROBE, 5.0)), given.hk)
        fitted = fit.reason == Reason.FITTED
        assert fitted.all()
        return float(np.sqrt(np.mean((np.stack([fit.g1, fit.g2], axis=1) - given.g) ** 2)))

    assert error(corrected(stored, dark, gain)) < 1.1 * error(given.frames)
    assert error(stored) > 1.3 * error(given.frames)


def test_counts_that_are_electrons_are_left_as_they_are() -> None:
    frames = np.ones((2, 8, 8), np.uint16)
    assert in_electrons(frames, None) is frames
    assert in_electrons(frames, replace(USUAL, electrons_per_count=1.05)) is frames


def test_other_counts_become_electrons_and_saturated_ones_nothing() -> None:
    frames = np.array([[[40, 80], [4000, 0]]], np.uint16)
    found = in_electrons(frames, replace(USUAL, electrons_per_count=1 / 40), saturation=4000)
    np.testing.assert_allclose(found, np.array([[[1.0, 2.0], [np.nan, 0.0]]]))


def test_detection_takes_no_noise_for_disks_where_it_is_told_the_electrons_per_count() -> None:
    """Forty counts an electron scatter six times as much as forty electrons would."""
    frames = (40 * np.random.default_rng(1).poisson(3.0, (3, *SHAPE))).astype(np.uint16)
    assert detect(frames, None, PROBE).count.max() > 10
    assert detect(in_electrons(frames, replace(USUAL, electrons_per_count=1 / 40)), None, PROBE).count.max() == 0
