"""The sending end of the frames port: scans as messages of `livestrain_wire`, on a PUSH socket."""

import struct
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import zmq
from numpy.typing import NDArray
from zmq.utils.monitor import recv_monitor_message

from livestrain_simulator.errors import NobodyListens
from livestrain_wire.closing import MOMENT_MS
from livestrain_wire.codec import encode
from livestrain_wire.messages import Encoding, Frames, ScanEnd, ScanStart

IN_FLIGHT_BYTES = 64 << 20
"""Payload that may wait in the socket at any time [bytes]."""
HURRY_MS = 2000
"""A sender that is told to go gives a receiver so long to take the end of the scan [ms]."""
BSLZ4_BLOCK_BYTES = 8192
DTYPES = ("uint8", "uint16", "uint32", "float32")


class FrameSender:
    """
    Sends scans to a receiver of frames.

    Blocks handed to it are sent without a copy: their memory must not change afterwards.

    Parameters
    ----------
    endpoint
        Where the receiver is, for example ``tcp://127.0.0.1:5550``.
    message_bytes
        Largest payload that will be sent; bounds the messages in flight to 64 MiB of memory [bytes].
    wait_seconds
        How long a receiver may take to accept a message [s].
    linger_seconds
        How long closing may take to hand over what is in flight [s].
    bind
        Wait for receivers to connect, instead of connecting to one.
    """

    def __init__(
        self,
        endpoint: str,
        message_bytes: int = 1 << 20,
        wait_seconds: float = 30.0,
        linger_seconds: float = 10.0,
        bind: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self._wait_ms = round(wait_seconds * 1000)
        self._scan_id = ""
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.PUSH)
        self._socket.sndhwm = max(2, IN_FLIGHT_BYTES // max(1, message_bytes))
        self._socket.sndtimeo = self._wait_ms
        self._linger_ms = round(linger_seconds * 1000)
        self._socket.linger = self._linger_ms
        self._monitor: zmq.Socket[bytes] | None = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        try:
            if bind:
                self._socket.bind(endpoint)
            else:
                self._socket.connect(endpoint)
        except zmq.ZMQError:
            self._stop_monitor()
            self._context.destroy(linger=0)
            raise
        self._last: zmq.MessageTracker | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # what failed to be taken will not be taken now
            self._socket.linger = MOMENT_MS
        self.close()

    def wait_for_receiver(self) -> None:
        """
        Return once a receiver is connected.

        Raises
        ------
        NobodyListens
            If none is within the waiting time.
        """
        if self._monitor is None:
            return
        if not self._monitor.poll(self._wait_ms):
            raise NobodyListens(f"nobody accepted frames at {self.endpoint} within {self._wait_ms / 1000:g} s")
        recv_monitor_message(self._monitor)
        self._stop_monitor()

    def start(self, start: ScanStart, positions: NDArray[Any] | None = None) -> None:
        """
        Announce a scan, after waiting for a receiver.

        Parameters
        ----------
        start
            What the scan is.
        positions : (frames,)
            The flat scan position of every frame; needed by the explicit order, and by no other.
        """
        if (start.order == "explicit") != (positions is not None):
            raise ValueError(f"positions go with the explicit order, found {start.order}")
        self.wait_for_receiver()
        self._scan_id = start.scan_id
        payload = [] if positions is None else [np.ascontiguousarray(positions, dtype="<u4")]
        self.send_parts([encode(start), *payload])

    def frames(self, first_index: int, block: NDArray[Any], encoding: Encoding = "raw") -> None:
        """
        Send consecutive frames as one message.

        Parameters
        ----------
        first_index
            Number of the first frame.
        block : (count, rows, columns)
            Frames [counts].
        encoding
            How the payload is packed.
        """
        header, payload = frames_message(self._scan_id, first_index, block, encoding)
        self.send_parts([header, payload])

    def end(self, reason: Literal["complete", "aborted"] = "complete", frames_sent: int | None = None) -> None:
        """Announce that no more frames of the scan will come."""
        packed = encode(ScanEnd(scan_id=self._scan_id, reason=reason, frames_sent=frames_sent))
        # below its usual threshold pyzmq copies, and a copy cannot be tracked
        self.send_parts([zmq.Frame(packed, track=True, copy=False, copy_threshold=0)])

    def send_parts(self, parts: list[Any]) -> None:
        """
        Send the parts of a message as they are.

        Raises
        ------
        NobodyListens
            If it is not accepted within the waiting time.
        """
        try:
            self._socket.send_multipart(parts, copy=False)
        except zmq.Again as error:
            raise NobodyListens(f"nobody accepted frames at {self.endpoint} for {self._wait_ms / 1000:g} s") from error
        last = parts[-1]
        self._last = last.tracker if isinstance(last, zmq.Frame) else None

    def flush(self) -> None:
        """
        Return once the end of the scan, and so all before it, has left for the receiver.

        Raises
        ------
        NobodyListens
            If it has not within the linger time.
        """
        try:
            if self._last is not None:
                self._last.wait(self._linger_ms / 1000)
        except zmq.NotDone as error:
            raise NobodyListens(f"the end of scan {self._scan_id} was not taken at {self.endpoint}") from error

    def hurry(self) -> None:
        """From now on wait for no receiver longer than two seconds."""
        self._wait_ms = min(self._wait_ms, HURRY_MS)
        self._linger_ms = min(self._linger_ms, HURRY_MS)
        self._socket.sndtimeo = self._wait_ms

    def close(self) -> None:
        """Hand over what is in flight, within the linger time, and close the socket."""
        self._stop_monitor()
        self._socket.close()
        self._context.term()

    def _stop_monitor(self) -> None:
        if self._monitor is not None:
            self._socket.disable_monitor()
            # an open monitor would keep its context from ending
            self._monitor.close(linger=0)
            self._monitor = None


def frames_message(
    scan_id: str, first_index: int, block: NDArray[Any], encoding: Encoding = "raw"
) -> tuple[bytes, memoryview | bytes]:
    """Header and payload of the message that carries a block of (count, rows, columns) frames."""
    count, rows, columns = block.shape
    header = Frames.model_validate(
        {
            "scan_id": scan_id,
            "first_index": first_index,
            "count": count,
            "shape": (rows, columns),
            "dtype": block.dtype.name,
            "encoding": encoding,
        }
    )
    return encode(header), pack(block, encoding)


def pack(block: NDArray[Any], encoding: Encoding) -> memoryview | bytes:
    """
    Pixels as the payload of a `Frames` message.

    Parameters
    ----------
    block
        Pixels of uint8, uint16, uint32 or float32.
    encoding
        ``raw`` shares the memory of a contiguous little-endian block.
    """
    if block.dtype.name not in DTYPES:
        raise ValueError(f"frames are {', '.join(DTYPES)}, found {block.dtype.name}")
    pixels = np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("<"))
    if encoding == "raw":
        return pixels.reshape(-1).view(np.uint8).data
    if encoding == "lz4":
        import lz4.block  # noqa: PLC0415 - only this encoding needs it

        packed: bytes = lz4.block.compress(pixels.data, store_size=False)
        return packed
    import bitshuffle  # noqa: PLC0415 - only this encoding needs it

    block_items = BSLZ4_BLOCK_BYTES // pixels.itemsize
    head = struct.pack(">QI", pixels.nbytes, BSLZ4_BLOCK_BYTES)
    return head + bytes(bitshuffle.compress_lz4(pixels.reshape(-1), block_items).data)
