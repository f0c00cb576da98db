"""A table: one row per scan position; lines above it that begin with # say what the columns are."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from livestrain_daemon.export.exported import Exported
from livestrain_daemon.export.pieces import Piece, refuse_twice


def pieces(scan: Exported) -> Iterable[Piece]:
    """One file."""
    refuse_twice("columns", _columns(scan))

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"# {line}\n" for line in header(scan))
            file.writelines(_lines(scan))

    return [Piece(write)]


def header(scan: Exported) -> Iterator[str]:
    """What has to be known about the columns."""
    about = scan.about
    yield f"scan {scan.scan_id}, plan revision {scan.revision}, exported by {about['exported_by']}"
    done, whole = about["positions_analysed"], about["positions"]
    over = "over" if about["scan_is_over"] else "not over"
    yield f"{done} of {whole} positions analysed, the scan is {over}; nan: not measured"
    yield f"row, column: scan position from 0; step {_size(scan.sizes.step_nm)}"
    yield "why: fitted, or why there is no lattice, or what became of the position"
    if "strain" in about:
        told = about["strain"]
        yield f"axes of strain: {told['axes']}: {told['axes_are']}"
        yield f"strain convention: {told['convention']}"
        yield f"note: {told['py4DSTEM']}"
        yield f"reference: {json.dumps(told['reference'])}"
    for one in scan.maps:
        yield f"{one.name} [{one.unit}]: {one.description or 'see the documentation'}"


def _lines(scan: Exported) -> Iterator[str]:
    yield ",".join(_columns(scan)) + "\n"
    rows, columns = scan.scan_shape
    for row in range(rows):
        values = np.array([one.values[row] for one in scan.maps]).reshape(len(scan.maps), columns)
        for column in range(columns):
            numbers = [f"{value:.9g}" for value in values[:, column]]
            yield ",".join([str(row), str(column), *numbers, str(scan.reasons[row, column])]) + "\n"


def _columns(scan: Exported) -> list[str]:
    return ["row", "column", *(one.name for one in scan.maps), "why"]


def _size(step_nm: float | None) -> str:
    return "not known" if step_nm is None else f"{step_nm:g} nm"
