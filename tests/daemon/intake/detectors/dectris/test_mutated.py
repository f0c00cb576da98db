"""Series of which anything at all may be wrong, from their messages to what the session takes: nothing raises."""

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from livestrain_daemon.intake.detectors.arrivals import Scans
from livestrain_daemon.intake.detectors.dectris.legacy import LegacyDecoder
from livestrain_daemon.intake.detectors.dectris.series import SeriesTracker
from livestrain_daemon.intake.detectors.dectris.stream2 import MessageDecoder
from livestrain_daemon.intake.detectors.dectris.told import BadMessage
from livestrain_daemon.intake.detectors.events import DetectorEvent, Trouble
from livestrain_daemon.intake_config import ScanGeometry
from livestrain_simulator.emulators.dectris import packing
from livestrain_simulator.emulators.dectris.cbor import Tag, encode
from livestrain_wire import codec
from livestrain_wire.messages import Frames, Message

ROUNDS = 600
IMAGES = 4
LARGEST = 1 << 24
TAGS = [1, 40, 64, 69, 70, 85, 56500, 55799]
NUMBERS = [None, True, False, 0, -1, 1, 4, 1 << 31, 1 << 40, 1 << 62, (1 << 64) - 1, -(1 << 64), 1.5, 1e300]
TEXTS = [float("nan"), float("inf"), "", "x", "a\0b\n", "x" * 300, "uint8", "none", "<", "lz4<", "bs8-lz4<", "all"]
OTHERS = [[], {}, [4, 4], [1 << 16, 1 << 16], [[4]], {"a": 1}]
OF_CBOR: list[Any] = [*NUMBERS, *TEXTS, *OTHERS, b"", b"abc", Tag(1, 5), {5: 6}]
OF_JSON: list[Any] = [*NUMBERS, *TEXTS, *OTHERS, 10**100, "\ud800"]
EMPTY = np.zeros((4, 4), np.uint8)
PACKED = {"<": EMPTY.tobytes(), "lz4<": packing.lz4_block(EMPTY), "bs8-lz4<": packing.bslz4(EMPTY)}
"""Pixels of an image by the encodings of stream v1."""
GEOMETRIES = [
    ScanGeometry(),
    ScanGeometry(shape=(2, 2)),
    ScanGeometry(shape=(2, 2), repeat=True),
    ScanGeometry(flyback_frames=1, skip_frames=1),
]


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  no secrets are made of it


class Mutator:
    """
    Changes some values in a message.

    Parameters
    ----------
    draw
        Says which.
    values
        To take instead.
    rate
        Of values that are changed; 0 for none.
    """

    def __init__(self, draw: random.Random, values: list[Any], rate: float) -> None:
        self._draw = draw
        self._values = values
        self._rate = rate

    def changed(self, value: Any) -> Any:
        if self._is_chosen():
            return self._draw.choice(self._values)
        if isinstance(value, dict):
            kept = {key: item for key, item in value.items() if not self._is_chosen()}
            return {key: self.changed(item) for key, item in kept.items()}
        if isinstance(value, list):
            return [self.changed(item) for item in value]
        if isinstance(value, Tag):
            number = self._draw.choice(TAGS) if self._is_chosen() else value.number
            return Tag(number, self.changed(value.value))
        if isinstance(value, bytes) and self._is_chosen():
            return value[: self._draw.randrange(len(value) + 1)]
        return value

    def _is_chosen(self) -> bool:
        return self._draw.random() < self._rate


def of_stream_1(draw: random.Random, rate: float) -> list[list[bytes]]:
    series, detail = draw.choice([1, 2]), draw.choice(["none", "basic", "all"])
    config = {"nimages": IMAGES, "ntrigger": 1, "trigger_mode": "exts", "incident_energy": 2e5, "count_time": 1e-3}
    mask = {"htype": "dpixelmask-1.0", "shape": [4, 4], "type": "uint32"}
    flatfield = {"htype": "dflatfield-1.0", "shape": [4, 4], "type": "float32"}
    table = {"htype": "dcountrate_table-1.0", "shape": [], "type": "float32"}
    parts = {"none": 1, "basic": 2, "all": 8}[detail]
    header: list[Any] = [{"htype": "dheader-1.0", "series": series, "header_detail": detail}, config]
    header += [flatfield, bytes(64), mask, bytes(64), table, b""]
    messages: list[list[Any]] = [header[:parts]]
    for number in range(IMAGES):
        encoding = draw.choice(list(PACKED))
        described = {"htype": "dimage_d-1.0", "shape": [4, 4], "type": "uint8", "encoding": encoding, "size": 16}
        first = {"htype": "dimage-1.0", "series": series, "frame": number, "hash": "x"}
        messages.append([first, described, PACKED[encoding], {"htype": "dconfig-1.0"}])
    messages.append([{"htype": "dseries_end-1.0", "series": series}])
    mutator = Mutator(draw, OF_JSON, rate)

    def packed(part: Any) -> bytes:
        changed = mutator.changed(part)
        return changed if isinstance(changed, bytes) else json.dumps(changed).encode()

    return [[packed(part) for part in message] for message in messages]


def of_stream_2(draw: random.Random, rate: float) -> list[list[bytes]]:
    series = draw.choice([1, 2])
    named: dict[str, Any] = {"series_id": series, "series_unique_id": f"u{series}"}
    start = {
        "type": "start",
        **named,
        "channels": ["t"],
        "image_dtype": "uint8",
        "image_size_x": 4,
        "image_size_y": 4,
        "number_of_images": IMAGES,
        "saturation_value": 10,
        "incident_energy": 1e5,
        "count_time": 1e-3,
        "pixel_mask": {"t": Tag(40, [[4, 4], Tag(70, bytes(64))])},
    }
    messages = [start]
    for number in range(IMAGES):
        pixels = draw.choice([bytes(16), Tag(56500, ["bslz4", 1, PACKED["bs8-lz4<"]])])
        data = {"t": Tag(40, [[4, 4], Tag(64, pixels)])}
        messages.append({"type": "image", **named, "image_id": number, "real_time": [1, 2], "data": data})
    messages.append({"type": "end", **named})
    mutator = Mutator(draw, OF_CBOR, rate)
    return [[damaged(draw, encode(Tag(55799, mutator.changed(one))), rate)] for one in messages]


def damaged(draw: random.Random, message: bytes, rate: float) -> bytes:
    """Some bytes of some messages."""
    if draw.random() >= rate:
        return message
    return bytes(draw.randrange(256) if draw.random() < 0.02 else byte for byte in message)


def taken(draw: random.Random, stream: Callable[[random.Random, float], list[list[bytes]]], rate: float) -> list[Any]:
    """What the session would take of two series, and every message to main can be written."""
    decoder = LegacyDecoder(LARGEST) if stream is of_stream_1 else MessageDecoder(LARGEST)
    channel = draw.choice(["", "sum", "t", "z"]) if rate else ""
    tracker = SeriesTracker(channel, LARGEST, lambda: IMAGES, lambda: None)
    scans = Scans("dectris", draw.choice(GEOMETRIES))
    now, arrivals = 0.0, []
    for message in [*stream(draw, rate), *stream(draw, rate)]:
        now += draw.choice([0.0, 0.6]) if rate else 0.0
        if draw.random() < rate:
            continue
        events: list[DetectorEvent] = []
        for told in decoder.take_all([[memoryview(part) for part in message]]):
            events += [Trouble("bad_message", str(told))] if isinstance(told, BadMessage) else tracker.take(told, now)
        for event in [*events, *tracker.tick(now)]:
            arrivals += [arrival.message for arrival in scans.arrivals(event)]
    for one in arrivals:
        if isinstance(one, Message):
            codec.encode(one)
        elif isinstance(one, Trouble):
            one.text.encode()
            assert "\n" not in one.text
    return arrivals


@pytest.mark.parametrize("stream", [of_stream_1, of_stream_2])
def test_whatever_is_wrong_in_a_series_raises_nothing(
    stream: Callable[[random.Random, float], list[list[bytes]]],
) -> None:
    kinds: set[str] = set()
    frames = 0
    for seed in range(ROUNDS):
        for one in taken(seeded(seed), stream, rate=0.03):
            if isinstance(one, Trouble):
                kinds.add(one.kind)
            frames += isinstance(one, Frames)
    # it has come as far as the scans, and not been refused at the door
    assert kinds >= {"bad_message", "unknown_scan", "bad_encoding", "wrong_size"}
    assert frames > ROUNDS


@pytest.mark.parametrize("stream", [of_stream_1, of_stream_2])
def test_where_nothing_is_wrong_frames_come_and_no_message_is_refused(
    stream: Callable[[random.Random, float], list[list[bytes]]],
) -> None:
    for seed in range(20):
        arrivals = taken(seeded(seed), stream, rate=0.0)
        assert not any(isinstance(one, Trouble) and one.kind == "bad_message" for one in arrivals)
        assert any(isinstance(one, Frames) for one in arrivals)
