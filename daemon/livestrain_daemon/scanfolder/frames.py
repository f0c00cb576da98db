import os
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder import files
from livestrain_daemon.scanfolder.checksum import checksums_into
from livestrain_daemon.scanfolder.layout import FrameLayout, FrameState
from livestrain_daemon.scanfolder.reader import Ledger, check_range, open_ring
from livestrain_daemon.scanfolder.runs import runs_of
from livestrain_daemon.scanfolder.tenants import NOBODY, Tenant, enter, owners_of
from livestrain_wire.messages import Run

Displaced = tuple[FrameLayout, list[Run]]
"""A scan, and the positions of it whose frames were overwritten."""


class FrameWriter:
    """
    Writes the frames of a scan; the one writer.

    While it lives, HDF5 opens the file for reading only.

    Raises
    ------
    StorageError
        If the file cannot be opened, or another program has it open for writing.
    NotAScan
        If the ring that held the frames has been made anew since.
    """

    def __init__(self, layout: FrameLayout) -> None:
        self.layout = layout
        self._failed_sync = ""
        self._others: list[Tenant] = []
        self._owners: npt.NDArray[np.int64] | None = None
        self._own = files.open_shared(layout.path, os.O_RDWR)
        self._frames = self._own
        try:
            self._ledger = np.empty(layout.positions, dtype=np.uint8)
            files.read_at(self._own, memoryview(self._ledger), layout.ledger_offset, layout.path)
            if not layout.recording:
                self._frames = -1
                self._frames = open_ring(layout, os.O_RDWR)
                self._owners = owners_of(self._ledger, layout.slots)
                self._others = enter(layout)
        except BaseException:
            self.close()
            raise
        self._ledger_bytes = memoryview(self._ledger)
        self._sums = np.empty(256, dtype=np.uint64)

    def write(self, position: int, pixels: memoryview | npt.NDArray[Any]) -> list[Displaced]:
        """
        Store one frame.

        Parameters
        ----------
        pixels : (rows, columns)
            Contiguous, of the scan's dtype.

        Returns
        -------
        list of (layout, runs)
            What was overwritten in the ring, by scan; nothing when recording.
        """
        return self.write_run(position, pixels)

    def write_run(self, first_position: int, block: memoryview | npt.NDArray[Any]) -> list[Displaced]:
        """
        Store frames of consecutive positions: first the frames, then their checksums, then their ledger bytes.

        Parameters
        ----------
        block : (count, rows, columns)
            Contiguous, of the scan's dtype.

        Returns
        -------
        list of (layout, runs)
            What was overwritten in the ring, by scan; nothing when recording.

        Raises
        ------
        StorageError
            If they could not be stored; the ledger then does not call them stored.
        """
        layout = self.layout
        raw = memoryview(block).cast("B")
        size = layout.frame_bytes
        count, rest = divmod(len(raw), size)
        if rest or count == 0:
            raise ValueError(f"expected whole frames of {size} bytes, found {len(raw)} bytes")
        check_range(first_position, count, layout)
        if self._owners is None:
            files.write_at(self._frames, raw, layout.frames_offset + first_position * size, layout.frames_path)
            self._enter(first_position, count, raw)
            return []
        displaced: list[Displaced] = []
        for done in range(0, count, layout.slots):
            part = raw[done * size : (done + layout.slots) * size]
            displaced += self._write_to_ring(first_position + done, part)
        return displaced

    def _enter(self, first: int, count: int, raw: memoryview) -> None:
        """Write checksums, then ledger bytes."""
        layout = self.layout
        if count > len(self._sums):
            self._sums = np.empty(count, dtype=np.uint64)
        sums = self._sums[:count]
        checksums_into(sums, raw, layout.frame_bytes)
        files.write_at(self._own, memoryview(sums).cast("B"), layout.checksums_offset + 8 * first, layout.path)
        self._set(first, count, FrameState.STORED)

    def _set(self, first: int, count: int, state: FrameState) -> None:
        end = first + count
        self._ledger[first:end] = state
        files.write_at(self._own, self._ledger_bytes[first:end], self.layout.ledger_offset + first, self.layout.path)

    def _write_to_ring(self, first: int, raw: memoryview) -> list[Displaced]:
        layout = self.layout
        size = layout.frame_bytes
        count = len(raw) // size
        slot = first % layout.slots
        before_wrap = min(count, layout.slots - slot)
        pieces = [(slot, raw[: before_wrap * size]), (0, raw[before_wrap * size :])]
        displaced: list[Displaced] = []
        # all marks come first: a reader that finds its frame still stored afterwards has read it whole
        for start, piece in pieces:
            displaced += self._move_out(start * size, len(piece))
        for start, piece in pieces:
            if piece:
                files.write_at(self._frames, piece, layout.frames_offset + start * size, layout.frames_path)
        self._enter(first, count, raw)
        assert self._owners is not None
        positions = np.arange(first, first + count)
        self._owners[positions % layout.slots] = positions
        return displaced

    def _move_out(self, first_byte: int, length: int) -> list[Displaced]:
        assert self._owners is not None
        size = self.layout.frame_bytes
        displaced: list[Displaced] = []
        slots = self._owners[first_byte // size : (first_byte + length) // size]
        leaving = slots[slots != NOBODY]
        if leaving.size:
            slots[:] = NOBODY
            mask = np.zeros(int(leaving.max()) + 1, dtype=np.bool_)
            mask[leaving] = True
            runs = runs_of(mask)
            self.mark(runs, FrameState.RECYCLED)
            displaced.append((self.layout, runs))
        for tenant in self._others if length else ():
            if runs := tenant.move_out(first_byte, first_byte + length):
                displaced.append((tenant.layout, runs))
        return displaced

    def mark(self, runs: list[Run], state: FrameState) -> None:
        """
        Set the ledger of these positions.

        Parameters
        ----------
        runs
            (first position, count) each.
        """
        for first, count in runs:
            check_range(first, count, self.layout)
            self._set(first, count, state)

    def sync(self) -> None:
        """
        Force everything written so far to the disk; may run in another thread than the writes.

        Raises
        ------
        StorageError
            If the disk fails. Then every later call does, too: the system forgets what it could not write.
        """
        if self._failed_sync:
            raise StorageError(self._failed_sync)
        try:
            if self._frames != self._own:
                files.sync(self._frames, self.layout.frames_path)
            files.sync(self._own, self.layout.path)
        except StorageError as error:
            self._failed_sync = str(error)
            raise

    def ledger(self) -> Ledger:
        """A copy of the `FrameState` of every position, (positions,)."""
        return self._ledger.copy()

    def close(self) -> None:
        """Let go of the files and the lock."""
        for tenant in self._others:
            tenant.close()
        self._others = []
        for descriptor in {self._own, self._frames} - {-1}:
            os.close(descriptor)
        self._own = self._frames = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
