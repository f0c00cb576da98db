"""Float TIFF files that ImageJ opens with their scale, one for each map."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.export.errors import MissingLibrary
from livestrain_daemon.export.exported import Exported
from livestrain_daemon.export.pieces import Piece


def pieces(scan: Exported) -> Iterable[Piece]:
    """
    A file for each map, and one for the Bragg vector map.

    Raises
    ------
    MissingLibrary
        If there is no tifffile.
    """
    try:
        import tifffile  # noqa: PLC0415 - an optional dependency
    except ModuleNotFoundError as error:
        raise MissingLibrary("TIFF", error) from error

    def piece(name: str, values: NDArray[Any], size: float | None, unit: str, about: dict[str, Any]) -> Piece:
        def write(path: Path) -> None:
            facts = {**scan.about, "map": {"name": name, **about}}
            described = {"unit": unit if size else "pixel", "Info": json.dumps(facts, ensure_ascii=True)}
            pixels_per_unit = 1.0 / size if size else 1.0
            with path.open("wb") as file:
                tifffile.imwrite(
                    file,
                    values.astype(np.float32),
                    imagej=True,
                    resolution=(pixels_per_unit, pixels_per_unit),
                    metadata={**described, "axes": "YX"},
                )

        return Piece(write, f"{name}.tif")

    for one in scan.maps:
        told = {"unit": one.unit, "description": one.description}
        yield piece(one.name, one.values, scan.sizes.step_nm, "nm", told)
    if scan.bragg is not None:
        told = {"unit": "counts", "description": "Bragg vector map", **scan.bragg.about}
        yield piece("bragg_vector_map", scan.bragg.pixels, scan.sizes.detector, scan.sizes.detector_unit, told)
