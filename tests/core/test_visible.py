"""A disk of which a part is hidden counts for what is visible."""

from itertools import product
from math import inf

import numpy as np
import pytest
from numpy.typing import NDArray

from core.patterns import HEXAGONAL, PROBE, SHAPE, Float64, scan
from livestrain_core.contrast import USUAL
from livestrain_core.disks import track
from livestrain_core.lattice import fit_lattice
from livestrain_core.probe import Probe
from livestrain_core.target import Target, miller
from livestrain_core.templates import CLASSES, SHIFTS, disk_model, filters, pixel_variance, window_half
from livestrain_core.visible import Equations, measure_visible, visible_tables

HALF = window_half(PROBE)
SIDE = 2 * HALF + 1
TABLES = visible_tables(PROBE, USUAL, inf)
KIND = 3
AT = (KIND, 1, 2)
SHIFT = (1.5 / SHIFTS - 0.5, 2.5 / SHIFTS - 0.5)


def measured(window: Float64, hidden: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    k = TABLES.terms.shape[3]
    shown = np.where(hidden, 0.0, window).astype(np.float32)
    return measure_visible(
        shown.ravel(), hidden.astype(np.float32).ravel(), TABLES, AT, Equations(np.empty((k, k)), np.empty((3, k)))
    )


def noisy_window(seed: int = 0) -> Float64:
    free, modes = disk_model(PROBE, USUAL, HALF, SHIFT)
    rng = np.random.default_rng(seed)
    mean = 4000 * (free[2] + 0.1 * free[0] + modes.T @ rng.standard_normal(len(modes))) + 0.5
    return np.asarray(rng.poisson(np.maximum(mean, 0)).reshape(SIDE, SIDE), np.float64)


def rows_hidden(first: int) -> NDArray[np.bool_]:
    hidden = np.zeros((SIDE, SIDE), np.bool_)
    hidden[first:] = True
    return hidden


def least_squares(window: Float64, hidden: NDArray[np.bool_]) -> tuple[Float64, Float64]:
    """Generalised least squares on the visible pixels, with the whole covariance written out."""
    free, modes = disk_model(PROBE, USUAL, HALF, SHIFT)
    seen = ~hidden.ravel()
    variance = pixel_variance(free[2], CLASSES[KIND], USUAL)
    covariance = np.diag(variance[seen]) + modes[:, seen].T @ modes[:, seen]
    weighted = np.linalg.solve(covariance, free[:, seen].T)
    inverse = np.linalg.inv(free[:, seen] @ weighted)
    return inverse @ weighted.T @ window.ravel()[seen], inverse


@pytest.mark.parametrize("first", [SIDE, SIDE - 6, HALF + 2, HALF])
def test_it_is_the_generalised_least_squares_of_the_visible_pixels(first: int) -> None:
    window, hidden = noisy_window(), rows_hidden(first)
    expected, inverse = least_squares(window, hidden)
    _, whole = least_squares(window, rows_hidden(SIDE))
    r, c, total, raised = measured(window, hidden)
    np.testing.assert_allclose([r, c, total], expected[:3], rtol=1e-3, atol=2e-3 * expected[2])
    ratio = (inverse[0, 0] + inverse[1, 1]) / (whole[0, 0] + whole[1, 1])
    assert raised == pytest.approx(ratio, rel=1e-3)
    assert raised >= 1.0 - 1e-6


def test_a_whole_window_gives_what_the_filters_give() -> None:
    window = noisy_window(1)
    bank = filters(PROBE, USUAL).bank[AT]
    found = measured(window, rows_hidden(SIDE))
    np.testing.assert_allclose(found[:3], bank[:3] @ window.ravel(), rtol=1e-3, atol=1.0)


def test_what_the_hidden_pixels_hold_does_not_matter() -> None:
    window, hidden = noisy_window(2), rows_hidden(HALF + 1)
    spoiled = np.where(hidden, 1e6, window)
    assert measured(spoiled, hidden) == measured(window, hidden)


@pytest.mark.parametrize("probe", [PROBE, Probe(11.3, 1.9)], ids=["small", "large"])
def test_a_window_that_is_hidden_wholly_says_nothing_and_its_half_something(probe: Probe) -> None:
    tables, half = visible_tables(probe, USUAL, inf), window_half(probe)
    k, side = tables.terms.shape[3], 2 * half + 1
    room = Equations(np.empty((k, k)), np.empty((3, k)))
    empty, covered = np.zeros(side * side, np.float32), np.ones(side * side, np.float32)
    lower = np.repeat(np.arange(side) > half, side).astype(np.float32)
    for at in product(range(len(CLASSES)), range(SHIFTS), range(SHIFTS)):
        assert measure_visible(empty, covered, tables, at, room)[3] == inf
        assert 1.0 < measure_visible(empty, lower, tables, at, room)[3] < 1e3


def test_more_hidden_pixels_never_make_a_disk_surer() -> None:
    raised = [measured(noisy_window(4), rows_hidden(first))[3] for first in range(SIDE, HALF, -1)]
    assert (np.diff(raised) >= -1e-6).all()
    assert raised[-1] > 1.5


@pytest.mark.parametrize("part", ["gap", "stop"])
def test_disks_cut_by_a_fault_are_right_within_their_errors(part: str) -> None:
    """Places from visible pixels alone are; the lattices through them are no worse than with filled pixels."""
    given = scan(HEXAGONAL, 48, strain=0.01, descan=1.5, contrast=0.3)
    usable = np.ones(SHAPE, np.bool_)
    if part == "gap":
        usable[62:66] = usable[:, 62:66] = False
    else:
        usable[56:72, 50:] = False
    frames = np.where(usable, given.frames, 0).astype(np.uint16)
    errors = {}
    true = given.centre[:, None] + given.hk @ given.g
    for estimator in ("fast", "precise"):
        found = track(frames, usable, Target(HEXAGONAL, miller(given.hk), PROBE, 5.0, estimator=estimator))
        fit = fit_lattice(found, given.hk)
        assert (fit.reason == 0).all()
        errors[estimator] = float(np.sqrt(np.mean((np.stack([fit.g1, fit.g2], axis=1) - given.g) ** 2)))
    near = np.clip(np.rint(true), 6, 121).astype(int)
    partly = ~(usable[near[..., 0] - 5, near[..., 1]] & usable[near[..., 0] + 5, near[..., 1]])
    cut = np.isfinite(found.position[..., 0]) & partly
    z = ((found.position - true) * found.score[..., None])[cut]
    assert len(z) > 20
    assert np.sqrt(np.mean(z**2)) < 1.6
    assert errors["precise"] < 1.02 * errors["fast"]
