import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import zmq

from livestrain_simulator.errors import NobodyListens
from livestrain_simulator.send import Sending, send_scan
from livestrain_simulator.sender import IN_FLIGHT_BYTES, FrameSender, frames_message, pack
from livestrain_wire.messages import Encoding, FrameDtype, ScanStart
from simulator.receiving import receiving

ENCODINGS: tuple[Encoding, ...] = ("raw", "lz4", "bslz4")
DTYPES: tuple[FrameDtype, ...] = ("uint8", "uint16", "uint32", "float32")


def counts(dtype: str, frames: int = 12, rows: int = 20, columns: int = 31) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).poisson(3.0, (frames, rows, columns)).astype(dtype)


def start_of(frames: np.ndarray[Any, Any], **fields: Any) -> ScanStart:
    return ScanStart(
        scan_id="one", scan_shape=(1, len(frames)), frame_shape=frames.shape[1:], dtype=frames.dtype.name, **fields
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_frames_arrive_with_the_same_bits(encoding: Encoding, dtype: FrameDtype) -> None:
    frames = counts(dtype)
    with receiving() as receiver, FrameSender(receiver.endpoint) as sender:
        sent = send_scan(sender, start_of(frames), [frames], Sending(encoding, frames_per_message=5))
        start, received, end = receiver.whole_scan()
    assert received.tobytes() == frames.tobytes()
    assert (start.dtype, end.reason, end.frames_sent) == (dtype, "complete", 12)
    assert (sent.frames, sent.messages, sent.bytes, sent.aborted) == (12, 3, frames.nbytes, False)


def test_big_endian_and_strided_blocks_are_sent_little_endian_and_contiguous() -> None:
    frames = counts("uint16")
    for block in (frames.astype(">u2"), np.asfortranarray(frames), np.repeat(frames, 2, axis=2)[:, :, ::2]):
        assert bytes(pack(block, "raw")) == frames.astype("<u2").tobytes()


def test_a_contiguous_block_is_packed_without_a_copy() -> None:
    frames = counts("uint16")
    assert np.shares_memory(np.asarray(pack(frames, "raw")), frames)


def test_pixels_of_another_type_are_refused() -> None:
    with pytest.raises(ValueError, match="found float64"):
        pack(counts("float64"), "raw")


def test_explicit_positions_travel_with_the_start() -> None:
    frames = counts("uint8", frames=4)
    positions = np.array([3, 1, 0, 2])
    with receiving() as receiver, FrameSender(receiver.endpoint) as sender:
        send_scan(sender, start_of(frames, order="explicit"), [frames], Sending(), positions)
        (_, parts), *_ = receiver.scan()
    assert np.frombuffer(parts[0], "<u4").tolist() == [3, 1, 0, 2]


def test_explicit_order_and_positions_come_together_or_not_at_all() -> None:
    frames = counts("uint8", frames=4)
    with receiving() as receiver, FrameSender(receiver.endpoint) as sender:
        with pytest.raises(ValueError, match="explicit"):
            sender.start(start_of(frames), np.arange(4))
        with pytest.raises(ValueError, match="explicit"):
            sender.start(start_of(frames, order="explicit"))


def test_a_scan_can_stop_short_and_says_so() -> None:
    frames = counts("uint8")
    with receiving() as receiver, FrameSender(receiver.endpoint) as sender:
        sent = send_scan(sender, start_of(frames), [frames], Sending(frames_per_message=5, abort_at=7))
        _, received, end = receiver.whole_scan()
    np.testing.assert_array_equal(received, frames[:7])
    assert (end.reason, end.frames_sent, sent.aborted) == ("aborted", 7, True)


def test_a_source_that_fails_in_the_middle_ends_the_scan_as_aborted() -> None:
    frames = counts("uint8")

    def failing() -> Iterator[Any]:
        yield frames[:3]
        raise OSError("the disk is gone")

    with receiving() as receiver:
        with FrameSender(receiver.endpoint) as sender, pytest.raises(OSError, match="the disk is gone"):
            send_scan(sender, start_of(frames), failing(), Sending())
        _, received, end = receiver.whole_scan()
    assert len(received) == 3
    assert end.reason == "aborted"


def test_a_source_that_fails_at_once_begins_no_scan() -> None:
    frames = counts("uint8")

    def failing() -> Iterator[Any]:
        if frames.size:
            raise OSError("no such disk")
        yield frames

    with receiving() as receiver:
        with FrameSender(receiver.endpoint) as sender, pytest.raises(OSError, match="no such disk"):
            send_scan(sender, start_of(frames), failing(), Sending())
        assert not receiver.socket.poll(50)


def test_two_scans_can_follow_on_one_sender() -> None:
    frames = counts("uint8")
    with receiving() as receiver, FrameSender(receiver.endpoint) as sender:
        for _ in range(2):
            send_scan(sender, start_of(frames), [frames], Sending())
            np.testing.assert_array_equal(receiver.whole_scan()[1], frames)


def test_nobody_listening_is_said_within_the_waiting_time() -> None:
    with receiving() as receiver:
        nowhere = receiver.endpoint
    begin = time.monotonic()
    with pytest.raises(NobodyListens, match=r"within 0\.2 s"), FrameSender(nowhere, wait_seconds=0.2) as sender:
        send_scan(sender, start_of(counts("uint8")), [counts("uint8")], Sending())
    assert time.monotonic() - begin < 5


def test_a_receiver_that_takes_nothing_holds_the_sender_back_in_bounded_memory() -> None:
    block = np.zeros((64, 256, 256), np.uint16)
    taken = []

    def endless() -> Iterator[Any]:
        while True:
            taken.append(block.nbytes)
            yield block

    with (
        receiving(queued_messages=1) as receiver,
        pytest.raises(NobodyListens, match="nobody accepted frames"),
        FrameSender(receiver.endpoint, block.nbytes, wait_seconds=0.3) as sender,
    ):
        send_scan(sender, start_of(block), endless(), Sending(frames_per_message=64))
    # what lies in the socket, and what the kernel and the receiver hold
    assert sum(taken) < IN_FLIGHT_BYTES + (48 << 20)


def test_a_sender_can_wait_for_receivers_to_connect() -> None:
    frames = counts("uint16")
    context = zmq.Context()
    with receiving() as other:
        endpoint = other.endpoint
    pull = context.socket(zmq.PULL)
    pull.connect(endpoint)
    with FrameSender(endpoint, bind=True) as sender:
        send_scan(sender, start_of(frames), [frames], Sending())
        parts = [pull.recv_multipart() for _ in range(3)]
    assert parts[1][1] == frames.tobytes()
    pull.close()
    context.term()


def test_a_rate_is_kept() -> None:
    frames = counts("uint8", frames=40)
    with receiving() as receiver, FrameSender(receiver.endpoint) as sender:
        sent = send_scan(sender, start_of(frames), [frames], Sending(frames_per_message=1, frames_per_second=200.0))
    assert sent.seconds >= 39 / 200
    assert sent.frames_per_second < 206


def test_a_message_says_what_it_holds() -> None:
    frames = counts("uint8")
    header, payload = frames_message("one", 7, frames)
    assert b"first_index\x07" in header
    assert len(payload) == frames.nbytes
