"""Mixtures of faults by chance: what survives is at its place, what is lost is counted, the next series is clean."""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pytest

from helpers.dectris import LARGEST, Taken, noise, pixels
from livestrain_daemon.intake.detectors.dectris.legacy import LegacyDecoder
from livestrain_daemon.intake.detectors.dectris.series import EARLY_SECONDS, SeriesTracker
from livestrain_daemon.intake.detectors.dectris.stream2 import MessageDecoder
from livestrain_daemon.intake.detectors.dectris.told import BadMessage, Told
from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesFrames, Trouble
from livestrain_daemon.intake.payload import PayloadError
from livestrain_simulator.emulators.dectris.sending import Form, Script
from livestrain_simulator.emulators.dectris.series import Series, Setting, repeated
from livestrain_simulator.emulators.faults import HEADER, Action, no_faults

FRAMES = 30
SHAPE = (33, 41)
RUNS = 50
FAULTS: tuple[Action, ...] = ("drop", "duplicate", "reorder", "corrupt", "truncate", "second_series", "abort")
PIXELS = noise(FRAMES, 33, 41)
CONFIG: dict[str, Setting] = {
    "count_time": 1.0,
    "frame_time": 1.0,
    "description": "",
    "detector_number": "",
    "incident_energy": 2e5,
}

KEPT: dict[Hashable, Any] = {}
"""Packing takes longer than all else."""


def series(number: int, frames: int = FRAMES) -> Series:
    config = {**CONFIG, "nimages": frames, "ntrigger": 1}
    mask = np.zeros(SHAPE, np.uint32)
    return Series(number, f"id-{number}", frames, SHAPE, "uint16", "bslz4", "all", ("a",), mask, config)


class Ledger:
    """What was done to a series, and what must come of it."""

    def __init__(self, seed: int, share: float) -> None:
        random = np.random.default_rng(seed)
        kinds = random.choice(len(FAULTS), FRAMES, p=[0.18, 0.18, 0.18, 0.18, 0.18, 0.08, 0.02])
        chosen = np.flatnonzero(random.random(FRAMES) < share).tolist()
        self.plan: dict[int, tuple[Action, ...]] = {at: (FAULTS[kinds[at]],) for at in chosen}
        self.split = bool(random.integers(2))
        aborts = [at for at, (kind,) in self.plan.items() if kind == "abort"]
        self.sent = min(aborts, default=FRAMES)
        self.aborted = bool(aborts)

    def actions(self, number: int) -> tuple[Action, ...]:
        return self.plan.get(number, ())

    def numbers(self) -> Counter[int]:
        """How often each image must come."""
        return Counter({at: self._times(at) for at in range(self.sent) if self._times(at)})

    def behind(self) -> list[int]:
        """Images that are put behind all that is sent of the series."""
        found: list[int] = []
        for at in reversed(range(self.sent)):
            if self.plan.get(at) not in (("drop",), ("reorder",)):
                break
            found += [at] if self.plan[at] == ("reorder",) else []
        return found

    def strays(self) -> int:
        """Images of no series that is in progress; behind an abort nothing is sent any more."""
        foreign = sum(self.plan.get(at) == ("second_series",) for at in range(self.sent))
        return foreign + (0 if self.aborted else len(self.behind()))

    def bad(self) -> int:
        """Messages that are none."""
        return sum(self.plan.get(at) in (("corrupt",), ("truncate",)) for at in range(self.sent))

    def _times(self, at: int) -> int:
        held = at in self.behind()
        times: dict[str, int] = {"drop": 0, "corrupt": 0, "truncate": 0, "duplicate": 2}
        return next((times[kind] for kind in self.actions(at) if kind in times), 1 - held)


def decoder(form: Form) -> Callable[[list[bytes]], list[Told]]:
    legacy, cbor = LegacyDecoder(LARGEST), MessageDecoder(LARGEST)

    def decode(parts: list[bytes]) -> list[Told]:
        views = [memoryview(part) for part in parts]
        return legacy.take(views) if form == "legacy" else [cbor.take(views[0])]

    return decode


def stored(event: DetectorEvent) -> DetectorEvent:
    """What the intake makes of it: packed frames go on as they are, and whether they can be unpacked shows there."""
    if isinstance(event, SeriesFrames):
        try:
            pixels(event)
        except PayloadError as error:
            return Trouble(error.kind, str(error), 1)
    return event


def taken_of(form: Form, ledger: Ledger) -> Taken:
    """A series with faults, then one without."""
    tracker = SeriesTracker("", LARGEST, lambda: None, lambda: None)
    decode = decoder(form)
    taken = Taken()
    source = repeated({"a": PIXELS})
    first = Script(series(1), source, form, ledger.actions, ledger.split, FRAMES, KEPT)
    for script in (first, Script(series(2), source, form, no_faults, ledger.split, FRAMES, KEPT)):
        for out in script.outgoing(lambda: False):
            if "abort" in out.actions:
                break
            for parts in out.messages:
                try:
                    told = decode(parts)
                except BadMessage as error:
                    taken.add(Trouble("bad_message", str(error), 1))
                    continue
                for event in (event for one in told for event in tracker.take(one, 0.0)):
                    taken.add(stored(event))
    for event in tracker.tick(EARLY_SECONDS):
        taken.add(event)
    return taken


@pytest.mark.parametrize("form", ["legacy", "cbor"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_mixtures_of_faults_cost_what_they_must(form: Form, share: float) -> None:
    for seed in range(RUNS if share else 2):
        ledger = Ledger(seed, share)
        taken = taken_of(form, ledger)
        names = [start.series for start in taken.starts]
        expected = ledger.numbers()
        strays = sum(trouble.frames for trouble in taken.troubles if trouble.kind == "unknown_scan")
        if expected:
            found = Counter(taken.numbers(names[0]))
            assert found == expected, (seed, ledger.plan)
            np.testing.assert_array_equal(taken.pixels(names[0]), PIXELS[taken.numbers(names[0])])
        assert taken.numbers(names[-1]) == list(range(FRAMES)), seed
        np.testing.assert_array_equal(taken.pixels(names[-1]), PIXELS)
        assert strays == ledger.strays(), (seed, ledger.plan)
        lost = sum(trouble.frames for trouble in taken.troubles if trouble.kind != "unknown_scan")
        assert lost == ledger.bad(), (seed, ledger.plan, taken.troubles)


@pytest.mark.parametrize("form", ["legacy", "cbor"])
@pytest.mark.parametrize("action", ["drop", "duplicate", "reorder", "corrupt", "truncate"])
def test_a_fault_of_the_start_costs_no_image(form: Form, action: Action) -> None:
    ledger = Ledger(0, 0.0)
    ledger.plan = {HEADER: (action,)}
    for ledger.split in (False, True):
        taken = taken_of(form, ledger)
        for start in taken.starts:
            np.testing.assert_array_equal(taken.pixels(start.series), PIXELS)
        assert len(taken.starts) == 2
