from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from core.patterns import HEXAGONAL, OBLIQUE, SHAPE, SQUARE, Scan, draw_disk, scan
from livestrain_core.calibrate import calibrate
from livestrain_core.disks import track
from livestrain_core.errors import NoProbe, NoVacuumProbe
from livestrain_core.lattice import Lattice, fit_lattice
from livestrain_core.probe import Probe
from livestrain_core.reason import Reason
from livestrain_core.target import Target, miller
from livestrain_core.types import Template


def poisson(mean: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.random.default_rng(3).poisson(np.broadcast_to(mean, (24, *SHAPE))).astype(np.uint16)


@pytest.mark.parametrize("lattice", [SQUARE, HEXAGONAL, OBLIQUE], ids=["square", "hexagonal", "oblique"])
@pytest.mark.parametrize("with_vacuum", [True, False], ids=["vacuum probe", "nothing given"])
def test_the_lattice_is_found_from_the_frames(lattice: Lattice, with_vacuum: bool) -> None:
    given = scan(lattice, descan=2.0)
    found = calibrate(given.frames, None, given.vacuum if with_vacuum else None)
    assert found.lattice is not None
    assert found.reason == ""
    np.testing.assert_allclose(found.lattice.g1, np.median(given.g[:, 0], axis=0), atol=0.1)
    np.testing.assert_allclose(found.lattice.g2, np.median(given.g[:, 1], axis=0), atol=0.1)
    np.testing.assert_allclose(found.centre, np.median(given.centre, axis=0), atol=0.1)
    assert found.probe.radius_px == pytest.approx(6.0, abs=0.1)
    assert found.hk[0].tolist() == [0, 0]
    assert {tuple(hk) for hk in given.hk.tolist()} <= {tuple(hk) for hk in found.hk.tolist()}
    assert 0 < found.residual_px < 0.2


def test_a_calibration_tracks_frames_that_it_has_not_seen() -> None:
    given = scan(HEXAGONAL, 48, strain=0.02, descan=2.0)
    found = calibrate(given.frames[:24])
    assert found.lattice is not None
    later = track(given.frames[24:], None, Target(found.lattice, miller(found.hk), found.probe, found.search_px))
    fit = fit_lattice(later, found.hk)
    assert (fit.reason == Reason.FITTED).all()
    np.testing.assert_allclose(np.stack([fit.g1, fit.g2], axis=1), given.g[24:], atol=0.1)


def test_hot_and_dead_pixels_are_named_and_do_no_harm() -> None:
    given = scan(SQUARE)
    bad = np.array([[20, 30], [64, 66], [90, 100]])
    given.frames[:, bad[:2, 0], bad[:2, 1]] = 20000
    given.frames[:, 62, 63] = 0
    found = calibrate(given.frames)
    assert {(20, 30), (64, 66), (62, 63)} == {tuple(p) for p in found.broken.tolist()}
    assert found.lattice is not None
    np.testing.assert_allclose(found.lattice.g1, np.median(given.g[:, 0], axis=0), atol=0.1)


def test_a_beam_stop_with_a_vacuum_probe_does_not_hide_the_lattice() -> None:
    given = scan(SQUARE)
    usable = np.ones(SHAPE, np.bool_)
    usable[53:75, 53:75] = False
    usable[61:66, 75:] = False
    found = calibrate(np.where(usable, given.frames, 0), usable, given.vacuum)
    assert found.lattice is not None
    np.testing.assert_allclose(found.lattice.g1, np.median(given.g[:, 0], axis=0), atol=0.1)
    np.testing.assert_allclose(found.lattice.centre, np.median(given.centre, axis=0), atol=0.2)
    assert [0, 0] not in found.hk.tolist()


def stopped(given: Scan, *, arm: bool = True) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """The scan behind a beam stop."""
    r, c = np.indices(SHAPE)
    usable = np.hypot(r - 64.5, c - 63.0) > 8.5
    if arm:
        usable &= ~((np.abs(r - 64.5) < 2.5) & (c > 63.0))
    return np.where(usable, given.frames, np.uint16(0)), usable


@pytest.mark.parametrize("lattice", [SQUARE, HEXAGONAL, OBLIQUE], ids=["square", "hexagonal", "oblique"])
@pytest.mark.parametrize("moved", [(0, 0), (2, -1)], ids=["centred", "moved"])
def test_a_vacuum_probe_beside_the_hidden_direct_beam_is_good_enough(lattice: Lattice, moved: tuple[int, int]) -> None:
    given = scan(lattice, 16, descan=2.0)
    frames, usable = stopped(given)
    found = calibrate(frames, usable, np.roll(given.vacuum, moved, (0, 1)))
    assert found.lattice is not None
    np.testing.assert_allclose(found.lattice.g1, np.median(given.g[:, 0], axis=0), atol=0.15)
    np.testing.assert_allclose(found.lattice.centre, np.median(given.centre, axis=0), atol=0.4)


def test_a_hidden_direct_beam_without_a_vacuum_probe_is_where_the_disks_fade_around_or_unknown() -> None:
    given = scan(HEXAGONAL, 16)
    frames, usable = stopped(given)
    # disks as bright far out as near the direct beam tell nothing
    even = calibrate(frames, usable)
    assert even.lattice is None
    assert "vacuum probe" in even.reason
    r, c = np.indices(SHAPE)
    fall = np.exp(-((np.hypot(r - HEXAGONAL.centre[0], c - HEXAGONAL.centre[1]) / 40.0) ** 2))
    fading = calibrate((frames * fall).astype(np.uint16), usable)
    assert fading.lattice is not None
    np.testing.assert_allclose(fading.lattice.centre, np.median(given.centre, axis=0), atol=0.5)
    assert [0, 0] not in fading.hk.tolist()


def test_lattices_turned_far_against_each_other_are_found_from_those_alike() -> None:
    given = [
        scan(replace(SQUARE, g1=(21 * np.cos(a), 21 * np.sin(a)), g2=(-21 * np.sin(a), 21 * np.cos(a))), 2)
        for a in np.linspace(-0.12, 0.12, 16)
    ]
    found = calibrate(np.concatenate([one.frames for one in given]), None, given[0].vacuum)
    assert found.lattice is not None
    assert np.hypot(*found.lattice.g1) == pytest.approx(21.0, rel=0.01)


def test_neither_vacuum_nor_an_amorphous_halo_has_a_lattice() -> None:
    r, c = np.indices(SHAPE)
    beam = 2000.0 * draw_disk(SHAPE, np.array([63.0, 64.0]), Probe(6.0, 0.8)) + 0.1
    halo = 20.0 * np.exp(-((np.hypot(r - 63, c - 64) - 35.0) ** 2) / 40.0)
    for mean in (beam, beam + halo):
        found = calibrate(poisson(mean))
        assert found.lattice is None
        assert "lattice" in found.reason
        assert len(found.hk) == 0
        np.testing.assert_allclose(found.centre, (63.0, 64.0), atol=0.1)


def test_a_single_row_of_disks_is_no_lattice() -> None:
    image = np.full(SHAPE, 0.1)
    for step in range(-2, 3):
        height = 50.0 + 1000.0 * (step == 0)
        image += height * draw_disk(SHAPE, np.array([63.0 + 2 * step, 64.0 + 22 * step]), Probe(6.0, 0.8))
    found = calibrate(poisson(image))
    assert found.lattice is None
    assert found.reason


@pytest.mark.parametrize("value", [0, 7])
def test_blank_frames_have_no_probe(value: int) -> None:
    with pytest.raises(NoProbe):
        calibrate(np.full((16, *SHAPE), value, np.uint16))


def test_of_one_frame_it_says_that_it_takes_two() -> None:
    given = scan(SQUARE, 2)
    found = calibrate(given.frames[:1], None, given.vacuum)
    assert found.lattice is None
    assert "it takes 2 at least" in found.reason
    assert "it takes" not in calibrate(given.frames, None, given.vacuum).reason


@pytest.mark.parametrize("template", ["disk", "image"])
@pytest.mark.parametrize("kind", ["zeros", "not finite", "noise", "probe"])
def test_a_vacuum_probe_without_a_disk_is_to_blame_and_not_the_frames(template: Template, kind: str) -> None:
    given = scan(SQUARE, 16)
    images = {
        "zeros": np.zeros(SHAPE),
        "not finite": np.full(SHAPE, np.nan),
        "noise": np.random.default_rng(5).poisson(100.0, SHAPE).astype(np.float64),
        "probe": given.vacuum,
    }
    if kind == "probe":
        assert calibrate(given.frames, None, images[kind], template=template).lattice is not None
        return
    with pytest.raises(NoVacuumProbe, match="the vacuum probe shows no disk: "):
        calibrate(given.frames, None, images[kind], template=template)
