from dataclasses import replace

import numpy as np
import pytest

from livestrain_simulator.cases.bound import bound, lattice_information
from livestrain_simulator.cases.case import Case
from livestrain_simulator.cases.render import Pattern, Rendering

CASE = Case("small", (72, 80), spacing_px=17.0, radius_px=4.0, disks=9, scan_shape=(3, 4), seed=3)


def moved(rendering: Rendering, position: int, shift: np.ndarray) -> np.ndarray:
    """The expected pattern with its lattice parameters (centre, g1, g2) shifted, drawn whole."""
    pattern = rendering.pattern(position)
    image = rendering.background(position).copy()
    for j, (h, k) in enumerate(rendering.hk):
        total = rendering.disk(pattern, j)[2]
        at = pattern.positions + shift[:2] + h * shift[2:4] + k * shift[4:]
        patch, corner, _ = rendering.disk(Pattern(at, pattern.electrons, pattern.look), j)
        r, c = (int(value) for value in corner)
        whole = np.zeros((200, 200))
        whole[50 + r : 50 + r + len(patch), 50 + c : 50 + c + len(patch)] = patch * pattern.electrons[j] / total
        image += whole[50 : 50 + image.shape[0], 50 : 50 + image.shape[1]]
    return image


@pytest.mark.parametrize("faults", [(), ("gap",)])
def test_the_information_is_that_of_the_whole_pattern_moved(faults: tuple[str, ...]) -> None:
    rendering = Rendering(replace(CASE, faults=faults))  # type: ignore[arg-type]
    steps = 0.01 * np.eye(6)
    slopes = np.stack([(moved(rendering, 5, s) - moved(rendering, 5, -s))[rendering.usable] / 0.02 for s in steps])
    expected = (slopes / rendering.expected(5)[rendering.usable]) @ slopes.T
    found = lattice_information(rendering, 5, 0)
    assert found == pytest.approx(expected, rel=2e-2, abs=1e-3 * np.abs(expected).max())


def test_ten_times_the_dose_gives_the_root_of_ten_in_precision() -> None:
    dim, bright = (bound(Rendering(replace(CASE, dose=dose)), 6, 3) for dose in (1e4, 1e5))
    for name in dim:
        assert dim[name] / bright[name] == pytest.approx(np.sqrt(10), rel=1e-6)


def test_unknown_contrast_costs_precision_and_more_of_it_costs_more() -> None:
    rendering = Rendering(CASE)
    e00 = [bound(rendering, modes, 3)["e00"] for modes in (0, 1, 3, 6, 10)]
    assert e00 == sorted(e00)
    assert 1.1 * e00[0] < e00[3] < 3 * e00[0]


def test_hidden_pixels_cost_precision() -> None:
    whole, hidden = (bound(Rendering(replace(CASE, faults=faults)), 6, 3) for faults in ((), ("stop",)))
    assert all(hidden[name] > whole[name] for name in whole)


def test_an_efficient_estimate_reaches_the_bound() -> None:
    # one scoring step from the truth, with everything but the lattice known, on drawn counts
    case = replace(CASE, scan_shape=(8, 8), strain="none", descan_px=0.0)
    rendering = Rendering(case)
    errors = []
    for position in range(0, 64, 4):
        slopes = np.stack(
            [(moved(rendering, position, s) - moved(rendering, position, -s)).ravel() / 0.02 for s in 0.01 * np.eye(6)]
        )
        expected = rendering.expected(position).ravel()
        counts = rendering.frame(position).ravel()
        information = (slopes / expected) @ slopes.T
        errors.append(np.linalg.solve(information, slopes @ (counts / expected - 1.0)))
    limit = bound(rendering, 0, 4)
    scatter = np.sqrt(np.mean(np.square(errors), axis=0))
    assert np.sqrt((scatter[:2] ** 2).mean()) == pytest.approx(limit["c0"], rel=0.15)
    strained = np.sqrt((scatter[2:] ** 2).mean()) / case.spacing_px
    assert strained == pytest.approx((limit["e00"] + limit["e11"]) / 2, rel=0.15)
