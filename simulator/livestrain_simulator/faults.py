"""Mistakes on purpose: a sender that loses, repeats, delays and damages the frames it is told to."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.sender import FrameSender, frames_message, pack
from livestrain_wire.codec import encode
from livestrain_wire.messages import Encoding, Frames, ScanStart

Block = NDArray[Any]
Fault = Literal["drop", "duplicate", "reorder", "corrupt", "truncate"]
Corruption = Literal["header", "dtype", "shape", "index", "scan_id", "encoding"]
FAULTS: tuple[Fault, ...] = ("drop", "duplicate", "reorder", "corrupt", "truncate")
CORRUPTIONS: tuple[Corruption, ...] = ("header", "dtype", "shape", "index", "scan_id", "encoding")
FAR_AWAY = 1 << 40
"""Added to a frame number, it lies in no scan."""


@dataclass
class FaultRecord:
    """What was done to which frame numbers, in the order in which it was done."""

    dropped: list[int] = field(default_factory=list)
    """Never sent."""
    duplicated: list[int] = field(default_factory=list)
    """Sent twice."""
    reordered: list[int] = field(default_factory=list)
    """Sent after the message that should have followed them."""
    truncated: list[int] = field(default_factory=list)
    """Sent with half of their payload."""
    corrupted: list[tuple[int, Corruption]] = field(default_factory=list)
    """Sent with a wrong header, and what was wrong in it."""

    def lost(self) -> list[int]:
        """Numbers of the frames that no receiver can have, ascending."""
        return sorted([*self.dropped, *self.truncated, *(number for number, _ in self.corrupted)])

    def counts(self) -> dict[str, int]:
        """How many frames of each kind."""
        return {kind: len(numbers) for kind, numbers in asdict(self).items()}


def choose_faults(rates: Mapping[Fault, float], frames: int, seed: int) -> dict[int, Fault]:
    """
    Frames that something will happen to, and what: one fault per frame at most.

    Parameters
    ----------
    rates
        Probability of each fault per frame; together at most 1.
    frames
        Frames in the scan.
    seed
        Decides which.
    """
    edges = np.cumsum([rates.get(fault, 0.0) for fault in FAULTS])
    if min(rates.values(), default=0.0) < 0 or edges[-1] > 1 + 1e-9:
        raise ValueError(f"probabilities lie in 0 to 1, and so does their sum, found {dict(rates)}")
    picks = np.searchsorted(edges, np.random.default_rng(seed).random(frames), side="right")
    return {int(number): FAULTS[picks[number]] for number in np.flatnonzero(picks < len(FAULTS))}


class FaultySender:
    """
    Sends a scan like the sender that it wraps, except for chosen frames.

    A faulty frame travels in a message of its own; healthy frames travel between them as usual.

    Parameters
    ----------
    sender
        What to send with.
    faults
        What happens to which frame number.
    seed
        Decides how frames are corrupted.
    """

    def __init__(self, sender: FrameSender, faults: Mapping[int, Fault], seed: int = 0) -> None:
        self.record = FaultRecord()
        """What has been done so far."""
        self._sender = sender
        self._faults = faults
        self._random = np.random.default_rng((seed, 1))
        self._scan_id = ""
        self._held: list[list[Any]] = []

    def start(self, start: ScanStart, positions: NDArray[Any] | None = None) -> None:
        """Announce a scan."""
        self._scan_id = start.scan_id
        self._sender.start(start, positions)

    def frames(self, first_index: int, block: Block, encoding: Encoding = "raw") -> None:
        """Send consecutive frames, with what is to happen to them."""
        for first, part in self._split(first_index, block):
            fault = self._faults.get(first)
            message = list(frames_message(self._scan_id, first, part, encoding))
            if fault is None:
                self._send(message)
            elif fault == "drop":
                self.record.dropped.append(first)
            elif fault == "duplicate":
                self.record.duplicated.append(first)
                self._send(message)
                self._send(message)
            elif fault == "reorder":
                self.record.reordered.append(first)
                self._held.append(message)
            elif fault == "truncate":
                self.record.truncated.append(first)
                self._send([message[0], message[1][: len(message[1]) // 2]])
            else:
                self._send(self._corrupted(first, part, encoding))

    def end(self, reason: Literal["complete", "aborted"] = "complete", frames_sent: int | None = None) -> None:
        """Send what was held back, and announce the end."""
        self._release()
        self._sender.end(reason, frames_sent)

    def flush(self) -> None:
        """Wait until everything has left."""
        self._sender.flush()

    def hurry(self) -> None:
        """Pass it on."""
        self._sender.hurry()

    def _split(self, first_index: int, block: Block) -> Iterator[tuple[int, Block]]:
        """Healthy runs and single faulty frames, in order."""
        begin = 0
        for offset in range(len(block)):
            if first_index + offset in self._faults:
                if offset > begin:
                    yield first_index + begin, block[begin:offset]
                yield first_index + offset, block[offset : offset + 1]
                begin = offset + 1
        if begin < len(block):
            yield first_index + begin, block[begin:]

    def _send(self, message: list[Any]) -> None:
        self._sender.send_parts(message)
        self._release()

    def _release(self) -> None:
        held, self._held = self._held, []
        for message in held:
            self._sender.send_parts(message)

    def _corrupted(self, first: int, frame: Block, encoding: Encoding) -> list[Any]:
        how = CORRUPTIONS[self._random.integers(len(CORRUPTIONS))]
        self.record.corrupted.append((first, how))
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
