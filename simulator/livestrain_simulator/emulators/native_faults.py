"""Mistakes on purpose: a sender that loses, repeats, delays and damages the frames it is told to."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.emulators.faults import (
    SPOILED,
    STALE_FRAMES,
    UNSENT,
    Action,
    FaultPlan,
    SecondCopy,
)
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.send import Block
from livestrain_simulator.sender import FrameSender, frames_message, pack
from livestrain_wire.codec import encode
from livestrain_wire.messages import Encoding, Frames, ScanStart

Corruption = Literal["header", "dtype", "shape", "index", "scan_id", "encoding"]
CORRUPTIONS: tuple[Corruption, ...] = ("header", "dtype", "shape", "index", "scan_id", "encoding")
FAR_AWAY = 1 << 40
"""Added to a frame number, it lies in no scan."""
Message: TypeAlias = list[Any]
"""Its parts."""


class FaultySender:
    """
    Sends a scan like the sender that it wraps, except for chosen frames.

    A faulty frame travels in a message of its own; healthy frames travel between them as usual.

    Parameters
    ----------
    sender
        What to send with.
    plan
        What happens to which frame number; an abort is left to who gives the frames.
    record
        Takes what has been done.
    seed
        Decides how frames are corrupted.
    stall_seconds
        How long a stall lasts [s].
    stale
        Messages of an earlier scan, sent when this one has begun.
    second_copy
        Changes the pixels of the second copy of a frame.
    """

    def __init__(
        self,
        sender: FrameSender,
        plan: FaultPlan,
        record: ScanRecord,
        seed: int = 0,
        stall_seconds: float = 0.5,
        stale: Sequence[Message] = (),
        second_copy: SecondCopy | None = None,
    ) -> None:
        self.record = record
        self.corrupted: list[tuple[int, Corruption]] = []
        """Frames with a wrong header, and what was wrong in it."""
        self.left_behind: list[Message] = []
        """Frames after a scan that ended without a word."""
        self.messages = 0
        """Messages with frames that were sent."""
        self.is_rearmed = False
        """The scan has ended without a word."""
        self._sender = sender
        self._plan = plan
        self._random = np.random.default_rng((seed, record.scan, 1))
        self._stall_seconds = stall_seconds
        self._stale = list(stale)
        self._second_copy = second_copy
        self._scan_id = ""
        self._start: tuple[ScanStart, NDArray[Any] | None] | None = None
        self._held: list[tuple[int, Message]] = []

    def start(self, start: ScanStart, positions: NDArray[Any] | None = None) -> None:
        """Announce a scan, if that is not to come later."""
        self._sender.wait_for_receiver()
        self._scan_id = start.scan_id
        self._start = start, positions
        self._begin_unless_late(self._plan(0))

    def frames(self, first_index: int, block: Block, encoding: Encoding = "raw") -> None:
        """Send consecutive frames, with what is to happen to them."""
        for first, part, actions in self._split(first_index, block):
            self._begin_unless_late(actions)
            if not actions:
                self._send(list(frames_message(self._scan_id, first, part, encoding)), range(first, first + len(part)))
            elif "rearm" in actions:
                self._leave_behind(first, part, encoding)
            else:
                self.record.do(first, actions)
                self._send_faulty(first, part, encoding, actions)

    def end(self, reason: Literal["complete", "aborted"] = "complete", frames_sent: int | None = None) -> None:
        """Send what was held back, and announce the end."""
        self._release()
        if self._start is not None or self.is_rearmed:
            # who never heard of the scan needs no end of it, and who is to be surprised gets none
            return
        self.record.ended = reason == "complete"
        self._sender.end(reason, frames_sent)

    def flush(self) -> None:
        """Wait until everything has left."""
        self._sender.flush()

    def hurry(self) -> None:
        """Pass it on."""
        self._sender.hurry()

    def _begin_unless_late(self, actions: Sequence[Action]) -> None:
        if self._start is None or "late_header" in actions:
            return
        self._sender.start(*self._start)
        self._start = None
        self.record.started = True
        for message in self._stale:
            self._post(message)
        self.record.astray += len(self._stale)

    def _leave_behind(self, first: int, frame: Block, encoding: Encoding) -> None:
        if not self.is_rearmed:
            self.record.do(first, ["rearm"])
        self.is_rearmed = True
        if len(self.left_behind) < STALE_FRAMES:
            # the memory of a block may be used again when the next scan begins
            header, payload = frames_message(self._scan_id, first, frame, encoding)
            self.left_behind.append([header, bytes(payload)])

    def _split(self, first_index: int, block: Block) -> Iterator[tuple[int, Block, Sequence[Action]]]:
        """Healthy runs and single faulty frames, in order."""
        begin = 0
        for offset in range(len(block)):
            actions = self._plan(first_index + offset)
            if actions:
                if offset > begin:
                    yield first_index + begin, block[begin:offset], ()
                yield first_index + offset, block[offset : offset + 1], actions
                begin = offset + 1
        if begin < len(block):
            yield first_index + begin, block[begin:], ()

    def _send_faulty(self, first: int, frame: Block, encoding: Encoding, actions: Sequence[Action]) -> None:
        if "stall" in actions:
            time.sleep(self._stall_seconds)
        if UNSENT.intersection(actions):
            return
        message: Message = list(frames_message(self._scan_id, first, frame, encoding))
        if "second_series" in actions:
            self._post(list(frames_message(f"foreign-{self._scan_id}"[:64], first, frame, encoding)))
        if "corrupt" in actions:
            message = self._corrupted(first, frame, encoding)
        elif "truncate" in actions:
            message = [message[0], message[1][: len(message[1]) // 2]]
        if "reorder" in actions:
            self._held.append((first, message))
            return
        whole = () if SPOILED.intersection(actions) else (first,)
        self._send(message, whole)
        if "duplicate" in actions:
            again = frame if self._second_copy is None else self._second_copy(frame)
            self._send(list(frames_message(self._scan_id, first, again, encoding)), whole)

    def _post(self, message: Message) -> None:
        self._sender.send_parts(message)
        self.messages += 1

    def _send(self, message: Message, whole: Sequence[int]) -> None:
        """Send a message, which brings these frames whole, and what was held back."""
        self._post(message)
        self._note(whole)
        self._release()

    def _release(self) -> None:
        held, self._held = self._held, []
        for number, message in held:
            self._post(message)
            self._note((number,))

    def _note(self, whole: Sequence[int]) -> None:
        # before its start a scan is not known, and what comes of it is lost
        if self._start is not None:
            self.record.astray += len(whole)
            return
        for number in whole:
            self.record.left(number)

    def _corrupted(self, first: int, frame: Block, encoding: Encoding) -> Message:
        how = CORRUPTIONS[self._random.integers(len(CORRUPTIONS))]
        self.corrupted.append((first, how))
        payload = pack(frame, encoding)
        if how == "header":
            # 0xc1 is the one byte that MessagePack never uses
            return [b"\xc1" + self._random.bytes(40), payload]
        rows, columns = frame.shape[1:]
        changed: dict[Corruption, dict[str, Any]] = {
            "dtype": {"dtype": "uint8" if frame.dtype == np.float32 else "float32"},
            "shape": {"shape": (rows + 1, columns)},
            "index": {"first_index": first + FAR_AWAY},
            "scan_id": {"scan_id": "not-" + self._scan_id[:60]},
            "encoding": {"encoding": "lz4" if encoding != "lz4" else "bslz4"},
        }
        fields: dict[str, Any] = {
            "scan_id": self._scan_id,
            "first_index": first,
            "count": 1,
            "shape": (rows, columns),
            "dtype": frame.dtype.name,
            "encoding": encoding,
        }
        return [encode(Frames.model_validate(fields | changed[how])), payload]
