"""The plane of the centre over the scan, with known truth and a good part of nonsense."""

import numpy as np
import pytest
from numpy.typing import NDArray

from livestrain_core.descan import CentrePlane, fit_centre_plane, predicted_centre
from livestrain_core.errors import NoDescan

Float64 = NDArray[np.float64]
TRUE = CentrePlane((63.2, 64.7), (0.021, -0.008), (-0.013, 0.030))
SCAN = (40, 60)


def positions(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    chosen = rng.choice(SCAN[0] * SCAN[1], count, replace=False)
    return np.stack(np.unravel_index(chosen, SCAN), axis=1).astype(np.int64)


def worst(found: CentrePlane) -> float:
    """Largest distance of the found plane from the true one anywhere in the scan [px]."""
    corners = np.array([(r, c) for r in (0, SCAN[0] - 1) for c in (0, SCAN[1] - 1)])
    return float(np.abs(predicted_centre(found, corners) - predicted_centre(TRUE, corners)).max())


def test_an_exact_plane_is_found_exactly() -> None:
    where = positions(64, np.random.default_rng(0))
    found = fit_centre_plane(where, predicted_centre(TRUE, where))
    assert worst(found) < 1e-9
    assert (found.used, found.residual_px < 1e-9) == (64, True)


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_averaged_and_told_as_the_residual(seed: int) -> None:
    rng = np.random.default_rng(seed)
    where = positions(64, rng)
    found = fit_centre_plane(where, predicted_centre(TRUE, where) + rng.normal(0, 0.05, (64, 2)))
    # three parameters from 64 centres; at a corner the error is up to four times that of the mean
    assert worst(found) < 5 * 0.05 * np.sqrt(3 / 64)
    assert found.residual_px == pytest.approx(0.05, rel=0.3)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["lost fits", "contamination"])
def test_forty_per_cent_of_wrong_centres_do_not_disturb_it(seed: int, kind: str) -> None:
    rng = np.random.default_rng(100 + seed)
    where = positions(100, rng)
    centres = predicted_centre(TRUE, where) + rng.normal(0, 0.05, (100, 2))
    if kind == "lost fits":
        bad = rng.choice(100, 40, replace=False)
        centres[bad] += rng.uniform(-20, 20, (40, 2))
    else:
        # a whole side of the scan, off in the same direction
        bad = np.argsort(where[:, 1])[:35]
        centres[bad] += (3.0, -2.0)
    found = fit_centre_plane(where, centres)
    assert worst(found) < 0.15
    # its twin without wrong centres is hardly better
    kept = np.setdiff1d(np.arange(100), bad)
    assert worst(fit_centre_plane(where[kept], centres[kept])) < 0.15
    assert found.used <= 100 - len(bad) + 5


def test_positions_without_a_centre_are_left_out() -> None:
    where = positions(30, np.random.default_rng(1))
    centres = predicted_centre(TRUE, where)
    centres[::3] = np.nan
    found = fit_centre_plane(where, centres)
    assert (worst(found) < 1e-9, found.used) == (True, 20)


def test_the_order_of_the_positions_matters_little_and_repeating_not_at_all() -> None:
    rng = np.random.default_rng(2)
    where = positions(64, rng)
    centres = predicted_centre(TRUE, where) + rng.normal(0, 0.05, (64, 2))
    once, order = fit_centre_plane(where, centres), rng.permutation(64)
    assert fit_centre_plane(where, centres) == once
    other = fit_centre_plane(where[order], centres[order])
    np.testing.assert_allclose(other.origin, once.origin, atol=0.02)


def test_a_prediction_depends_on_its_position_only() -> None:
    where = positions(101, np.random.default_rng(3))
    whole = predicted_centre(TRUE, where)
    single = np.concatenate([predicted_centre(TRUE, where[i : i + 1]) for i in range(101)])
    assert whole.tobytes() == single.tobytes()


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_centres_are_refused(count: int) -> None:
    where = positions(count, np.random.default_rng(4)) if count else np.empty((0, 2), np.int64)
    with pytest.raises(NoDescan, match=f"found {count}"):
        fit_centre_plane(where, predicted_centre(TRUE, where))


@pytest.mark.parametrize("line", ["row", "column", "diagonal", "point"])
def test_positions_on_one_line_are_refused(line: str) -> None:
    step = np.arange(30)
    nothing = np.zeros(30, np.int64)
    where = {
        "row": np.stack([nothing + 4, step], axis=1),
        "column": np.stack([step, nothing + 7], axis=1),
        "diagonal": np.stack([step, 2 * step + 1], axis=1),
        "point": np.stack([nothing, nothing], axis=1),
    }[line]
    with pytest.raises(NoDescan, match="one line"):
        fit_centre_plane(where, predicted_centre(TRUE, where))


def test_centres_without_any_order_are_refused() -> None:
    rng = np.random.default_rng(5)
    where = positions(200, rng)
    centres = np.concatenate([rng.uniform(0, 1000, (120, 2)), predicted_centre(TRUE, where[120:])])
    with pytest.raises(NoDescan, match="scatter by"):
        fit_centre_plane(where, centres)


def test_a_position_that_is_not_finite_is_left_out() -> None:
    where = positions(30, np.random.default_rng(1)).astype(np.float64)
    centres = predicted_centre(TRUE, where)
    where[4, 0], where[7, 1] = np.nan, np.inf
    found = fit_centre_plane(where, centres)
    assert (worst(found) < 1e-9, found.used) == (True, 28)
    with pytest.raises(NoDescan, match="found 0"):
        fit_centre_plane(np.full((30, 2), np.nan), centres)
