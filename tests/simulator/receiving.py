"""The other end of the frames port, for tests: takes messages as they are and unpacks them by the published formats."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bitshuffle
import lz4.block
import numpy as np
import zmq
from numpy.typing import NDArray

from livestrain_wire.codec import decode
from livestrain_wire.errors import WireError
from livestrain_wire.messages import FRAME_MESSAGES, Frames, Message, ScanEnd, ScanStart

DEADLINE_MS = 20_000


@dataclass
class Receiver:
    """A bound PULL socket."""

    endpoint: str
    socket: "zmq.Socket[bytes]"

    def message(self) -> list[bytes]:
        """The next message, in parts."""
        assert self.socket.poll(DEADLINE_MS), "no message came"
        return self.socket.recv_multipart()

    def scan(self) -> list[tuple[Message | None, list[bytes]]]:
        """Messages up to the end of a scan, None where a header cannot be decoded."""
        messages: list[tuple[Message | None, list[bytes]]] = []
        while not messages or not isinstance(messages[-1][0], ScanEnd):
            parts = self.message()
            try:
                header: Message | None = decode(parts[0], FRAME_MESSAGES)
            except WireError:
                header = None
            messages.append((header, parts[1:]))
        return messages

    def whole_scan(self) -> tuple[ScanStart, NDArray[Any], ScanEnd]:
        """A scan without mistakes: its start, its frames and its end."""
        (start, _), *frames, (end, _) = self.scan()
        assert isinstance(start, ScanStart)
        assert isinstance(end, ScanEnd)
        blocks: list[NDArray[Any]] = []
        for header, payload in frames:
            assert isinstance(header, Frames)
            assert header.first_index == sum(len(block) for block in blocks)
            blocks.append(unpack(header, payload[0]))
        empty = np.empty((0, *start.frame_shape), start.dtype)
        return start, np.concatenate(blocks) if blocks else empty, end


@contextmanager
def receiving(queued_messages: int = 1000) -> Iterator[Receiver]:
    """A receiver on a port of its own."""
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    socket.rcvhwm = queued_messages
    try:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        yield Receiver(f"tcp://127.0.0.1:{port}", socket)
    finally:
        socket.close(linger=0)
        context.term()


def unpack(header: Frames, payload: bytes) -> NDArray[Any]:
    """The pixels of a message, as its docstring in `livestrain_wire.messages` describes them."""
    shape = (header.count, *header.shape)
    dtype = np.dtype(header.dtype).newbyteorder("<")
    size = int(np.prod(shape)) * dtype.itemsize
    if header.encoding == "raw":
        return np.frombuffer(payload, dtype).reshape(shape)
    if header.encoding == "lz4":
        return np.frombuffer(lz4.block.decompress(payload, uncompressed_size=size), dtype).reshape(shape)
    whole, block_bytes = struct.unpack(">QI", payload[:12])
    assert whole == size
    packed = np.frombuffer(payload, np.uint8, offset=12)
    unpacked: NDArray[Any] = bitshuffle.decompress_lz4(packed, shape, dtype, block_bytes // dtype.itemsize)
    return unpacked
