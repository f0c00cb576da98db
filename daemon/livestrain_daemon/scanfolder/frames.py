import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder import files
from livestrain_daemon.scanfolder.creation import create_frames
from livestrain_daemon.scanfolder.hold import hold
from livestrain_daemon.scanfolder.layout import FrameLayout, FrameState, open_frames
from livestrain_daemon.scanfolder.ledger import FrameLedger, Ledger, Slots
from livestrain_daemon.scanfolder.pixels import Contiguous, Pixels, Scattered
from livestrain_daemon.scanfolder.reader import FrameReader, check_range, open_ring
from livestrain_daemon.scanfolder.tenants import Tenant, enter
from livestrain_wire.messages import Run

__all__ = ["FrameReader", "FrameWriter", "create_frames", "open_frames"]

Displaced = tuple[FrameLayout, list[Run]]
"""A scan, and the positions of it whose frames were overwritten."""


class FrameWriter:
    """
    Writes the frames of a scan; the one writer.

    While it lives, HDF5 opens the file for reading only, and the scan folder is not removed.

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
        self._slots: Slots | None = None
        self._others: list[Tenant] = []
        self._sums = np.empty(256, dtype=np.uint64)
        self._held = self._own = self._frames = -1
        try:
            self._held = hold(layout.folder)
            self._own = self._frames = files.open_shared(layout.path, os.O_RDWR)
            self._ledger = FrameLedger(self._own, layout)
            if not layout.recording:
                self._frames = -1
                self._frames = open_ring(layout, os.O_RDWR)
                self._slots = Slots(layout, self._ledger)
                self._others = enter(layout)
        except BaseException:
            self.close()
            raise

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
        if pixels.nbytes != self.layout.frame_bytes:
            raise ValueError(f"expected one frame of {self.layout.frame_bytes} bytes, found {pixels.nbytes}")
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
        if isinstance(block, np.ndarray) and block.dtype != layout.dtype:
            raise ValueError(f"expected frames of {layout.dtype}, found {block.dtype}")
        raw = files.bytes_of(block)
        if len(raw) % layout.frame_bytes:
            raise ValueError(f"expected whole frames of {layout.frame_bytes} bytes, found {len(raw)} bytes")
        return self._write(first_position, Contiguous(raw, layout.frame_bytes))

    def write_frames(self, first_position: int, frames: Sequence[memoryview]) -> list[Displaced]:
        """
        Store frames of consecutive positions that do not lie one after the other in memory, as `write_run` does.

        Parameters
        ----------
        frames
            The bytes of each.

        Raises
        ------
        StorageError
            If they could not be stored; the ledger then does not call them stored.
        """
        size = self.layout.frame_bytes
        for frame in frames:
            if len(frame) != size:
                raise ValueError(f"expected frames of {size} bytes, found {len(frame)}")
        return self._write(first_position, Scattered(frames))

    def _write(self, first: int, pixels: Pixels) -> list[Displaced]:
        layout = self.layout
        count = len(pixels)
        check_range(first, count, layout)
        if self._slots is None:
            pixels.write_at(self._frames, layout.frames_offset + first * layout.frame_bytes, layout.frames_path)
            self._enter(first, pixels)
            return []
        displaced: list[Displaced] = []
        for done in range(0, count, layout.slots):
            part = pixels.part(done, min(done + layout.slots, count))
            displaced += self._write_to_ring(self._slots, first + done, part)
        return displaced

    def _enter(self, first: int, pixels: Pixels) -> None:
        """Write checksums, then ledger bytes."""
        layout = self.layout
        count = len(pixels)
        if count > len(self._sums):
            self._sums = np.empty(count, dtype=np.uint64)
        sums = self._sums[:count]
        pixels.checksums_into(sums)
        files.write_at(self._own, files.bytes_of(sums), layout.checksums_offset + 8 * first, layout.path)
        self._ledger.set(first, count, FrameState.STORED)

    def _write_to_ring(self, slots: Slots, first: int, pixels: Pixels) -> list[Displaced]:
        layout = self.layout
        size = layout.frame_bytes
        count = len(pixels)
        slot = first % layout.slots
        before_wrap = min(count, layout.slots - slot)
        pieces = [(slot, pixels.part(0, before_wrap)), (0, pixels.part(before_wrap, count))]
        displaced: list[Displaced] = []
        # all marks come first: a reader that finds its frame still stored afterwards has read it whole
        for start, piece in pieces:
            displaced += self._move_out(slots, start * size, (start + len(piece)) * size)
        for start, piece in pieces:
            if len(piece):
                piece.write_at(self._frames, layout.frames_offset + start * size, layout.frames_path)
        self._enter(first, pixels)
        slots.move_in(first, count)
        return displaced

    def displaces(self, first_position: int, count: int) -> list[Displaced]:
        """What `write_run` of so many frames would move out of the ring, at most a ring of them at a time."""
        if self._slots is None:
            return []
        size = self.layout.frame_bytes
        slot = first_position % self.layout.slots
        before_wrap = min(count, self.layout.slots - slot)
        pieces = [(slot, slot + before_wrap), (0, min(count - before_wrap, slot))]
        everyone = (self._slots, *(tenant.slots for tenant in self._others))
        lying = (
            (owners.layout, owners.lying_in(a * size, b * size)) for a, b in pieces if b > a for owners in everyone
        )
        return [(layout, runs) for layout, runs in lying if runs]

    def _move_out(self, own: Slots, first_byte: int, end_byte: int) -> list[Displaced]:
        if first_byte == end_byte:
            return []
        everyone = (own, *(tenant.slots for tenant in self._others))
        moved = ((slots.layout, slots.move_out(first_byte, end_byte)) for slots in everyone)
        return [(layout, runs) for layout, runs in moved if runs]

    def mark(self, runs: Sequence[Run], state: FrameState) -> None:
        """
        Set the ledger of these positions.

        Parameters
        ----------
        runs
            (first position, count) each.
        """
        for first, count in runs:
            check_range(first, count, self.layout)
        self._ledger.mark(runs, state)
        if self._slots is not None:
            self._slots.look_again()

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
        return self._ledger.states.copy()

    def close(self) -> None:
        """Let go of the files and the locks."""
        for tenant in self._others:
            tenant.close()
        self._others = []
        for descriptor in {self._held, self._own, self._frames} - {-1}:
            os.close(descriptor)
        self._held = self._own = self._frames = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
