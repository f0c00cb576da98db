"""Maps that are derived, never stored: strain and rotation from lattice vectors and a reference."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.strain import strain
from livestrain_daemon.scanfolder import Output, ResultsFile
from livestrain_wire.messages import MapInfo, ReferenceInfo

STRAIN_LIMIT = 0.03
ROTATION_LIMIT = float(np.radians(3.0))

DERIVED = (
    MapInfo(name="e_xx", dtype="float32", colours="diverging", limit=STRAIN_LIMIT, derived=True),
    MapInfo(name="e_yy", dtype="float32", colours="diverging", limit=STRAIN_LIMIT, derived=True),
    MapInfo(name="e_xy", dtype="float32", colours="diverging", limit=STRAIN_LIMIT, derived=True),
    MapInfo(name="theta", dtype="float32", unit="rad", colours="diverging", limit=ROTATION_LIMIT, derived=True),
)
DERIVED_NAMES = frozenset(info.name for info in DERIVED)
MOST_VALUES = 4
"""Maps with more values per position are stored, and told on request, but not published."""


def warm() -> None:
    """Compiles what the main process computes itself, so that its loop need not stop for it later."""
    lattice = np.eye(2)
    strain(lattice[None], lattice)


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
        )
        for output in outputs.values()
        if not output.per_block and int(np.prod(output.shape, dtype=np.int64)) <= MOST_VALUES
    )
    return (DERIVED + stored) if "g1" in outputs else stored


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
        values.update(_strain_maps(results, reference, first, count))
    for name in names:
        if name not in DERIVED_NAMES:
            values[name] = results.read(name, first, count)
    return values


def _strain_maps(
    results: ResultsFile, reference: ReferenceInfo | None, first: int, count: int
) -> dict[str, NDArray[Any]]:
    if reference is None or "g1" not in results.layout.outputs:
        raise KeyError("strain")
    g = np.stack([results.read("g1", first, count), results.read("g2", first, count)], axis=1)
    found = strain(g, np.array(reference.vectors).reshape(2, 2))
    return {name: getattr(found, name).astype(np.float32) for name in DERIVED_NAMES}
