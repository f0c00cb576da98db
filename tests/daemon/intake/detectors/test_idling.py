"""Detectors that are connected and that nobody has started."""

from collections.abc import Callable
from contextlib import ExitStack
from threading import Event

import numpy as np
import pytest

from helpers.asi import IMPATIENT, LOCAL, emulated, source_of, sparse
from helpers.merlin import Heard, acquire, listening
from helpers.waiting import wait_until
from livestrain_daemon.intake.detectors import idling
from livestrain_daemon.intake.detectors.events import Detector
from livestrain_daemon.intake.detectors.idling import Idling
from livestrain_daemon.intake.detectors.merlin.source import Address, MerlinDetector
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind, from_array


def said(heard: Heard) -> list[str]:
    return [trouble.text for trouble in heard.troubles if "running acquisition" in trouble.text]


def merlin(stack: ExitStack, asked: bool) -> tuple[Detector, Callable[[], object], str]:
    frames = np.ones((4, 4, 256), np.uint16)
    emulator = stack.enter_context(MerlinEmulator(from_array(frames), PixelKind("U16", 12)))
    port = emulator.control_port if asked else None
    detector = MerlinDetector(Address(LOCAL, emulator.data_port), IMPATIENT, control_port=port)
    return detector, lambda: acquire(emulator, NUMFRAMESTOACQUIRE=4), f"{LOCAL}:{emulator.control_port}"


def asi(stack: ExitStack, asked: bool) -> tuple[Detector, Callable[[], object], str]:
    serval = stack.enter_context(emulated(sparse(4), form="jsonimage"))
    return source_of(serval, rest=asked, frames=4), serval.emulator.start, f"http://{LOCAL}:{serval.port}"


KINDS = pytest.mark.parametrize("kind", [merlin, asi])


@KINDS
def test_a_detector_that_nobody_starts_is_told_once_and_again_after_a_series(
    kind: Callable[[ExitStack, bool], tuple[Detector, Callable[[], object], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idling, "IDLE_SECONDS", 0.2)
    with ExitStack() as stack:
        detector, begin, where = kind(stack, True)
        heard = stack.enter_context(listening(detector))
        wait_until(lambda: said(heard), what="a word on it")
        idle = heard.idle
        wait_until(lambda: heard.idle > idle + 10, what="time to ask again")
        assert said(heard) == [f"{where}: expected a running acquisition, found idle: start it"]
        begin()
        wait_until(lambda: heard.ends, what="the series")
        wait_until(lambda: len(said(heard)) == 2, what="a word after it")
        assert {trouble.kind for trouble in heard.troubles} == {"connection"}


@KINDS
def test_a_detector_that_cannot_be_asked_is_not_told_to_be_idle(
    kind: Callable[[ExitStack, bool], tuple[Detector, Callable[[], object], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idling, "IDLE_SECONDS", 0.05)
    with ExitStack() as stack:
        detector, _, _ = kind(stack, False)
        heard = stack.enter_context(listening(detector))
        wait_until(lambda: heard.idle > 10, what="time to ask")
        assert not heard.troubles


def test_a_detector_that_waits_for_its_trigger_is_asked_again_and_not_told_to_be_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(idling, "IDLE_SECONDS", 0.05)
    frames = np.ones((4, 4, 256), np.uint16)
    with MerlinEmulator(from_array(frames), PixelKind("U16", 12)) as emulator:
        detector = MerlinDetector(Address(LOCAL, emulator.data_port), IMPATIENT, control_port=emulator.control_port)
        emulator.ask("SET,TRIGGERSTART,5")
        emulator.ask("CMD,STARTACQUISITION")
        with listening(detector) as heard:
            wait_until(lambda: heard.idle > 20, what="time to ask")
            assert not said(heard)


def test_while_frames_come_nobody_is_asked() -> None:
    asked = Event()

    def ask() -> bool:
        asked.set()
        return True

    watch = Idling("there", ask)
    assert not [now for now in range(0, 1000, 20) if watch.step(False, now)]
    assert not [now for now in range(1000, 1030, 10) if watch.step(True, now)]
    assert not asked.is_set()
    assert not watch.step(True, 1031)
    wait_until(asked.is_set, what="the question")
    assert wait_until(lambda: watch.step(True, 1032), what="a word on it")
    assert not [now for now in range(1033, 2000, 20) if watch.step(True, now)]
