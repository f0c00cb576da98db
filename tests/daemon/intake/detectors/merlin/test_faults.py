"""Random mixtures of faults, with time given by hand: from the emulator's bytes to events."""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest

from helpers.merlin import Heard
from livestrain_daemon.intake.detectors.events import SeriesEnd
from livestrain_daemon.intake.detectors.merlin.acquisition import Acquisitions
from livestrain_daemon.intake.detectors.merlin.reading import MerlinReading
from livestrain_daemon.intake.detectors.patience import Patience
from livestrain_simulator.emulators.faults import Action
from livestrain_simulator.emulators.merlin.actions import Damage
from livestrain_simulator.emulators.merlin.headers import acquisition_header, frame_header, framed
from livestrain_simulator.emulators.merlin.pixels import PixelKind
from livestrain_simulator.emulators.merlin.settings import SETTINGS

FRAMES = 24
KIND = PixelKind("U16", 12, "1x1")
AT = datetime(2026, 4, 15, 14, 44, 41, tzinfo=UTC)
PIXELS = np.random.default_rng(3).integers(0, 4096, (FRAMES, 2, 256), np.uint16)
LOSING = {"drop", "truncate", "corrupt", "bad_length"}
CHOICES: tuple[Action, ...] = ("drop", "duplicate", "reorder", "truncate", "corrupt", "bad_length")
HEADER = framed(
    acquisition_header(
        {name: setting.default for name, setting in SETTINGS.items()} | {"NUMFRAMESTOACQUIRE": FRAMES}, KIND, AT
    )
)


def planned(random: np.random.Generator, rate: float) -> dict[int, tuple[Action, ...]]:
    chosen = np.flatnonzero(random.random(FRAMES) < rate)
    return {int(number): (CHOICES[random.integers(len(CHOICES))],) for number in chosen}


def stream(plan: dict[int, tuple[Action, ...]], count: int) -> bytes:
    damage, parts = Damage(), [HEADER]
    for number in range(count):
        message = framed(frame_header(number + 1, KIND, (2, 256), AT, 1.0) + KIND.encoded(PIXELS[number]))
        parts += [part for _, part in damage.sent(number, message, plan.get(number, ()))]
    return b"".join([*parts, *(part for _, part in damage.rest())])


def cut(data: bytes, random: np.random.Generator) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = int(random.integers(1, 5000))
        yield data[at : at + size]
        at += size


class Receiver:
    """A reading, with time given by hand."""

    def __init__(self) -> None:
        self.heard = Heard()
        self.now = 0.0
        patience = Patience(silence_seconds=10, settle_seconds=0.5, header_seconds=1)
        self._reading = MerlinReading(Acquisitions(patience))

    def take(self, part: bytes) -> None:
        self._reading.inbox.space()[: len(part)] = part
        self._reading.inbox.filled(len(part))
        self._drain(quiet=False)

    def pause(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.1)):
            self.now += 0.1
            self._drain(quiet=True)

    def _drain(self, quiet: bool) -> None:
        self.heard.events += self._reading.events(self.now, quiet)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.3, 0.8])
def test_every_surviving_frame_is_where_it_belongs_and_the_next_scan_is_clean(rate: float) -> None:
    for seed in range(100):
        random = np.random.default_rng((seed, round(100 * rate)))
        plan = planned(random, rate)
        count = FRAMES if random.random() < 0.7 else int(random.integers(1, FRAMES))
        receiver = Receiver()
        for part in cut(stream(plan, count), random):
            receiver.take(part)
        if random.random() < 0.5:
            receiver.pause(11)
        for part in cut(stream({}, FRAMES), random):
            receiver.take(part)
        receiver.pause(11)
        lost = {number for number, actions in plan.items() if LOSING & set(actions)}
        expected = set(range(count)) - lost
        first = receiver.heard.starts[0].series if expected else None
        second = receiver.heard.starts[-1].series
        found = receiver.heard.frames(first) if expected else {}
        assert set(found) == expected, (seed, plan, count)
        for number, frame in found.items():
            np.testing.assert_array_equal(frame, PIXELS[number])
        again = receiver.heard.frames(second)
        assert sorted(again) == list(range(FRAMES)), (seed, plan, count)
        assert all((again[number] == PIXELS[number]).all() for number in again)
        assert receiver.heard.ends[-1] == SeriesEnd(second)
        bad = sum(actions[0] != "drop" for number, actions in plan.items() if number < count and number in lost)
        told = [trouble.kind for trouble in receiver.heard.troubles]
        assert told.count("bad_message") == bad, (seed, plan, count, told)
        if not rate:
            assert not told
