"""Protocols over ZeroMQ: our own, and both streams of a DECTRIS detector."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from types import ModuleType
from typing import Any

import numpy as np
import zmq
from numpy.typing import NDArray

from livestrain_simulator.emulators.dectris import legacy, stream2
from livestrain_simulator.emulators.dectris.cbor import Encoded
from livestrain_simulator.emulators.dectris.packing import Compression
from livestrain_simulator.emulators.dectris.series import Series, Setting
from livestrain_simulator.packed.frames import Stream
from livestrain_simulator.sender import pack
from livestrain_wire.closing import MOMENT_MS
from livestrain_wire.codec import encode
from livestrain_wire.messages import Encoding as NativeEncoding
from livestrain_wire.messages import Frames, ScanEnd, ScanStart

WAITING_MESSAGES = 64
"""Messages that the socket holds."""

Parts = Sequence[Any]

NATIVE: dict[str, NativeEncoding] = {"none": "raw", "lz4": "lz4", "bslz4": "bslz4"}
_NOTHING = Encoded(b"")
PACKINGS: dict[str, Compression] = {"none": "none", "lz4": "lz4", "bslz4": "bslz4"}
CONFIG: dict[str, Setting] = {
    "description": "livestrain benchmark",
    "detector_number": "E-00-0000",
    "count_time": 1e-5,
    "frame_time": 1e-5,
    "incident_energy": 200_000.0,
}


class QueuedSender:
    """
    Sends messages over a PUSH socket.

    Parameters
    ----------
    socket
        Bound or connected.
    port
        Where.
    scan
        The messages of the scan of a number.
    """

    def __init__(self, socket: "zmq.Socket[bytes]", port: int, scan: Callable[[int], Iterable[Parts]]) -> None:
        self._socket = socket
        self._scan = scan
        self._number = 0
        self._prepared: Iterable[Parts] = ()
        self.port = port

    def prepare(self) -> None:
        """Make what is sent next, before the time is taken."""
        self._number += 1
        self._prepared = self._scan(self._number)

    def send(self) -> None:
        """Send a scan."""
        for parts in self._prepared:
            if len(parts) == 1:
                self._socket.send(parts[0], copy=False)
            else:
                self._socket.send_multipart(parts, copy=False)

    def close(self) -> None:
        """Throw away what nobody has taken."""
        self._socket.context.destroy(linger=MOMENT_MS)


def native_sender(stream: Stream, frames: NDArray[Any]) -> QueuedSender:
    """
    A sender of our own protocol, with several frames in each message.

    Parameters
    ----------
    stream
        What is sent.
    frames : (frames, rows, columns)
        Sent again and again.
    """
    per = stream.frames_per_message
    blocks = [
        np.resize(np.roll(frames, -first, axis=0), (per, *frames.shape[1:])) for first in range(0, len(frames), per)
    ]
    encoding = NATIVE[stream.encoding]
    payloads = [bytes(pack(block, encoding)) for block in blocks]

    def scan(number: int) -> Iterator[Parts]:
        name, shape = f"bench-{number}", (stream.side, stream.side)
        scan_shape = (stream.frames // stream.columns, stream.columns)
        yield [encode(ScanStart(scan_id=name, scan_shape=scan_shape, frame_shape=shape, dtype="uint16"))]
        for first in range(0, stream.frames, per):
            message = Frames.model_construct(
                scan_id=name, first_index=first, count=per, shape=shape, dtype="uint16", encoding=encoding
            )
            yield [encode(message), payloads[first // per % len(payloads)]]
        yield [encode(ScanEnd(scan_id=name, frames_sent=stream.frames))]

    socket = _socket()
    socket.connect(f"tcp://127.0.0.1:{stream.port}")
    return QueuedSender(socket, stream.port, scan)


def dectris_sender(stream: Stream, frames: NDArray[Any]) -> QueuedSender:
    """
    A sender of either stream of a DECTRIS detector, one image a message.

    Parameters
    ----------
    stream
        What is sent.
    frames : (frames, rows, columns)
        Sent again and again.
    """
    made: ModuleType = legacy if stream.form == "dectris-v1" else stream2

    def series(number: int) -> Series:
        return Series(
            number,
            uuid.uuid4().hex,
            stream.frames,
            frame_shape=(stream.side, stream.side),
            dtype=frames.dtype.name,
            compression=PACKINGS[stream.encoding],
            detail="basic",
            channels=("threshold_1",),
            mask=np.zeros(frames.shape[1:], np.uint32),
            config={**CONFIG, "nimages": stream.frames, "ntrigger": 1, "trigger_mode": "exts"},
        )

    contents = [made.packed(series(0), {"threshold_1": frame}) for frame in frames]
    slots = _Slots(contents) if made is stream2 else None

    def scan(number: int) -> Iterable[Parts]:
        told = series(number)
        images: Iterable[Parts]
        if slots is not None:
            images = slots.messages(told)
        else:
            images = [made.image_message(told, image, contents[image % len(contents)]) for image in range(told.frames)]
        return chain([made.start_message(told)], images, [made.end_message(told)])

    socket = _socket()
    socket.bind(f"tcp://127.0.0.1:{stream.port or '*'}")
    return QueuedSender(socket, int(socket.get_string(zmq.LAST_ENDPOINT).rpartition(":")[2]), scan)


class _Slots:
    """
    Messages of stream v2 that are changed in place: the image in them is the same, what is before it is not.

    There are more of them than messages that can be on their way.

    Parameters
    ----------
    contents
        The channels of every image.
    """

    def __init__(self, contents: Sequence[Encoded]) -> None:
        self._contents = contents
        self._buffers: list[bytearray] = []
        self._messages: list[zmq.Frame] = []
        self._head_bytes = 0

    def messages(self, series: Series) -> Iterator[Parts]:
        """The messages of all images, made now but for being put together."""
        heads = [stream2.image_message(series, image, _NOTHING)[0] for image in range(series.frames)]
        return ([self._message(head, image)] for image, head in enumerate(heads))

    def _message(self, head: bytes, image: int) -> zmq.Frame:
        if len(head) != self._head_bytes:
            self._lay_out(len(head))
        slot = image % len(self._buffers)
        self._buffers[slot][: len(head)] = head
        return self._messages[slot]

    def _lay_out(self, head_bytes: int) -> None:
        times = -(-3 * WAITING_MESSAGES // len(self._contents))
        self._head_bytes = head_bytes
        whole = [bytes(head_bytes) + one.content for one in self._contents]
        self._buffers = [bytearray(one) for _ in range(times) for one in whole]
        self._messages = [zmq.Frame(buffer, copy=False) for buffer in self._buffers]


def _socket() -> "zmq.Socket[bytes]":
    socket: zmq.Socket[bytes] = zmq.Context().socket(zmq.PUSH)
    socket.sndhwm = WAITING_MESSAGES
    return socket
