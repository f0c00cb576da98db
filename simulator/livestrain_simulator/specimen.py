"""
Specimens: a strain field over a scan, known exactly.

x is axis 0 (rows, down) and y is axis 1 (columns, right); theta turns from axis 0 towards axis 1.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.lattice import Lattice

Map = NDArray[np.float64]
Shape = tuple[int, int]

SILICON_NM = 0.5431
# Dismukes, Ekstrom and Paff (1964), with x the germanium content
VEGARD_LINEAR_NM = 0.0200
VEGARD_BOWING_NM = 0.0027
# 2 C12 / C11 of silicon: how much a lattice held in its plane gives way out of it
TETRAGONAL = 0.77


@dataclass(frozen=True)
class Specimen:
    """What the beam meets at each scan position; every map is (scan_rows, scan_columns)."""

    name: str
    e_xx: Map
    """Strain along axis 0 [1]."""
    e_yy: Map
    """Strain along axis 1 [1]."""
    e_xy: Map
    """Tensor shear strain [1]."""
    theta: Map
    """Rotation of the lattice [rad]."""
    thickness: Map
    """Relative thickness: moves intensity between disks and shifts their fringes [1]."""
    brightness: Map
    """Relative number of electrons that reach the detector [1]."""
    lattice: Lattice = field(default_factory=Lattice)
    crystalline: bool = True
    """False leaves the central disk alone: vacuum."""

    @property
    def scan_shape(self) -> Shape:
        """Scan positions (rows, columns)."""
        rows, columns = self.e_xx.shape
        return rows, columns

    def deformation(self) -> Map:
        """F = R(theta) (I + E) at each position, (scan_rows, scan_columns, 2, 2) [1]."""
        cosine, sine = np.cos(self.theta), np.sin(self.theta)
        rotation = _matrices(cosine, -sine, sine, cosine)
        return rotation @ _matrices(1 + self.e_xx, self.e_xy, self.e_xy, 1 + self.e_yy)

    def vectors(self) -> Map:
        """
        The lattice vectors at each position.

        Returns
        -------
        (scan_rows, scan_columns, 2, 2)
            [..., 0, :] = g1 and [..., 1, :] = g2, each (row, column) [px].

        Notes
        -----
        With the vectors as columns G = F^-T G0; with them as rows, as here, that is G0 F^-1.
        """
        return np.asarray(self.lattice.vectors() @ np.linalg.inv(self.deformation()))


def uniform(
    scan_shape: Shape,
    lattice: Lattice | None = None,
    e_xx: float = 0.01,
    e_yy: float = -0.005,
    e_xy: float = 0.003,
    theta: float = 0.005,
) -> Specimen:
    """One strain and rotation everywhere."""
    one = np.ones(scan_shape)
    return Specimen(
        "uniform", e_xx * one, e_yy * one, e_xy * one, theta * one, one, one, lattice if lattice else Lattice()
    )


def gradient(scan_shape: Shape, lattice: Lattice | None = None, largest: float = 0.01) -> Specimen:
    """Strain and rotation that vary smoothly over the scan, by up to `largest`, zero in the middle."""
    row, column = _centred(scan_shape)
    one = np.ones(scan_shape)
    return Specimen(
        "gradient",
        largest * row,
        largest * column,
        0.5 * largest * row * column,
        largest * (row + column) / 2,
        1 + 0.1 * column,
        one,
        lattice if lattice else Lattice(),
    )


def vacuum(scan_shape: Shape, lattice: Lattice | None = None) -> Specimen:
    """Nothing in the beam: the central disk alone."""
    zero, one = np.zeros(scan_shape), np.ones(scan_shape)
    return Specimen("vacuum", zero, zero, zero, zero, one, one, lattice if lattice else Lattice(), crystalline=False)


def si_sige(scan_shape: Shape, lattice: Lattice | None = None) -> Specimen:
    """
    A silicon substrate (at the bottom of the scan) and capping, with three Si(1-x)Ge(x) layers grown on it.

    Notes
    -----
    The layers keep silicon's spacing along axis 1 and so stretch along axis 0, by up to 2 %. Interfaces are smooth; the
    foil bends by some milliradians where the layers are, and gets thicker towards the substrate. So much of the scan is
    flat unstrained silicon that the median is a fair reference.
    """
    rows, columns = scan_shape
    depth = (np.arange(rows) + 0.5)[:, None] / rows
    column = _centred(scan_shape)[1]
    content = np.zeros((rows, 1))
    width = 0.008 + 0.4 / rows
    for germanium, top, bottom in ((0.30, 0.10, 0.18), (0.20, 0.27, 0.35), (0.10, 0.44, 0.52)):
        content += germanium * (_rise(depth, top, width) - _rise(depth, bottom, width))
    misfit = (VEGARD_LINEAR_NM * content + VEGARD_BOWING_NM * content**2) / SILICON_NM
    zero = np.zeros(scan_shape)
    return Specimen(
        "si_sige",
        e_xx=np.repeat(misfit * (1 + TETRAGONAL), columns, axis=1),
        e_yy=zero,
        e_xy=zero,
        theta=0.003 * np.sin(np.pi / 2 * column) * (1 - _rise(depth, 0.56, 0.03)),
        thickness=0.9 + 0.25 * depth + 0.05 * column,
        brightness=np.repeat(1.0 - 0.6 * content, columns, axis=1),
        lattice=lattice if lattice else Lattice(),
    )


SPECIMENS: dict[str, Callable[[Shape, Lattice], Specimen]] = {
    "si_sige": si_sige,
    "gradient": gradient,
    "uniform": uniform,
    "vacuum": vacuum,
}
"""Specimens by name."""


def write_truth(path: Path | str, specimen: Specimen, centres: Map, **facts: Any) -> None:
    """
    Save what a measurement of the specimen should find.

    Parameters
    ----------
    path
        The ``.npz`` file to write.
    specimen
        Its strain field and lattice.
    centres : (scan_rows, scan_columns, 2)
        The centre of each pattern (row, column) [px].
    facts
        Scalars and small arrays to keep beside it.

    Notes
    -----
    The file holds the maps e_xx, e_yy, e_xy, theta, vectors and centre, and the reference G0 with the vectors as
    rows, [g1, g2].
    """
    extra: Any = {name: np.asarray(value) for name, value in facts.items()}
    with Path(path).open("wb") as file:
        np.savez(
            file,
            e_xx=specimen.e_xx,
            e_yy=specimen.e_yy,
            e_xy=specimen.e_xy,
            theta=specimen.theta,
            vectors=specimen.vectors(),
            G0=specimen.lattice.vectors(),
            centre=centres,
            specimen=np.array(specimen.name),
            **extra,
        )


def _matrices(a: Map, b: Map, c: Map, d: Map) -> Map:
    return np.stack([np.stack([a, b], axis=-1), np.stack([c, d], axis=-1)], axis=-2)


def _rise(depth: Map, middle: float, width: float) -> Map:
    """A smooth step from 0 to 1 within `width` of the middle, flat beyond."""
    t = np.clip((depth - middle) / width, -1, 1)
    return np.asarray(0.5 + 0.75 * t - 0.25 * t**3)


def _centred(scan_shape: Shape) -> tuple[Map, Map]:
    """Row and column of each position, from -1 to 1 across the scan."""
    axes = [np.linspace(-1, 1, side) if side > 1 else np.zeros(1) for side in scan_shape]
    row, column = np.meshgrid(*axes, indexing="ij")
    return row, column
