"""The probe measured from all disks of a pattern."""

import numpy as np
import pytest

from core.patterns import SHAPE, SQUARE, draw_disk, indices
from livestrain_core.own_probe import probe_of_disks
from livestrain_core.probe import Probe
from livestrain_core.types import Float64

EVERYWHERE = np.ones(SHAPE, np.bool_)


def pattern(probe: Probe, uneven: bool) -> tuple[Float64, Float64]:
    """Disks of which `uneven` leaves one half, another one each time; and noise."""
    image = np.full(SHAPE, 0.02)
    r, c = np.indices(SHAPE)
    basis = np.array([SQUARE.g1, SQUARE.g2])
    for number, place in enumerate(np.array(SQUARE.centre) + indices(3, 50, SQUARE) @ basis):
        angle = 2.4 * number
        side = (r - place[0]) * np.cos(angle) + (c - place[1]) * np.sin(angle) > 0.2 * probe.radius_px
        image += draw_disk(SHAPE, place, probe) * np.where(side & uneven, 0.1, 1.0)
    noise = np.random.default_rng(2).normal(0, 0.003, SHAPE)
    return np.sqrt(image) + noise, noise


@pytest.mark.parametrize("radius", [3.0, 5.0, 7.0])
@pytest.mark.parametrize("uneven", [False, True])
def test_the_radius_follows_from_all_disks_whatever_is_inside_them(radius: float, uneven: bool) -> None:
    found = probe_of_disks(*pattern(Probe(radius, 0.8), uneven), EVERYWHERE)
    assert found is not None
    assert found.probe.radius_px == pytest.approx(radius, rel=0.15 if uneven else 0.05)


def test_a_pattern_without_disks_has_no_probe() -> None:
    noise = np.random.default_rng(3).normal(0, 0.01, (2, *SHAPE))
    assert probe_of_disks(1.0 + noise[0], noise[1], EVERYWHERE) is None
