"""Values of derived maps: strain, rotation and their errors from lattice vectors and a reference."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.along_axes import along, covariance_along
from livestrain_core.strain import strain
from livestrain_core.strain_error import standard_errors, strain_covariance
from livestrain_daemon.scan.derived import COMPONENTS, ERRORS, MISFIT, NOISE
from livestrain_daemon.scanfolder import ResultsFile
from livestrain_wire.messages import IDENTITY, Matrix, ReferenceInfo


def warm() -> None:
    """Compiles what the main process computes itself, so that its loop need not stop for it later."""
    lattice, nothing = np.eye(2), np.zeros((1, 21), np.float32)
    strain(lattice[None], lattice)
    covariance_along(strain_covariance(lattice[None], lattice, nothing), lattice)


def derived_maps(
    names: list[str], results: ResultsFile, reference: ReferenceInfo, first: int, count: int
) -> dict[str, NDArray[Any]]:
    """
    Derived maps at consecutive positions.

    Parameters
    ----------
    names
        Of those wanted; others may come with them.
    results
        Have the lattice, and its covariance where errors are wanted.
    reference
        What the lattice is compared with, and along which axes.
    first, count
        Which positions.

    Returns
    -------
    dict
        (count,) float32 by name [1, rad]; NaN where there is no lattice.
    """
    g = np.stack([results.read("g1", first, count), results.read("g2", first, count)], axis=1)
    values = {} if COMPONENTS.keys().isdisjoint(names) else _strain_maps(g, reference)
    return values | _error_maps(names, g, results, reference, first)


def _strain_maps(g: NDArray[np.float64], reference: ReferenceInfo) -> dict[str, NDArray[Any]]:
    found = strain(g, _matrix(reference.vectors), _matrix(reference.distortion))
    if reference.to_axes != IDENTITY:
        found = along(found, _matrix(reference.to_axes))
    return {name: getattr(found, name).astype(np.float32) for name in COMPONENTS}


def _error_maps(
    names: list[str], g: NDArray[np.float64], results: ResultsFile, reference: ReferenceInfo, first: int
) -> dict[str, NDArray[Any]]:
    """Those of the standard errors, and of their parts, that are wanted."""
    parts = not (NOISE.keys() | MISFIT.keys()).isdisjoint(names)
    if not parts and ERRORS.keys().isdisjoint(names):
        return {}
    whole = _covariance(g, results.read("covariance", first, len(g)), reference)
    values = _named(ERRORS, whole)
    if parts:
        noise = _covariance(g, results.read("noise_covariance", first, len(g)), reference)
        values |= _named(NOISE, noise) | _named(MISFIT, whole - noise)
    return values


def _covariance(
    g: NDArray[np.float64], covariance: NDArray[np.float32], reference: ReferenceInfo
) -> NDArray[np.float64]:
    found = strain_covariance(g, _matrix(reference.vectors), covariance, _matrix(reference.distortion))
    return found if reference.to_axes == IDENTITY else covariance_along(found, _matrix(reference.to_axes))


def _named(names: dict[str, str], covariance: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    errors = standard_errors(covariance)
    return {name: getattr(errors, component).astype(np.float32) for name, component in names.items()}


def _matrix(values: Matrix) -> NDArray[np.float64]:
    return np.array(values).reshape(2, 2)
