"""Maps that are derived, never stored: what there is of strain, rotation and their errors."""

import numpy as np

from livestrain_daemon.scanfolder import Output
from livestrain_wire.messages import MapInfo

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
