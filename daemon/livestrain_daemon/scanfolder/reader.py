import os
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from livestrain_daemon.errors import NotAScan
from livestrain_daemon.scanfolder import files
from livestrain_daemon.scanfolder.checksum import Checksums
from livestrain_daemon.scanfolder.layout import FrameLayout
from livestrain_daemon.scanfolder.ledger import Ledger
from livestrain_daemon.scanfolder.tenants import read_facts

FrameBlock = npt.NDArray[Any]


class FrameReader:
    """
    Reads frames while they are being written.

    With a ring, read the ledger AFTER the frames: what it still calls stored was whole.

    Raises
    ------
    NotAScan
        If the ring that held the frames has been made anew since.
    """

    def __init__(self, layout: FrameLayout) -> None:
        self.layout = layout
        self._own = files.open_shared(layout.path, os.O_RDONLY)
        self._frames = self._own
        if not layout.recording:
            self._frames = -1
            try:
                self._frames = open_ring(layout, os.O_RDONLY)
            except BaseException:
                self.close()
                raise

    def read(self, first: int, count: int, out: FrameBlock | None = None) -> FrameBlock:
        """
        Frames of consecutive positions.

        Parameters
        ----------
        out : (at least count, rows, columns)
            Filled from its beginning; None makes a new array.

        Returns
        -------
        (count, rows, columns)
            What the file holds there, whatever the ledger says.
        """
        layout = self.layout
        check_range(first, count, layout)
        if out is None:
            out = np.empty((count, *layout.frame_shape), dtype=layout.dtype)
        elif len(out) < count or out.shape[1:] != layout.frame_shape or out.dtype != layout.dtype:
            raise ValueError(f"expected room for {count} frames {layout.frame_shape} {layout.dtype}, found {out.shape}")
        size = layout.frame_bytes
        raw = files.bytes_of(out)
        done = 0
        while done < count:
            slot = (first + done) % layout.slots
            piece = min(count - done, layout.slots - slot)
            into = raw[done * size : (done + piece) * size]
            files.read_at(self._frames, into, layout.frames_offset + slot * size, layout.frames_path)
            done += piece
        return out[:count]

    def ledger(self, first: int = 0, count: int | None = None) -> Ledger:
        """The `FrameState` of consecutive positions, to the last one if no count is given, (count,)."""
        layout = self.layout
        count = layout.positions - first if count is None else count
        check_range(first, count, layout)
        states = np.empty(count, dtype=np.uint8)
        files.read_at(self._own, files.bytes_of(states), layout.ledger_offset + first, layout.path)
        return states

    def checksums(self, first: int = 0, count: int | None = None) -> Checksums:
        """The xxh3 checksums of consecutive positions, to the last one if no count is given, (count,)."""
        layout = self.layout
        count = layout.positions - first if count is None else count
        check_range(first, count, layout)
        sums = np.empty(count, dtype=np.uint64)
        files.read_at(self._own, files.bytes_of(sums), layout.checksums_offset + 8 * first, layout.path)
        return sums

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in {self._own, self._frames} - {-1}:
            os.close(descriptor)
        self._own = self._frames = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_range(first: int, count: int, layout: FrameLayout) -> None:
    """Raise ValueError for positions that are not of the scan."""
    if first < 0 or count < 0 or first + count > layout.positions:
        raise ValueError(f"expected positions within 0..{layout.positions}, found {count} from {first}")


def open_ring(layout: FrameLayout, flags: int) -> int:
    """
    A descriptor of the ring that a scan's frames are in.

    Raises
    ------
    NotAScan
        If the ring is gone, or is not the one that the scan was written to.
    """
    if read_facts(layout.frames_path).id != layout.ring_id:
        raise NotAScan(f"{layout.folder}: its frames are gone: {layout.frames_path} was made anew")
    return files.open_file(layout.frames_path, flags)
