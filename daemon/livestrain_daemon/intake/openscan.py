"""The scan in progress: its frames go to their places, once each."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.errors import StorageError
from livestrain_daemon.intake.faults import Faults
from livestrain_daemon.intake.gate import Gate
from livestrain_daemon.intake.payload import Block, PayloadError, decode_payload
from livestrain_daemon.intake.placement import Piece, Placement, joined
from livestrain_daemon.intake.unpacking import Payload, Unpacker
from livestrain_daemon.messages import Recycled, Stored
from livestrain_daemon.scanfolder.frames import FrameWriter
from livestrain_daemon.scanfolder.layout import FrameLayout, FrameState
from livestrain_daemon.scanfolder.results_layout import BLOCK
from livestrain_daemon.scanfolder.runs import runs_of
from livestrain_wire.messages import Frames, Message, Run, ScanStart

# looked up once: these are asked for with every frame
EXPECTED, STORED, MISSING, RECYCLED = FrameState

States = NDArray[np.uint8]
"""(positions,) the ledger, as `FrameState`."""


class OpenScan:
    """
    A scan whose frames are being stored.

    Parameters
    ----------
    layout
        Its folder's name is the scan's id in this daemon, also when the sender uses an id twice.
    writer
        The only writer of the frames file.
    faults
        Counts what is not stored.
    largest
        Frames of one message, unpacked, at most [bytes].
    gate
        Decides when a slot of a ring may be overwritten.
    tell
        Takes the hints before a wait, so that what is stored is analysed meanwhile.
    """

    def __init__(
        self,
        layout: FrameLayout,
        placement: Placement,
        writer: FrameWriter,
        faults: Faults,
        largest: int,
        gate: Gate,
        tell: Callable[[Message], None],
    ) -> None:
        self.folder = layout.folder
        self.start = layout.start
        self.recording = layout.recording
        self.placement = placement
        self._fillable = placement.fillable
        self.writer = writer
        self.faults = faults
        self.started_ns = time.time_ns()
        self.sender_ids = {layout.start.scan_id}
        """The names that its sender has for it."""
        self.interrupted_ns: int | None = None
        """When the last frame had been stored before a restart (UTC) [ns], until frames come again."""
        self.heard = time.monotonic()
        """When the last frame of this scan came in [s]."""
        self.repeated = False
        """The same start has come again: if stored frames follow, the scan has been started again."""
        self.begun_again = layout.start
        """That start."""
        self.unsynced: deque[Run] = deque()
        """Positions stored and not yet forced to the disk; the one thing here that another thread takes from."""
        self._stored: list[Run] = []
        self._recycled: list[tuple[str, Run]] = []
        self.waiting = 0
        """Frames stored that main has not been told of."""
        self._largest = largest
        self._gate = gate
        self._tell = tell
        self._received = 0
        self._unpacker = Unpacker(layout.start.frame_shape, layout.start.dtype)
        self._states: States = writer.ledger()
        self._resumed = bool(self._states.any())
        gate.opened(self.scan_id)
        self.stored_count = int(np.count_nonzero(self._states != EXPECTED) - self._count(MISSING))

    @property
    def scan_id(self) -> str:
        """The scan's name in this daemon."""
        return self.folder.name

    @property
    def missing_count(self) -> int:
        """Positions without a frame that may not come any more."""
        return self._count(MISSING)

    @property
    def complete(self) -> bool:
        """No position expects a frame."""
        return self._count(EXPECTED) == 0

    @property
    def filled(self) -> bool:
        """Every position that frames of the scan belong to has had one."""
        return self.stored_count >= self._fillable

    def conflicts(self, message: Frames) -> bool:
        """Some of these frames are stored already."""
        placed = self.placement.place(message.first_index, message.count)
        return any(np.any(self._states_of(piece) != EXPECTED) for piece in placed.pieces)

    def store(self, message: Frames, payload: Payload) -> None:
        """Put the frames of a message to their places; what does not fit is counted."""
        self._received += message.count
        self._store(message, payload)

    def _store(self, message: Frames, payload: Payload) -> None:
        try:
            block = self._pixels(message, payload)
        except PayloadError as error:
            if isinstance(payload, tuple) and len(payload) > 1:
                # one of them is wrong, and the others shall not suffer from it
                for number, one in enumerate(payload, message.first_index):
                    self._store(message.model_copy(update={"first_index": number, "count": 1}), (one,))
                return
            self.faults.add(error.kind, f"{error}, in {_where(message)}", message.count)
            return
        placed = self.placement.place(message.first_index, message.count)
        for piece in placed.pieces:
            part = block[piece.first_frame : piece.first_frame + piece.frames]
            self._store_piece(piece, part[::-1] if piece.downwards else part, message)
        if placed.flyback:
            self.faults.add("flyback", "", placed.flyback)
        if placed.beyond:
            text = f"expected frames below number {self.placement.frames}, found {_where(message)}"
            self.faults.add("wrong_index", text, placed.beyond)

    def compare(self, frames_sent: int | None) -> None:
        """Count what the sender says it has sent and what did not come; not known after a restart."""
        if frames_sent is not None and not self._resumed and frames_sent > self._received:
            text = f"expected {frames_sent} frames, which the sender says it has sent, found {self._received}"
            self.faults.add("lost", text, frames_sent - self._received)

    def close(self) -> None:
        """Nothing more comes: what is expected is missing."""
        expected = runs_of(self._states == EXPECTED)
        try:
            self.writer.mark(expected, MISSING)
        except StorageError as error:
            self.faults.add("disk_error", str(error), 0)
        self._states[self._states == EXPECTED] = MISSING

    def news(self) -> list[Message]:
        """Hints for what has changed since the last."""
        messages: list[Message] = []
        if self._stored:
            messages.append(Stored(scan_id=self.scan_id, runs=joined(self._stored)))
        for scan_id in {scan_id for scan_id, _ in self._recycled}:
            runs = joined(run for owner, run in self._recycled if owner == scan_id)
            messages.append(Recycled(scan_id=scan_id, runs=runs))
        self._stored, self._recycled, self.waiting = [], [], 0
        return messages

    def expect_again(self, runs: list[Run]) -> None:
        """What the ledger says is stored in these positions is not: a loss of power took it."""
        self.writer.mark(runs, EXPECTED)
        for first, count in runs:
            self._states[first : first + count] = EXPECTED
            self.stored_count -= count

    def _pixels(self, message: Frames, payload: Payload) -> Block | Sequence[memoryview]:
        start = self.start
        if message.shape != start.frame_shape:
            expected, found = _pixels_text(start.frame_shape), _pixels_text(message.shape)
            raise PayloadError("wrong_size", f"expected frames of {expected}, found {found}")
        if message.dtype != start.dtype:
            raise PayloadError("wrong_dtype", f"expected {start.dtype}, found {message.dtype}")
        if isinstance(payload, tuple) and len(payload) > 1:
            return self._unpacker.unpacked(payload, message.encoding, self._largest)
        if isinstance(payload, tuple):
            payload = payload[0]
        shape = (message.count, *message.shape)
        return decode_payload(payload, message.encoding, shape, message.dtype, self._largest)

    def _store_piece(self, piece: Piece, part: Block | Sequence[memoryview], message: Frames) -> None:
        states = self._states_of(piece)
        new = states == EXPECTED
        if new.all():
            self._write(piece.first_position, part)
            return
        duplicates = piece.frames - int(np.count_nonzero(new))
        text = f"expected each frame once, found {duplicates} that are stored already, in {_where(message)}"
        self.faults.add("duplicate", text, duplicates)
        for first, count in runs_of(new):
            self._write(piece.first_position + first, part[first : first + count])

    def _write(self, first: int, part: Block | Sequence[memoryview]) -> None:
        count = len(part)
        if not self.recording:
            displaced = [(layout.folder.name, runs) for layout, runs in self.writer.displaces(first, count)]
            if displaced:
                for hint in self.news():
                    self._tell(hint)
                self._gate.wait(displaced)
        try:
            if isinstance(part, np.ndarray):
                recycled = self.writer.write_run(first, np.ascontiguousarray(part))
            else:
                recycled = self.writer.write_frames(first, part)
        except StorageError as error:
            self.faults.add("disk_error", str(error), count)
            return
        self._states[first : first + count] = STORED
        self.stored_count += count
        self.waiting += count
        self._stored.append((first, count))
        if self.recording:
            self.unsynced.append((first, count))
        self._recycle(recycled)

    def _recycle(self, recycled: Any) -> None:
        for layout, runs in recycled:
            for run in runs:
                self._recycled.append((layout.folder.name, run))
                if layout.folder == self.folder:
                    self._states[run[0] : run[0] + run[1]] = RECYCLED

    def _states_of(self, piece: Piece) -> States:
        return self._states[piece.first_position : piece.first_position + piece.frames]

    def _count(self, state: FrameState) -> int:
        return int(np.count_nonzero(self._states == state))


FACT_BYTES = 9
"""Ledger and checksum of a frame [bytes]."""
RESULT_BYTES = 1024
"""Results of a position under one plan, with some tens of disks, at most about [bytes]."""


def bytes_needed(start: ScanStart) -> tuple[int, int]:
    """What a scan takes on the disk: its frames; and facts and results of one plan, about [bytes]."""
    positions, pixels = math.prod(start.scan_shape), math.prod(start.frame_shape)
    pixel_bytes = np.dtype(start.dtype).itemsize
    # the summed and the largest pattern of each block; sums take up to 8 bytes
    patterns = -(-positions // BLOCK) * pixels * (pixel_bytes + 8)
    return positions * pixels * pixel_bytes, positions * (FACT_BYTES + RESULT_BYTES) + patterns


def _pixels_text(shape: tuple[int, int]) -> str:
    return f"{shape[0]} x {shape[1]} pixels"


def _where(message: Frames) -> str:
    if message.count == 1:
        return f"frame {message.first_index}"
    return f"frames {message.first_index} to {message.first_index + message.count - 1}"
