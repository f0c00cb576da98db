"""A small sender of frames in our own protocol, for tests."""

from types import TracebackType
from typing import Any, Self

import bitshuffle
import lz4.block
import numpy as np
import zmq
from numpy.typing import NDArray

from livestrain_wire.codec import encode
from livestrain_wire.messages import Frames, Message, ScanEnd, ScanStart

Pixels = NDArray[Any]
"""(count, rows, columns)."""


def packed(pixels: Pixels, encoding: str) -> bytes:
    """The payload of a message: these frames in this encoding."""
    if encoding == "raw":
        return pixels.tobytes()
    if encoding == "lz4":
        return bytes(lz4.block.compress(pixels.tobytes(), store_size=False))
    block_bytes = 8192
    blocks = bitshuffle.compress_lz4(np.ascontiguousarray(pixels), block_bytes // pixels.itemsize)
    return pixels.nbytes.to_bytes(8, "big") + block_bytes.to_bytes(4, "big") + bytes(blocks)


class FramesOut:
    """
    Pushes messages to a daemon's frames socket.

    Parameters
    ----------
    endpoint
        Of the daemon.
    """

    def __init__(self, endpoint: str) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
        self._socket.set(zmq.LINGER, 5000)
        self._socket.set(zmq.SNDTIMEO, 20000)
        self._socket.connect(endpoint)

    def parts(self, *parts: bytes) -> None:
        """Send any bytes."""
        self._socket.send_multipart(parts)

    def message(self, message: Message, payload: bytes | None = None) -> None:
        """Send a message, and its payload if it has one."""
        self.parts(encode(message), *([] if payload is None else [payload]))

    def start(self, scan_id: str, scan_shape: tuple[int, int], frames: Pixels, **more: Any) -> None:
        """Start a scan of such frames; ``positions`` (uint32) makes the order explicit."""
        positions = more.pop("positions", None)
        if positions is not None:
            more["order"] = "explicit"
        start = ScanStart(
            scan_id=scan_id, scan_shape=scan_shape, frame_shape=frames.shape[1:], dtype=frames.dtype.name, **more
        )
        self.message(start, None if positions is None else np.asarray(positions, "<u4").tobytes())

    def frames(self, scan_id: str, first: int, pixels: Pixels, encoding: str = "raw", **wrong: Any) -> None:
        """Send frames from number ``first`` on in one message; ``wrong`` overrides fields or the ``payload``."""
        payload = wrong.pop("payload", None)
        fields = {
            "scan_id": scan_id,
            "first_index": first,
            "count": len(pixels),
            "shape": pixels.shape[1:],
            "dtype": pixels.dtype.name,
            "encoding": encoding,
        } | wrong
        self.message(Frames.model_validate(fields), packed(pixels, encoding) if payload is None else payload)

    def end(self, scan_id: str, **more: Any) -> None:
        """End a scan."""
        self.message(ScanEnd(scan_id=scan_id, **more))

    def close(self) -> None:
        """Let go of the socket after what was sent has left."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
