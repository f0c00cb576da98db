from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.patterns import HEXAGONAL, OBLIQUE, PROBE, SHAPE, SQUARE, Scan, draw_disk, indices, scan
from livestrain_core.lattice import Lattice
from livestrain_core.reason import Reason
from livestrain_core.recover import Outcome, recover, recover_lattice
from livestrain_core.seek import Sought, Tracking, find_lattices
from livestrain_core.target import Target, miller

SEARCH_PX = 5.0
LATTICES = {"square": SQUARE, "hexagonal": HEXAGONAL, "oblique": OBLIQUE}


def turned(lattice: Lattice, degrees: float, strain: float = 0.0) -> Lattice:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    move = np.array([[c, -s], [s, c]]) @ np.diag([1 + strain, 1 - strain])
    g1, g2 = (tuple(float(x) for x in move @ np.array(g)) for g in (lattice.g1, lattice.g2))
    return Lattice(lattice.centre, (g1[0], g1[1]), (g2[0], g2[1]))


def seen(lattice: Lattice, n: int = 6, **more: Any) -> Scan:
    return scan(lattice, n, **{"electrons": 1e5, "contrast": 0.4, "strain": 0.005, **more})


def sought(frames: NDArray[Any], lattice: Lattice, usable: NDArray[np.bool_] | None = None) -> Sought:
    return find_lattices(frames, usable, Target(lattice, miller(indices(3, 48.0, lattice)), PROBE, SEARCH_PX))


def error(found: Sought, given: Scan) -> NDArray[np.float64]:
    g = np.stack([found.fit.g1, found.fit.g2], axis=1)
    return np.asarray(np.abs(g - given.g).max(axis=(1, 2)), np.float64)


@pytest.mark.parametrize("name", LATTICES)
@pytest.mark.parametrize(("degrees", "strain"), [(15.0, 0.0), (-15.0, 0.05), (25.0, 0.0)])
def test_a_lattice_turned_by_15_degrees_and_more_is_found_again(name: str, degrees: float, strain: float) -> None:
    lattice = LATTICES[name]
    given = seen(turned(lattice, degrees, strain))
    found = sought(given.frames, lattice)
    assert (found.fit.reason == Reason.FITTED).all()
    assert error(found, given).max() < 0.3
    np.testing.assert_allclose(found.fit.centre, given.centre, atol=0.2)


@pytest.mark.parametrize("name", LATTICES)
@pytest.mark.parametrize("electrons", [1e4, 1e5])
def test_frames_that_can_be_tracked_are_not_looked_at_again(name: str, electrons: float) -> None:
    given = seen(LATTICES[name], 24, electrons=electrons)
    found = sought(given.frames, LATTICES[name])
    assert (found.tracking == Tracking.TRACKED).all()


@pytest.mark.parametrize("name", LATTICES)
def test_a_step_of_five_per_cent_is_measured(name: str) -> None:
    given = seen(turned(LATTICES[name], 0.0, 0.05))
    found = sought(given.frames, LATTICES[name])
    assert error(found, given).max() < 0.3


def test_the_next_good_frame_is_tracked_again() -> None:
    plain, other = seen(SQUARE, 5), seen(turned(SQUARE, 15.0), 5)
    frames = plain.frames.copy()
    frames[1:3] = other.frames[1:3]
    found = sought(frames, SQUARE)
    assert found.tracking.tolist() == [0, 1, 1, 0, 0]
    assert found.fit.reason.tolist() == [0] * 5


@pytest.mark.parametrize("order", [[4, 1, 3, 0, 2], [2], [3, 3]])
def test_every_frame_gives_the_same_bits_in_any_company(order: list[int]) -> None:
    frames = np.concatenate([seen(SQUARE, 2).frames, seen(turned(SQUARE, 15.0), 2).frames, np.zeros((1, *SHAPE), "u2")])
    together, apart = sought(frames, SQUARE), sought(frames[order], SQUARE)
    np.testing.assert_array_equal(apart.tracking, together.tracking[order])
    np.testing.assert_array_equal(apart.disks.position, together.disks.position[order])
    for name in ("centre", "g1", "g2", "covariance", "reason", "disks_used"):
        np.testing.assert_array_equal(getattr(apart.fit, name), getattr(together.fit, name)[order])


def drawn(*places: tuple[float, float], electrons: float = 100.0) -> NDArray[np.float32]:
    image = np.full(SHAPE, 0.5)
    for place in places:
        image += electrons * draw_disk(SHAPE, np.array(place), PROBE)
    return np.asarray(np.random.default_rng(0).poisson(image), np.float32)


def halo() -> NDArray[np.float32]:
    r, c = np.indices(SHAPE)
    distance = np.hypot(r - 63.3, c - 64.1)
    image = 60.0 * draw_disk(SHAPE, np.array([63.3, 64.1]), PROBE) + 6.0 / (1.0 + (distance / 15.0) ** 2)
    image += 4.0 * np.exp(-(((distance - 35.0) / 8.0) ** 2))
    return np.asarray(np.random.default_rng(1).poisson(image), np.float32)


BAD = {
    "zero": np.zeros(SHAPE, np.float32),
    "constant": np.full(SHAPE, 9.0, np.float32),
    "saturated": np.full(SHAPE, 65535.0, np.float32),
    "nan": np.full(SHAPE, np.nan, np.float32),
    "infinite": np.full(SHAPE, np.inf, np.float32),
    "negative": -seen(SQUARE, 1, seed=4).frames[0].astype(np.float32),
    "negative noise": -np.random.default_rng(5).poisson(4.0, SHAPE).astype(np.float32),
    "noise": np.random.default_rng(0).poisson(4.0, SHAPE).astype(np.float32),
    "vacuum": drawn((63.3, 64.1), electrons=900.0),
    "one disk away from the centre": drawn((30.0, 95.0)),
    "two disks": drawn((63.3, 64.1), (84.3, 68.1)),
    "three disks in line": drawn((42.3, 60.1), (63.3, 64.1), (84.3, 68.1)),
    "contamination": halo(),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_frame_without_a_lattice_has_none_and_says_so(kind: str) -> None:
    given = seen(SQUARE, 3)
    frames = given.frames.astype(np.float32)
    frames[1] = BAD[kind]
    found = sought(frames, SQUARE)
    assert found.tracking.tolist() == [Tracking.TRACKED, Tracking.NOT_FOUND, Tracking.TRACKED]
    assert found.fit.reason[1] != Reason.FITTED
    assert np.isnan(found.fit.g1[1]).all()
    assert np.isnan(found.fit.covariance[1]).all()
    clean = sought(given.frames.astype(np.float32), SQUARE)
    np.testing.assert_array_equal(found.fit.g1[[0, 2]], clean.fit.g1[[0, 2]])


def test_the_same_frames_without_a_fault_have_a_lattice() -> None:
    given = seen(SQUARE, 3)
    found = sought(given.frames.astype(np.float32), SQUARE)
    assert (found.fit.reason == Reason.FITTED).all()
    assert error(found, given).max() < 0.2


def test_where_two_grains_overlap_one_of_them_is_found_or_none() -> None:
    one, other = seen(SQUARE, 6, seed=2), seen(turned(SQUARE, 20.0), 6, seed=3)
    found = sought(one.frames + other.frames, SQUARE)
    fitted = found.fit.reason == Reason.FITTED
    nearest = np.minimum(error(found, one), error(found, other))
    assert (nearest[fitted] < 1.0).all()
    assert np.isnan(found.fit.g1[~fitted]).all()


def test_a_lattice_is_found_again_behind_a_beam_stop() -> None:
    given = seen(turned(SQUARE, 15.0), descan=0.5)
    usable = np.ones(SHAPE, np.bool_)
    r, c = np.indices(SHAPE)
    usable[np.hypot(r - 63.3, c - 64.1) < 8.0] = False
    usable[61:67, 64:] = False
    found = sought(np.where(usable, given.frames, 0), SQUARE, usable)
    assert (found.fit.reason == Reason.FITTED).all()
    assert error(found, given).max() < 0.4
    np.testing.assert_allclose(found.fit.centre, given.centre, atol=0.3)


@pytest.mark.parametrize("name", LATTICES)
def test_the_lattice_of_a_frame_is_recovered_without_tracking(name: str) -> None:
    given = seen(turned(LATTICES[name], -20.0), 4)
    recovered = recover(given.frames, None, PROBE, LATTICES[name])
    assert recovered.outcome.tolist() == [Outcome.FOUND] * 4
    np.testing.assert_allclose(recovered.vectors[:, 1:], given.g, atol=0.3)
    alone, outcome = recover_lattice(given.frames[2], None, PROBE, LATTICES[name])
    assert outcome == Outcome.FOUND
    assert alone == recovered.lattice(2)


def test_a_few_disks_that_are_missing_or_too_many_do_not_matter() -> None:
    given = seen(turned(SQUARE, 12.0), 1, strain=0.0, descan=0.0)
    places = given.centre[0] + given.hk @ given.g[0]
    kept = places[[0, 1, 2, 4, 5, 7, 8, 10, 12]]
    image = drawn(*[(float(r), float(c)) for r, c in kept], (20.0, 20.0), (111.0, 30.0), (52.0, 100.0))
    lattice, outcome = recover_lattice(image, None, PROBE, SQUARE)
    assert outcome == Outcome.FOUND
    assert lattice is not None
    np.testing.assert_allclose([lattice.g1, lattice.g2], given.g[0], atol=0.3)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [("zero", Outcome.NO_DISKS), ("two disks", Outcome.TOO_FEW), ("three disks in line", Outcome.TOO_FEW)],
)
def test_why_no_lattice_was_recovered(kind: str, outcome: Outcome) -> None:
    assert recover_lattice(BAD[kind], None, PROBE, SQUARE) == (None, outcome)


def test_disks_at_random_have_no_lattice() -> None:
    """Of fourteen disks four may happen to lie on one, in a frame of a hundred."""
    places = np.concatenate([np.random.default_rng(seed).uniform(10, 118, (24, 14, 2)) for seed in (7, 8)])
    frames = np.stack([drawn(*[(float(r), float(c)) for r, c in some]) for some in places])
    found = sought(frames, SQUARE).fit
    assert (found.reason == Reason.FITTED).sum() <= 1
    assert (found.disks_used <= 4).all()
