"""What is done wrong on purpose costs what it must, and nothing else."""

from collections.abc import Sequence

import numpy as np
import pytest

from helpers.asi import FORMS, Told, fed, measured, source_of, sparse
from helpers.merlin import Heard, listening
from helpers.waiting import wait_until
from livestrain_daemon.intake.detectors.asi.frames import FrameReading
from livestrain_daemon.intake.detectors.asi.measurement import Measurement
from livestrain_daemon.intake.detectors.asi.scans import ScanReading
from livestrain_daemon.intake.detectors.patience import Patience
from livestrain_simulator.emulators.asi import POSSIBLE, AsiEmulator, AsiSettings, Form, ServalServer, tpx3
from livestrain_simulator.emulators.asi.forms import Kind
from livestrain_simulator.emulators.asi.places import Places
from livestrain_simulator.emulators.asi.script import Script
from livestrain_simulator.emulators.faults import Action, FaultPlan, no_faults
from livestrain_simulator.emulators.merlin import from_array
from livestrain_simulator.emulators.record import ScanRecord

FRAMES = sparse(24)
COUNT = len(FRAMES)
LARGEST = 1 << 22
MIXED: list[Action] = ["drop", "duplicate", "reorder", "corrupt", "truncate"]
ACTIONS: list[Action] = [*MIXED, "short", "bad_length", "stall", "late_header"]
POSSIBLE_ACTIONS = [(form, action) for form in FORMS for action in ACTIONS if action in POSSIBLE[form]]
TOLD: dict[Form, dict[Action, set[str]]] = {
    "pgm": {
        "drop": {"wrong_count"},
        "short": {"wrong_count"},
        "duplicate": {"wrong_count"},
        "corrupt": {"bad_message"},
        "bad_length": {"wrong_size"},
        "truncate": {"bad_message"},
    },
    "jsonimage": {"corrupt": {"bad_message"}, "bad_length": {"wrong_size"}, "truncate": {"bad_message"}},
    "tpx3": {
        "drop": {"wrong_count"},
        "short": {"wrong_count"},
        "duplicate": {"wrong_count"},
        "corrupt": {"bad_encoding"},
        "bad_length": {"bad_message"},
        "truncate": {"bad_message"},
    },
}
"""What is said of it; a frame with a number that does not come is missing, which the scan says."""


def check(heard: Heard, series: str, places: dict[int, int]) -> None:
    """A receiver has what it must have, where it must be."""
    found = heard.frames(series)
    assert sorted(place for place in found if place < COUNT) == sorted(places)
    for place, number in places.items():
        np.testing.assert_array_equal(found[place], FRAMES[number])


@pytest.mark.parametrize(("form", "action"), POSSIBLE_ACTIONS)
def test_a_fault_costs_what_it_must_and_the_next_measurement_is_whole(form: Form, action: Action) -> None:
    settings = AsiSettings(form=form, scan_shape=(4, 6), stall_seconds=0.4, hang_up=True)
    where = (COUNT - 1,) if action == "short" else (0,) if action == "late_header" else (7,)
    once: FaultPlan = lambda number: (action,) if number in where else ()  # noqa: E731
    emulator = AsiEmulator(from_array(FRAMES), settings, lambda scan, frames: no_faults if scan else once)
    with ServalServer(emulator) as server:
        heard = measured(server, measurements=2)
    assert emulator.done == [(where[0], action)]
    check(heard, heard.starts[0].series, emulator.places[0])
    check(heard, heard.starts[1].series, {number: number for number in range(COUNT)})
    assert len(heard.starts) == 2
    told = {trouble.kind for trouble in heard.troubles} - {"connection"}
    assert told == TOLD[form].get(action, set())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("action", ["abort", "disconnect"])
def test_a_measurement_that_is_cut_short_leaves_the_next_one_whole(form: Form, action: Action) -> None:
    settings = AsiSettings(form=form, scan_shape=(4, 6), hang_up=True)
    once: FaultPlan = lambda number: (action,) if number == 9 else ()  # noqa: E731
    emulator = AsiEmulator(from_array(FRAMES), settings, lambda scan, frames: no_faults if scan else once)
    with ServalServer(emulator) as server:
        heard = measured(server, measurements=2)
    check(heard, heard.starts[0].series, emulator.places[0])
    check(heard, heard.starts[-1].series, {number: number for number in range(COUNT)})
    assert heard.ends[0].aborted


def test_a_tpx3_that_is_armed_again_at_once_leaves_both_scans_in_order() -> None:
    settings = AsiSettings(form="tpx3", scan_shape=(4, 6))
    cut: FaultPlan = lambda number: ("rearm",) if number == 9 else ()  # noqa: E731
    emulator = AsiEmulator(from_array(FRAMES), settings, lambda scan, frames: no_faults if scan else cut)
    with ServalServer(emulator) as server, listening(source_of(server)) as heard:
        wait_until(lambda: emulator.listeners, what="a data connection")
        emulator.start()
        wait_until(lambda: len(heard.ends) == 2, what="the end of both scans")
    assert [end.aborted for end in heard.ends] == [True, False]
    for scan in (0, 1):
        check(heard, heard.starts[scan].series, emulator.places[scan])
    assert len(emulator.places[1]) == COUNT


def stream(form: Form, plan: FaultPlan, sequence: int) -> tuple[bytes, ScanRecord, dict[int, int]]:
    """The bytes of a measurement, and what a receiver must have of it."""
    kind = Kind.of(form, FRAMES[0])
    record = ScanRecord(sequence, COUNT)
    places = Places(form, record)
    script = Script(kind, from_array(FRAMES), plan, str(sequence), chunk_frames=5)
    data = bytearray()
    for step in script.steps(COUNT):
        record.do(step.number, step.actions)
        for piece in step.pieces:
            data += piece.data
            places.left(piece)
    if form == "tpx3":
        begin = tpx3.acquisition_start(sequence, (4, 6), kind.shape) + tpx3.scan_start(0, {})
        data[:0] = begin
        data += tpx3.scan_end(0) + tpx3.acquisition_end(sequence)
    return bytes(data), record, places.frames


def reading_of(form: Form, measurement: Measurement) -> FrameReading | ScanReading:
    if form == "tpx3":
        return ScanReading(Patience(), LARGEST)
    return FrameReading(Told(measurement), Patience(), None, str, LARGEST)


def mixture(seed: int) -> FaultPlan:
    random = np.random.default_rng(seed)
    picks = random.integers(0, 6 * len(MIXED), COUNT)
    planned: list[Sequence[Action]] = [MIXED[pick : pick + 1] for pick in picks]
    return lambda number: planned[number]


@pytest.mark.parametrize("form", FORMS)
def test_mixtures_of_faults_cost_what_they_must(form: Form) -> None:
    happened: set[Action] = set()
    for seed in range(100):
        data, record, places = stream(form, mixture(seed), seed + 1)
        happened |= {action for _, action in record.done}
        reading = reading_of(form, Measurement(str(seed), COUNT, recording=True))
        heard = fed(reading, data, at_once=1 + 997 * seed % 5000, quiet=True)
        heard.events += reading.closed(0.0)
        check(heard, heard.starts[0].series, places)
        spoiled = len(record.numbers("corrupt", "truncate"))
        counted = sum(trouble.frames for trouble in heard.troubles if trouble.kind in {"bad_message", "bad_encoding"})
        if len(places) == COUNT - spoiled:
            assert counted == spoiled
        assert bool(heard.troubles) >= bool(spoiled)
    assert happened == set(MIXED)
