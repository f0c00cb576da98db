"""The file of a scan's results under one plan revision: laid out once, then written and read by offset."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from livestrain_daemon.scanfolder import hdf5

BLOCK = 256
"""Positions in a block: reductions over positions are kept per block, and added in block order."""

_FILE_NAME = re.compile(r"results-(\d{4,})\.h5")


class ResultState(IntEnum):
    """What the ledger of a stage says of a position (or block)."""

    PENDING = 0
    ANALYSED = 1
    FAILED = 2
    DROPPED = 3
    MISSING = 4


@dataclass(frozen=True)
class Output:
    """What an analysis gives per position, or per block of positions."""

    name: str
    shape: tuple[int, ...] = ()
    """Per position (or block); () for one value."""
    dtype: str = "float32"
    unit: str = ""
    colours: Literal["sequential", "diverging", "categorical"] = "sequential"
    limit: float | None = None
    """Usual largest magnitude, for a first colour range."""
    description: str = ""
    per_block: bool = False
    """One array for each block of 256 positions, instead of one for each position."""


@dataclass(frozen=True)
class ResultsLayout:
    """Where the results of a revision are."""

    folder: Path
    revision: int
    path: Path
    scan_shape: tuple[int, int]
    positions: int
    blocks: int
    outputs: dict[str, Output]
    stages: dict[str, tuple[str, ...]]
    """The names of each stage's outputs."""
    plan: dict[str, Any]
    output_offsets: dict[str, int]
    ledger_offsets: dict[str, int]
    ledger_lengths: dict[str, int]
    """Positions of the scan; or its blocks, for a stage whose outputs are all per block."""


def results_path(folder: Path, revision: int) -> Path:
    """The results file of a plan revision."""
    return folder / f"results-{revision:04d}.h5"


def revisions(folder: Path) -> list[int]:
    """The plan revisions that the folder has results of, ascending."""
    found = (_FILE_NAME.fullmatch(entry.name) for entry in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def create_results(
    folder: Path,
    revision: int,
    scan_shape: tuple[int, int],
    stages: Mapping[str, Sequence[Output]],
    plan: dict[str, Any],
    provenance: dict[str, Any],
) -> ResultsLayout:
    """
    Lay out the results file of a plan revision.

    Parameters
    ----------
    scan_shape
        Scan positions (rows, columns).
    stages
        The outputs of each stage.
    plan
        JSON-able, kept with the file.
    provenance
        Versions, host and times, kept with the file.

    Raises
    ------
    StorageError
        If the space is not there, with the numbers, or the file cannot be made; nothing is left of it.
    """
    positions, blocks = _counts(scan_shape)
    outputs = [output for of_stage in stages.values() for output in of_stage]
    if len({output.name for output in outputs}) != len(outputs):
        raise ValueError(f"expected outputs of different names, found {', '.join(output.name for output in outputs)}")
    payload = sum(_payload(output, positions, blocks) for output in outputs) + len(stages) * positions
    payload += hdf5.OVERHEAD_BYTES // 16 * (len(outputs) + len(stages))
    with hdf5.laid_out(results_path(folder, revision), payload, "results") as file:
        file.attrs["revision"] = revision
        file.attrs["scan_shape"] = scan_shape
        hdf5.set_json(file, "plan", plan)
        hdf5.set_json(file, "provenance", provenance)
        hdf5.set_json(file, "stages", {stage: [asdict(output) for output in found] for stage, found in stages.items()})
        for stage, of_stage in stages.items():
            hdf5.add_dataset(file, f"ledger/{stage}", (_ledger_length(of_stage, positions, blocks),), np.uint8)
            for output in of_stage:
                _add_output(file, stage, output, scan_shape, blocks)
    return open_results(folder, revision)


def _counts(scan_shape: tuple[int, int]) -> tuple[int, int]:
    positions = math.prod(scan_shape)
    return positions, -(-positions // BLOCK)


def _payload(output: Output, positions: int, blocks: int) -> int:
    each = math.prod(output.shape) * np.dtype(output.dtype).itemsize
    return each * (blocks if output.per_block else positions)


def _ledger_length(outputs: Sequence[Output], positions: int, blocks: int) -> int:
    return blocks if outputs and all(output.per_block for output in outputs) else positions


def _place(output: Output, scan_shape: tuple[int, int], blocks: int) -> tuple[str, tuple[int, ...]]:
    if output.per_block:
        return f"blocks/{output.name}", (blocks, *output.shape)
    return f"maps/{output.name}", (*scan_shape, *output.shape)


def _add_output(file: h5py.File, stage: str, output: Output, scan_shape: tuple[int, int], blocks: int) -> None:
    name, shape = _place(output, scan_shape, blocks)
    dtype = np.dtype(output.dtype).newbyteorder("<")
    # NaN means not measured; sums start from zero
    fill = float("nan") if dtype.kind in "fc" and not output.per_block else None
    dataset = hdf5.add_dataset(file, name, shape, dtype, fill)
    dataset.attrs.update(stage=stage, unit=output.unit, description=output.description)


def open_results(folder: Path, revision: int) -> ResultsLayout:
    """
    The layout of a revision's results.

    Raises
    ------
    NotAScan
        If the file is missing, truncated, damaged, or something else.
    """
    folder = folder.absolute()
    path = results_path(folder, revision)
    with hdf5.opened(path, "results") as file:
        rows, columns = (int(side) for side in file.attrs["scan_shape"])
        positions, blocks = _counts((rows, columns))
        stages = {
            stage: tuple(Output(**{**fields, "shape": tuple(fields["shape"])}) for fields in of_stage)
            for stage, of_stage in hdf5.get_json(file, "stages").items()
        }
        outputs = {output.name: output for of_stage in stages.values() for output in of_stage}
        lengths = {stage: _ledger_length(found, positions, blocks) for stage, found in stages.items()}
        return ResultsLayout(
            folder=folder,
            revision=revision,
            path=path,
            scan_shape=(rows, columns),
            positions=positions,
            blocks=blocks,
            outputs=outputs,
            stages={stage: tuple(output.name for output in of_stage) for stage, of_stage in stages.items()},
            plan=hdf5.get_json(file, "plan"),
            output_offsets={
                name: _output_offset(file, output, (rows, columns), blocks) for name, output in outputs.items()
            },
            ledger_offsets={
                stage: hdf5.offset_of(file, f"ledger/{stage}", (length,), np.uint8) for stage, length in lengths.items()
            },
            ledger_lengths=lengths,
        )


def _output_offset(file: h5py.File, output: Output, scan_shape: tuple[int, int], blocks: int) -> int:
    name, shape = _place(output, scan_shape, blocks)
    return hdf5.offset_of(file, name, shape, np.dtype(output.dtype).newbyteorder("<"))
