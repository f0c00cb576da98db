import math
import os
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from livestrain_daemon.scanfolder import files
from livestrain_daemon.scanfolder.results_layout import (
    BLOCK,
    Output,
    ResultsLayout,
    ResultState,
    create_results,
    open_results,
    revisions,
)

__all__ = [
    "BLOCK",
    "Output",
    "ResultState",
    "ResultsFile",
    "ResultsLayout",
    "create_results",
    "open_results",
    "revisions",
]

Values = npt.NDArray[Any]
Ledger = npt.NDArray[np.uint8]


class _Place(NamedTuple):
    """Where an output is, and what one item (of a position or block) looks like."""

    offset: int
    items: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    item_bytes: int


class ResultsFile:
    """
    Reads and writes the results of one plan revision.

    Any number of processes may have it open; each position's values and each ledger row have one writer at a time.
    While it lives, HDF5 opens the file for reading only.

    Parameters
    ----------
    read_only
        Never write: a file that may not be written can be read.

    Raises
    ------
    StorageError
        If the file cannot be opened, or another program has it open for writing.
    """

    def __init__(self, layout: ResultsLayout, read_only: bool = False) -> None:
        self.layout = layout
        self._descriptor = files.open_shared(layout.path, os.O_RDONLY if read_only else os.O_RDWR)
        self._maps: dict[str, _Place] = {}
        self._blocks: dict[str, _Place] = {}
        for name, output in layout.outputs.items():
            dtype = np.dtype(output.dtype).newbyteorder("<")
            items = layout.blocks if output.per_block else layout.positions
            size = math.prod(output.shape) * dtype.itemsize
            places = self._blocks if output.per_block else self._maps
            places[name] = _Place(layout.output_offsets[name], items, output.shape, dtype, size)

    def write(self, name: str, first: int, values: Values) -> None:
        """
        A map's values at consecutive positions.

        Parameters
        ----------
        values : (count, *shape)
            Of the map's dtype, or one that it can hold in kind.

        Raises
        ------
        StorageError
            If they could not be written.
        """
        self._write(self._maps[name], first, values)

    def read(self, name: str, first: int, count: int) -> Values:
        """A map's values at consecutive positions, (count, *shape)."""
        return self._read(self._maps[name], first, count)

    def write_block(self, name: str, block: int, array: Values) -> None:
        """
        The reduction of one block of positions, whole.

        Parameters
        ----------
        array : shape of the output
        """
        self._write(self._blocks[name], block, array[np.newaxis])

    def read_block(self, name: str, block: int) -> Values:
        """The reduction of one block of positions."""
        values: Values = self._read(self._blocks[name], block, 1)[0]
        return values

    def _write(self, place: _Place, first: int, values: Values) -> None:
        offset, items, shape, dtype, size = place
        count = len(values)
        if values.shape[1:] != shape or first < 0 or first + count > items:
            raise ValueError(f"expected (count, *{shape}) within {items}, found {values.shape} from {first}")
        if values.dtype != dtype or not values.flags.c_contiguous:
            values = values.astype(dtype, order="C", casting="same_kind")
        if count:
            files.write_at(self._descriptor, files.bytes_of(values), offset + first * size, self.layout.path)

    def _read(self, place: _Place, first: int, count: int) -> Values:
        offset, items, shape, dtype, size = place
        if first < 0 or count < 0 or first + count > items:
            raise ValueError(f"expected a range within {items}, found {count} from {first}")
        values = np.empty((count, *shape), dtype=dtype)
        if count:
            files.read_at(self._descriptor, files.bytes_of(values), offset + first * size, self.layout.path)
        return values

    def ledger(self, stage: str) -> Ledger:
        """The `ResultState` of every position (or block) in a stage."""
        states = np.empty(self.layout.ledger_lengths[stage], dtype=np.uint8)
        files.read_at(self._descriptor, files.bytes_of(states), self.layout.ledger_offsets[stage], self.layout.path)
        return states

    def write_ledger(self, stage: str, first: int, states: Ledger | int, count: int | None = None) -> None:
        """
        The `ResultState` of consecutive positions (or blocks) in a stage.

        Parameters
        ----------
        states
            One for each, or one for all.
        count
            How many, where there is one state for all; 1 if not given.
        """
        if isinstance(states, np.ndarray):
            data = np.ascontiguousarray(states, dtype=np.uint8).tobytes()
        else:
            data = bytes((states,)) * (1 if count is None else count)
        if first < 0 or first + len(data) > self.layout.ledger_lengths[stage]:
            length = self.layout.ledger_lengths[stage]
            raise ValueError(f"expected a range within {length}, found {len(data)} from {first}")
        files.write_at(self._descriptor, memoryview(data), self.layout.ledger_offsets[stage] + first, self.layout.path)

    def sync(self) -> None:
        """Force everything written so far to the disk."""
        files.sync(self._descriptor, self.layout.path)

    def close(self) -> None:
        """Let go of the file and the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
