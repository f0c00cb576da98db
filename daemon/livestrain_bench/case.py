"""Cases: synthetic scans in HDF5 files with what is true about them."""

import json
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from livestrain_bench.errors import NoCases

Float64 = NDArray[np.float64]
BROKEN = "hot"
"""Part of the names of cases whose broken pixels are to be found, not given."""
BOUND = "bound_modes_6"


@dataclass(frozen=True)
class Given:
    """What a measurement may know."""

    frames: NDArray[Any]
    """(n, rows, columns) [counts]."""
    usable: NDArray[np.bool_] | None
    """(rows, columns); None where the broken pixels are to be found."""
    vacuum_probe: NDArray[np.float32]
    """(rows, columns) [counts]."""


@dataclass(frozen=True)
class Truth:
    """What only the scorer and the peers may know."""

    positions: Float64
    """(n, m, 2) centres of the disks, NaN where there is none [px]."""
    electrons: Float64
    """(n, m) counts in each of them."""
    visible: Float64
    """(n, m) part of each of them on usable pixels."""
    usable: NDArray[np.bool_]
    """(rows, columns) False where a pixel is hot, dead or hidden."""
    radius_px: float
    edge_px: float


@dataclass(frozen=True)
class LatticeTruth:
    """Likewise, of a single crystal."""

    strain: Float64
    """(n, 4) e00, e11, e01 [1] and theta [rad]."""
    reference: Float64
    """(2, 2) G0, g1 and g2 as columns [px]."""
    hk: NDArray[np.int64]
    """(m, 2) indices of the disks."""
    centre: Float64
    """(n, 2) [px]."""
    bound: Float64 | None
    """(4,) Cramer-Rao bound of e00, e11, e01, theta with unknown quadratic contrast; None without noise."""


@dataclass(frozen=True)
class Case:
    """One scan."""

    name: str
    given: Given
    truth: Truth
    lattice: LatticeTruth | None
    """None for a polycrystal."""


def case_files(folder: Path, only: str = "") -> list[Path]:
    """
    The case files of a folder.

    Parameters
    ----------
    folder
        Where they are.
    only
        Part of the names wanted.

    Returns
    -------
    list of Path
        In the order of their names.

    Raises
    ------
    NoCases
        There is none.
    """
    files = sorted(path for path in folder.glob("*.h5") if only in path.stem)
    if not files:
        named = f" with {only!r} in its name" if only else ""
        raise NoCases(f"{folder} has no .h5 file{named}")
    return files


def read_case(path: Path) -> Case:
    """
    A case from its file.

    Raises
    ------
    NoCases
        The file is not one.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path.stem)
    except (KeyError, OSError, ValueError) as error:
        raise NoCases(f"{path} is not a case: {error}") from error


def _read(file: h5py.File, name: str) -> Case:
    frames = file["frames"][:]
    frames = frames.reshape(-1, *frames.shape[-2:])
    usable = np.asarray(file["usable_pixels"][:], np.bool_)
    given = Given(frames, None if BROKEN in name else usable, np.asarray(file["vacuum_probe"][:], np.float32))
    disks = file["truth/positions"].shape[-2]
    truth = Truth(
        file["truth/positions"][:].reshape(-1, disks, 2),
        file["truth/electrons"][:].reshape(-1, disks),
        file["truth/visible"][:].reshape(-1, disks),
        usable,
        float(file.attrs["radius_px"]),
        float(file.attrs["edge_px"]),
    )
    return Case(name, given, truth, _lattice(file) if "G0" in file else None)


def _lattice(file: h5py.File) -> LatticeTruth:
    strain = np.stack([file[f"truth/{name}"][:].ravel() for name in ("e00", "e11", "e01", "theta")], axis=1)
    bound = None
    if BOUND in file.attrs:
        values = json.loads(file.attrs[BOUND])
        bound = np.array([values[name] for name in ("e00", "e11", "e01", "theta")], np.float64)
        bound = bound if all(isfinite(value) for value in bound) else None
    return LatticeTruth(strain, file["G0"][:], file["hk"][:], file["truth/centre"][:].reshape(-1, 2), bound)
