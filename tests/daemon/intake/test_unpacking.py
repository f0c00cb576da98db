"""Frames that are packed one by one: the same pixels and the same refusals as one at a time."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.frames_out import packed
from helpers.hostile import hostile_payloads
from livestrain_daemon.intake import unpacking
from livestrain_daemon.intake.payload import PayloadError
from livestrain_daemon.intake.unpacking import Unpacker
from livestrain_wire.messages import Encoding, FrameDtype

MIB = 1 << 20
SHAPES = [(1, 1), (13, 17), (96, 96), (128, 128)]


def noise(dtype: str, shape: tuple[int, int], frames: int = 5) -> NDArray[Any]:
    return np.random.default_rng(7).poisson(1.0, (frames, *shape)).astype(dtype)


def payloads(frames: NDArray[Any], encoding: Encoding) -> list[memoryview]:
    return [memoryview(packed(frame[np.newaxis], encoding)) for frame in frames]


def pixels(found: Any, shape: tuple[int, int], dtype: str) -> NDArray[Any]:
    if isinstance(found, np.ndarray):
        return found.copy()
    return np.stack([np.frombuffer(part, dtype).reshape(shape) for part in found])


@pytest.mark.parametrize("encoding", ["raw", "lz4", "bslz4"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_frame_is_unpacked(encoding: Encoding, dtype: FrameDtype, shape: tuple[int, int]) -> None:
    sent = noise(dtype, shape)
    unpacker = Unpacker(shape, dtype)
    for frames in (sent, sent[:2], sent[::-1]):
        found = unpacker.unpacked(payloads(frames, encoding), encoding, MIB)
        np.testing.assert_array_equal(pixels(found, shape, dtype), frames)


def test_a_library_that_lets_nobody_call_it_is_used_through_its_wrapper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "bslz4_unpacker", lambda: None)
    sent = noise("uint16", (96, 96))
    found = Unpacker((96, 96), "uint16").unpacked(payloads(sent, "bslz4"), "bslz4", MIB)
    np.testing.assert_array_equal(pixels(found, (96, 96), "uint16"), sent)


@pytest.mark.parametrize("at", [0, 2, 4])
@pytest.mark.parametrize("shape", [(4, 5), (128, 128)])
def test_a_hostile_frame_among_good_ones_is_refused(shape: tuple[int, int], at: int) -> None:
    for name, encoding, hostile in hostile_payloads(shape[0] * shape[1], 2):
        kind: Encoding = encoding  # type: ignore[assignment]
        among = payloads(noise("uint16", shape), kind)
        among[at] = memoryview(hostile)
        with pytest.raises(PayloadError, match="expected") as error:
            Unpacker(shape, "uint16").unpacked(among, kind, MIB)
        assert error.value.kind in {"wrong_size", "bad_encoding"}, name


@pytest.mark.parametrize("encoding", ["raw", "lz4", "bslz4"])
def test_frames_cannot_ask_for_more_memory_than_a_message_may_have(encoding: Encoding) -> None:
    frames = payloads(noise("uint16", (128, 128)), encoding)
    Unpacker((128, 128), "uint16").unpacked(frames, encoding, 5 * 32768)
    with pytest.raises(PayloadError, match="at most 163839 bytes"):
        Unpacker((128, 128), "uint16").unpacked(frames, encoding, 5 * 32768 - 1)
