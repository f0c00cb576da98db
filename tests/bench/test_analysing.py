"""The rates of a file and of the workers alone, and what is made of them."""

import numpy as np
import pytest

from livestrain_bench.analysing import Analysing, Turn

MIDDLE = Turn(own=1000.0, processor=1100.0, seconds=2.0, busy_seconds=1.5, positions=1000)
TURNS = [
    Turn(own=2000.0, processor=2100.0, seconds=1.0, busy_seconds=0.1, positions=1000),
    Turn(own=100.0, processor=900.0, seconds=4.0, busy_seconds=3.9, positions=1000),
    Turn(own=1000.0, processor=1200.0, seconds=1.25, busy_seconds=0.2, positions=1000),
    Turn(own=900.0, processor=1000.0, seconds=10.0, busy_seconds=9.0, positions=1000),
    MIDDLE,
]


def test_a_ratio_is_the_product_of_how_busy_and_how_slowed_the_workers_were_in_the_same_round() -> None:
    found = Analysing.of(TURNS, 2)
    assert found.ratio == pytest.approx(0.5)
    assert found.busy == pytest.approx(0.75)
    assert found.slowed == pytest.approx(2 / 3)
    assert found.ratio == pytest.approx(found.busy * found.slowed)
    # medians of each by itself would not multiply
    each = [np.median([getattr(Analysing.of([turn], 2), name) for turn in TURNS]) for name in ("busy", "slowed")]
    assert abs(np.prod(each) / found.ratio - 1) > 0.1


def test_rates_are_the_best_of_all_rounds() -> None:
    found = Analysing.of(TURNS, 2)
    assert (found.fps_own, found.fps_processor, found.fps_file) == (2000.0, 2100.0, 1000.0)
    assert (found.workers, found.frames) == (2, 1000)
