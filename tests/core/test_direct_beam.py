"""Which of several places is the direct beam, when disks and background fade around one of them."""

import numpy as np

from livestrain_core.direct_beam import Levels, background_levels, fades_around

STEPS = np.array([(h, k) for h in range(-2, 3) for k in range(-2, 3)], np.float64) * 22.0
CANDIDATES = np.array([(0.0, 0.0), (22.0, 0.0), (0.0, -22.0)])
NO_BACKGROUND = Levels(np.empty((0, 2)), np.empty(0))


def levels(around: int, scatter: float) -> Levels:
    place = STEPS[np.hypot(*STEPS.T) > 1.0]
    distance = np.hypot(*(place - CANDIDATES[around]).T)
    return Levels(place, -((distance / 40.0) ** 2) + np.random.default_rng(around).normal(0, scatter, len(place)))


def test_the_disks_fade_around_the_direct_beam() -> None:
    for around in range(3):
        assert fades_around(CANDIDATES, levels(around, 0.2), NO_BACKGROUND) == around


def test_disks_that_do_not_fade_or_are_few_tell_nothing() -> None:
    even = Levels(levels(0, 0.0).place, np.random.default_rng(4).normal(0, 1.0, 24))
    few = Levels(even.place[:5], levels(1, 0.0).logarithm[:5])
    assert fades_around(CANDIDATES, even, NO_BACKGROUND) is None
    assert fades_around(CANDIDATES, few, NO_BACKGROUND) is None


def test_the_background_decides_where_the_disks_do_not() -> None:
    shape, centre = (128, 128), np.array([63.5, 63.5])
    r, c = np.indices(shape)
    root = np.exp(-np.hypot(r - centre[0] - 22.0, c - centre[1]) / 60.0)
    background = background_levels(root, np.ones(shape, np.bool_), centre + STEPS, 6.0, 9.0)
    relative = Levels(background.place - centre, background.logarithm)
    disks = levels(1, 4.0)
    assert fades_around(CANDIDATES, disks, NO_BACKGROUND) is None
    assert fades_around(CANDIDATES, disks, relative) == 1
