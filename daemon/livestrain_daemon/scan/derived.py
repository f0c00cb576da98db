"""Maps that are derived, never stored: strain, rotation and their errors from lattice vectors and a reference."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.along_axes import along, covariance_along
from livestrain_core.strain import strain
from livestrain_core.strain_error import standard_errors, strain_covariance
from livestrain_daemon.scanfolder import Output, ResultsFile
from livestrain_wire.messages import IDENTITY, MapInfo, Matrix, ReferenceInfo

STRAIN_LIMIT = 0.03
ROTATION_LIMIT = float(np.radians(3.0))
STRAIN_ERROR_LIMIT = 0.003
ROTATION_ERROR_LIMIT = float(np.radians(0.3))
COMPONENTS = {
    "e_xx": "along x",
    "e_yy": "along y",
    "e_xy": "tensor shear, half the engineering shear",
    "theta": "rotation from x towards y",
}
"""Each map of strain, and what it is along the axes of the reference."""
ERRORS = {f"{name}_error": name for name in COMPONENTS}
"""Each map of a standard error, and the map that it belongs to."""
NOISE = {f"{name}_noise": name for name in COMPONENTS}
"""Each map of the part of a standard error that counting noise causes."""
MISFIT = {f"{name}_misfit": name for name in COMPONENTS}
"""Each map of the rest of it; the squares of the two parts add up."""
MOST_VALUES = 4
"""Maps with more values per position are stored, and told on request, but not published."""


def _strain_info(name: str, what: str) -> MapInfo:
    rotation = name == "theta"
    return MapInfo(
        name=name,
        dtype="float32",
        unit="rad" if rotation else "",
        colours="diverging",
        limit=ROTATION_LIMIT if rotation else STRAIN_LIMIT,
        derived=True,
        description=f"{what}, against the reference and on its axes (right polar decomposition, exact)",
    )


def _error_info(name: str, component: str, what: str) -> MapInfo:
    rotation = component == "theta"
    return MapInfo(
        name=name,
        dtype="float32",
        unit="rad" if rotation else "",
        limit=ROTATION_ERROR_LIMIT if rotation else STRAIN_ERROR_LIMIT,
        derived=True,
        description=f"{what} of {component}, from the covariance of the lattice; the reference is exact",
    )


DERIVED = tuple(_strain_info(name, what) for name, what in COMPONENTS.items())
DERIVED_ERRORS = tuple(_error_info(name, component, "standard error") for name, component in ERRORS.items())
DERIVED_PARTS = (
    *(_error_info(name, one, "part that noise has in the standard error") for name, one in NOISE.items()),
    *(_error_info(name, one, "part that misfit has in the standard error") for name, one in MISFIT.items()),
)
DERIVED_NAMES = frozenset((*COMPONENTS, *ERRORS, *NOISE, *MISFIT))


def warm() -> None:
    """Compiles what the main process computes itself, so that its loop need not stop for it later."""
    lattice, nothing = np.eye(2), np.zeros((1, 21), np.float32)
    strain(lattice[None], lattice)
    covariance_along(strain_covariance(lattice[None], lattice, nothing), lattice)


def published_maps(outputs: dict[str, Output]) -> tuple[MapInfo, ...]:
    """The maps that subscribers get under a plan with these outputs."""
    stored = tuple(
        MapInfo(
            name=output.name,
            shape=output.shape,
            dtype=output.dtype,
            unit=output.unit,
            colours=output.colours,
            limit=output.limit,
            description=output.description,
        )
        for output in outputs.values()
        if not output.per_block and int(np.prod(output.shape, dtype=np.int64)) <= MOST_VALUES
    )
    if "g1" not in outputs:
        return stored
    errors = DERIVED_ERRORS if "covariance" in outputs else ()
    parts = DERIVED_PARTS if errors and "noise_covariance" in outputs else ()
    return (*DERIVED, *errors, *parts, *stored)


def read_maps(
    names: list[str], results: ResultsFile, reference: ReferenceInfo | None, first: int, count: int
) -> dict[str, NDArray[Any]]:
    """
    Values of maps at consecutive positions, each (count, *shape); derived ones are computed.

    Raises
    ------
    KeyError
        If there is no such map.
    """
    values: dict[str, NDArray[Any]] = {}
    if DERIVED_NAMES.intersection(names):
        if reference is None or "g1" not in results.layout.outputs:
            raise KeyError("strain")
        g = np.stack([results.read("g1", first, count), results.read("g2", first, count)], axis=1)
        if not COMPONENTS.keys().isdisjoint(names):
            values.update(_strain_maps(g, reference))
        values.update(_error_maps(names, g, results, reference, first))
    for name in names:
        if name not in DERIVED_NAMES:
            values[name] = results.read(name, first, count)
    return values


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
