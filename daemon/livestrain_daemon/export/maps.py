"""Maps of a whole scan from its results: one value per position, NaN where not measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.export.errors import NothingToExport
from livestrain_daemon.export.exported import MapImage
from livestrain_daemon.export.pieces import refuse_twice
from livestrain_daemon.plan import Plan
from livestrain_daemon.scan.derived import DERIVED_NAMES, published_maps
from livestrain_daemon.scan.values import read_maps
from livestrain_daemon.scanfolder import ResultsFile
from livestrain_wire.messages import MapInfo, ReferenceInfo

PAIR = ("row", "column")
"""What is added to the name of a map of pairs, for each of its two images."""


@dataclass(frozen=True)
class Source:
    """Where maps come from."""

    results: ResultsFile
    analysed: NDArray[np.bool_]
    """(positions,)"""
    plan: Plan
    reference: ReferenceInfo | None


def chosen_maps(source: Source, names: tuple[str, ...] | None) -> tuple[MapImage, ...]:
    """
    Maps as images; a map of pairs gives two.

    Parameters
    ----------
    names
        Of those wanted; None: all.

    Raises
    ------
    NothingToExport
        If there is no such map; names those there are.
    ExportError
        If two of them have the same name, as a virtual detector may have that of a component.
    """
    images = list(_images(source))
    there = dict(images)
    if source.reference is None and not DERIVED_NAMES.isdisjoint(names or ()):
        raise NothingToExport(f"{source.results.layout.path}: has no lattice, so there is no strain")
    chosen = list(there) if names is None else [one for name in dict.fromkeys(names) for one in _alike(name, there)]
    refuse_twice("maps", (one for one, _ in images if one in chosen))
    wanted = list(dict.fromkeys(there[one][0].name for one in chosen))
    values = read_maps(wanted, source.results, source.reference, 0, source.results.layout.positions)
    virtual = {detector.name for detector in source.plan.detectors}
    found: list[MapImage] = []
    for one in chosen:
        info, component = there[one]
        flat = values[info.name] if component is None else values[info.name][:, component]
        found.append(
            MapImage(
                name=one,
                values=_over_scan(source, flat),
                unit=info.unit or "1",
                colours=info.colours,
                description=info.description,
                is_strain=info.derived,
                is_virtual=info.name in virtual,
            )
        )
    return tuple(found)


def _alike(name: str, there: dict[str, tuple[MapInfo, int | None]]) -> list[str]:
    """The images that a name means."""
    alike = [name] if name in there else [f"{name}_{component}" for component in PAIR]
    if any(one not in there for one in alike):
        raise NothingToExport(f"there is no map {name!r}: expected some of {', '.join(there)}")
    return alike


def _images(source: Source) -> Iterator[tuple[str, tuple[MapInfo, int | None]]]:
    """Every image that there is: its name, its map, and the component."""
    for info in published_maps(source.results.layout.outputs):
        if info.derived and source.reference is None:
            continue
        if info.shape == ():
            yield info.name, (info, None)
        elif info.shape == (len(PAIR),):
            for number, component in enumerate(PAIR):
                yield f"{info.name}_{component}", (info, number)


def _over_scan(source: Source, values: NDArray[Any]) -> NDArray[np.float32]:
    """As float32 over the scan; integers cannot say themselves that they were not measured."""
    image = values.astype(np.float32)
    image[~source.analysed] = np.nan
    return image.reshape(source.results.layout.scan_shape)
