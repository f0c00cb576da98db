"""Small synthetic scans whose truth is known, drawn without the code under test."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from livestrain_core.lattice import Lattice
from livestrain_core.probe import Probe

Float64 = NDArray[np.float64]
Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")

SQUARE = Lattice((63.3, 64.1), (21.0, 4.0), (-4.0, 21.0))
HEXAGONAL = Lattice((64.2, 63.4), (23.0, 2.0), (9.77, 20.92))
OBLIQUE = Lattice((63.8, 63.6), (19.0, 3.0), (5.0, 26.0))
PROBE = Probe(6.0, 0.8)
SHAPE = (128, 128)


@dataclass(frozen=True)
class Scan:
    frames: NDArray[np.uint16]
    vacuum: NDArray[np.float32]
    hk: NDArray[np.int64]
    lattice: Lattice
    g: Float64
    """(n, 2, 2) true g1, g2."""
    centre: Float64
    """(n, 2) true centres."""


def drawn_once(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """The same is drawn once, and everybody gets a copy."""
    drawn = cache(draw)

    @wraps(draw)
    def copied(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Drawn:
        return deepcopy(drawn(*args, **kwargs))  # type: ignore[arg-type]

    return copied


def draw_disk(shape: tuple[int, int], at: Float64, probe: Probe, contrast: tuple[float, float] = (0, 0)) -> Float64:
    """A disk of unit height, averaged over 3 x 3 points of each pixel, sloped by `contrast` over its radius."""
    image = np.zeros(shape)
    reach = probe.radius_px + 12 * probe.edge_px
    rows = slice(max(int(at[0] - reach), 0), max(int(at[0] + reach) + 2, 0))
    columns = slice(max(int(at[1] - reach), 0), max(int(at[1] + reach) + 2, 0))
    r, c = np.ogrid[0 : shape[0], 0 : shape[1]]
    for dr in (-1 / 3, 0.0, 1 / 3):
        for dc in (-1 / 3, 0.0, 1 / 3):
            y, x = r[rows] + dr - at[0], c[:, columns] + dc - at[1]
            slope = 1.0 + (contrast[0] * y + contrast[1] * x) / probe.radius_px
            profile = 1.0 + np.exp(2.0 * (np.hypot(y, x) - probe.radius_px) / probe.edge_px)
            image[rows, columns] += np.maximum(slope, 0.0) / profile / 9
    return image


def indices(most: int, farthest: float, lattice: Lattice) -> NDArray[np.int64]:
    every = [(h, k) for h in range(-most, most + 1) for k in range(-most, most + 1)]
    basis = np.array([lattice.g1, lattice.g2])
    near = [hk for hk in every if np.hypot(*(np.array(hk) @ basis)) < farthest]
    return np.array(sorted(near, key=lambda hk: float(np.hypot(*(np.array(hk) @ basis)))))


@drawn_once
def scan(
    lattice: Lattice,
    n: int = 24,
    *,
    strain: float = 0.01,
    electrons: float = 2e5,
    contrast: float = 0.2,
    descan: float = 1.0,
    seed: int = 1,
    shape: tuple[int, int] = SHAPE,
    probe: Probe = PROBE,
) -> Scan:
    rng = np.random.default_rng(seed)
    hk = indices(3, min(shape) / 2 - 2 * probe.radius_px - 4, lattice)
    basis = np.array([lattice.g1, lattice.g2])
    g = basis @ (np.eye(2) + strain * rng.uniform(-1, 1, (n, 2, 2)))
    centre = np.array(lattice.centre) + descan * rng.uniform(-1, 1, (n, 2))
    frames = np.empty((n, *shape), np.uint16)
    for i in range(n):
        image = np.full(shape, 1e-5)
        for j, place in enumerate(centre[i] + hk @ g[i]):
            share = 1.0 if j == 0 else 0.15 * rng.uniform(0.3, 1.0)
            slope = (contrast * rng.uniform(-1, 1), contrast * rng.uniform(-1, 1))
            image += share * draw_disk(shape, place, probe, slope)
        frames[i] = rng.poisson(electrons * image / image.sum())
    vacuum = draw_disk(shape, np.array(lattice.centre) + 0.4, probe).astype(np.float32)
    return Scan(frames, vacuum, hk, lattice, g, centre)
