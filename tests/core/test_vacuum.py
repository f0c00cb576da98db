from collections.abc import Callable

import numpy as np
import pytest

from core.apertures import draw_bullseye
from core.patterns import Float64, draw_disk
from livestrain_core.bright_disk import measure_probe
from livestrain_core.errors import NoProbe
from livestrain_core.probe import Probe
from livestrain_core.probe_disk import disk
from livestrain_core.vacuum import average_vacuum, measure_pattern

AT = np.array([31.7, 30.4])
SHAPE = (64, 64)


@pytest.mark.parametrize(("radius", "edge"), [(4.0, 0.6), (7.0, 0.8), (14.0, 1.1)])
@pytest.mark.parametrize(
    "draw", [lambda r, e: draw_disk(SHAPE, AT, Probe(r, e)), lambda r, e: draw_bullseye(SHAPE, AT, r, e)]
)
def test_radius_and_edge_of_an_aperture_are_measured(
    draw: Callable[[float, float], Float64], radius: float, edge: float
) -> None:
    found = measure_pattern(1000 * draw(radius, edge) + 3.0)
    np.testing.assert_allclose(found.centre, AT, atol=0.03)
    assert found.probe.radius_px == pytest.approx(radius, abs=0.15)
    assert found.probe.edge_px == pytest.approx(edge, abs=0.25)


def test_noise_of_the_vacuum_image_is_held_down_where_a_few_electrons_made_it() -> None:
    image = draw_bullseye(SHAPE, AT, 14.0, 1.0)
    counts = np.random.default_rng(3).poisson(40 * image).astype(np.float64)
    truth, found = (measure_pattern(a).probe for a in (image, counts))
    dr, dc = (a - at for a, at in zip(np.indices(SHAPE), AT, strict=True))
    inside = np.hypot(dr, dc) < 13
    expected = disk(truth, dr, dc)[inside]
    raw = counts[inside] / counts[inside].mean() * expected.mean()
    noise = np.sqrt(np.mean((disk(found, dr, dc)[inside] - expected) ** 2))
    assert noise < 0.75 * np.sqrt(np.mean((raw - expected) ** 2))


def test_broken_pixels_and_a_narrow_gap_leave_no_mark_in_the_pattern() -> None:
    image = 500 * draw_disk(SHAPE, AT, Probe(9.0, 0.9))
    clean = measure_pattern(image).probe.pattern
    usable = np.ones(SHAPE, np.bool_)
    usable[28] = usable[33, 35] = False
    image[28], image[33, 35], image[29, 31] = 0.0, 9e4, np.nan
    mended = measure_pattern(image, usable).probe.pattern
    assert clean is not None
    assert mended is not None
    np.testing.assert_allclose(mended.image(), clean.image(), atol=0.12)


NOISE = np.random.default_rng(1).poisson(5.0, SHAPE).astype(np.float64)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros(SHAPE),
        np.full(SHAPE, 7.0),
        np.full(SHAPE, np.nan),
        NOISE,
        -np.ones(SHAPE),
        draw_disk(SHAPE, np.array([3.0, 30.0]), Probe(9.0, 0.8)),
        np.where(np.hypot(*np.indices(SHAPE)) < 60, 100.0, 0.0),
        draw_disk((400, 400), np.array([200.0, 200.0]), Probe(130.0, 1.0)),
    ],
    ids=["blank", "constant", "nan", "noise", "negative", "cut", "quarter", "large"],
)
def test_there_is_no_pattern_where_there_is_no_whole_probe(image: Float64) -> None:
    with pytest.raises(NoProbe):
        measure_pattern(image)


def test_a_wandering_probe_is_averaged_in_one_place() -> None:
    rng, probe = np.random.default_rng(4), Probe(7.0, 0.8)
    places = AT + rng.uniform(-3, 3, (40, 2))
    stack = np.array([rng.poisson(20 * draw_disk(SHAPE, at, probe)) for at in places], np.uint16)
    found = measure_probe(average_vacuum(stack))
    np.testing.assert_allclose(found.centre, np.median(places, axis=0), atol=0.1)
    assert found.probe.edge_px == pytest.approx(0.8, abs=0.15)
    smeared = measure_probe(stack.mean(axis=0))
    assert smeared.probe.edge_px > 1.5


def test_frames_without_a_probe_are_left_out_of_the_average() -> None:
    image = 50 * draw_disk(SHAPE, AT, Probe(7.0, 0.8))
    average = average_vacuum(np.stack([image, np.zeros(SHAPE), np.full(SHAPE, np.nan), image]))
    np.testing.assert_allclose(average, image, atol=1e-9)


def test_frames_too_dim_to_show_their_probe_are_averaged_as_they_are() -> None:
    stack = np.random.default_rng(5).poisson(0.05 * draw_disk(SHAPE, AT, Probe(7.0, 0.8)), (300, *SHAPE))
    np.testing.assert_allclose(average_vacuum(stack), stack.mean(axis=0), atol=1e-12)
