"""The control against a control unit that misbehaves, over its REST interface."""

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from helpers.simplon import Controlled, Simplon, controlled
from helpers.waiting import wait_until
from livestrain_daemon.intake.detectors.dectris import control as control_module
from livestrain_daemon.intake.detectors.dectris import unarmed
from livestrain_daemon.intake.detectors.dectris.control import Arming, Control
from livestrain_daemon.intake.detectors.dectris.rest import Rest
from livestrain_daemon.intake.detectors.events import SeriesEnd, SeriesStart, Trouble
from livestrain_daemon.intake.noting import notes


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_module, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(control_module, "FIRST_PAUSE_SECONDS", 0.02)


def begun(name: str) -> SeriesStart:
    return SeriesStart(name, (4, 4), "uint16", None)


def armed(one: Controlled, times: int = 1) -> None:
    wait_until(lambda: one.simplon.commands.count("arm") >= times and one.simplon.state != "idle", what="arming")


def broken(names: set[str], times: int) -> Callable[[str], None]:
    """No answer to these, so often."""
    left = [times]

    def before(name: str) -> None:
        if name in names and left[0]:
            left[0] -= 1
            raise ConnectionResetError

    return before


@pytest.mark.parametrize("failures", [0, 3])
def test_questions_without_an_answer_end_no_series(failures: int) -> None:
    simplon = Simplon()
    with controlled(simplon, Arming()) as one:
        armed(one)
        simplon.before = broken({"status/state"}, failures)
        one.polled(4)
        assert simplon.commands == ["arm"]
        assert len(one.texts()) == min(failures, 1)
        one.control.finished(1)
        wait_until(lambda: simplon.commands == ["arm", "disarm"])
        one.polled()
    # one wish is one series
    assert simplon.commands == ["arm", "disarm"]


@pytest.mark.parametrize("failures", [0, 1])
def test_a_trigger_that_fails_begins_the_series_again(failures: int) -> None:
    simplon = Simplon()
    simplon.values["config/trigger_mode"] = "ints"
    simplon.before = broken({"trigger"}, failures)
    with controlled(simplon, Arming()) as one:
        wait_until(lambda: "trigger" in simplon.commands)
        expected = ["arm", "abort", "disarm"] * failures + ["arm", "trigger"]
        assert simplon.commands == expected
        assert any("expected images behind a trigger" in text for text in one.texts()) == bool(failures)
        one.control.finished(simplon.number)
        wait_until(lambda: simplon.commands[-1] == "disarm")
        one.polled()
    assert simplon.commands == [*expected, "disarm"]


def test_an_answer_that_is_lost_while_the_images_come_begins_nothing_again() -> None:
    simplon = Simplon()
    simplon.values["config/trigger_mode"] = "ints"
    simplon.before = broken({"trigger"}, 1)
    with controlled(simplon, Arming()) as one:
        wait_until(one.texts)
        one.control.finished(1)
        wait_until(lambda: "disarm" in simplon.commands)
        one.polled()
    assert simplon.commands == ["arm", "disarm"]


@pytest.mark.parametrize("slow", [False, True])
def test_a_control_that_stops_while_the_detector_is_being_armed_leaves_it_idle(slow: bool) -> None:
    simplon = Simplon()
    arming, answer = Event(), Event()

    def before(name: str) -> None:
        if name == "arm":
            arming.set()
            if slow:
                answer.wait(30)
        # the detector is armed in spite of it
        elif name == "abort":
            answer.set()

    simplon.before = before
    with controlled(simplon, Arming(), stop_seconds=0.1 if slow else 10.0):
        wait_until(arming.is_set)
    assert "arm" in simplon.commands
    assert simplon.commands[-1] == "disarm"
    assert simplon.state == "idle"


def test_an_arming_without_an_answer_is_taken_back() -> None:
    simplon = Simplon()
    put, failed = simplon.put, [False]

    def lost(key: str) -> dict[str, int]:
        done = put(key)
        if key == "command/arm" and not failed[0]:
            failed[0] = True
            raise ConnectionResetError
        return done

    simplon.put = lost  # type: ignore[method-assign]
    with controlled(simplon, Arming()) as one:
        armed(one, 2)
        assert simplon.commands == ["arm", "abort", "disarm", "arm"]


def test_a_detector_that_could_not_be_disarmed_is_disarmed_before_the_next_series() -> None:
    simplon = Simplon()
    with controlled(simplon, Arming(repeat=True)) as one:
        armed(one)
        simplon.before = broken({"disarm"}, 1)
        one.control.finished(1)
        armed(one, 2)
        assert simplon.commands == ["arm", "abort", "disarm", "arm"]


def test_images_dropped_after_the_last_question_are_told_before_the_next_series() -> None:
    simplon = Simplon()
    with controlled(simplon, Arming(repeat=True)) as one:
        for number in (1, 2, 3):
            armed(one, number)
            one.control.hear(begun(f"{number}-x"), number)
            simplon.values["status/dropped"] = 10 * number
            one.control.finished(number)
        armed(one, 4)
        assert one.lost() == [(10, "1-x"), (20, "2-x"), (30, "3-x")]


@pytest.mark.parametrize("late", [False, True])
def test_drops_of_the_next_series_are_its_own_though_its_start_comes_late(late: bool) -> None:
    simplon = Simplon()
    with controlled(simplon) as one:
        one.polled()
        simplon.values["status/state"] = "acquire"
        one.control.hear(begun("1-x"), 1)
        one.polled()
        simplon.values["status/state"] = "idle"
        one.polled()
        if not late:
            one.control.hear(begun("2-x"), 2)
        simplon.values["status/state"] = "acquire"
        simplon.values["status/dropped"] = 10
        one.polled(1)
        if late:
            assert one.lost() == []
            one.control.hear(begun("2-x"), 2)
        one.polled()
        assert one.lost() == [(10, "2-x")]
        simplon.values["status/dropped"] = 13
        one.polled()
    assert one.lost() == [(10, "2-x"), (3, "2-x")]


@pytest.mark.parametrize("state", ["ready", "idle", "na"])
def test_a_passive_control_says_once_that_nobody_arms_the_detector(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unarmed, "UNARMED_SECONDS", 0.05)
    simplon = Simplon()
    simplon.values["status/state"] = state
    with controlled(simplon) as one:
        one.polled(5)
        said = 0 if state == "ready" else 1
        wait_until(lambda: len(one.texts()) == said)
        one.polled(5)
        assert len(one.texts()) == said
        for text in one.texts():
            assert f"expected an armed detector, found {state}: arm it" in text
        # again only after a series
        one.control.hear(begun("1-x"), 1)
        one.control.hear(SeriesEnd("1-x"), None)
        wait_until(lambda: len(one.texts()) == 2 * said)
    assert len(one.texts()) == 2 * said


def test_a_control_that_arms_by_itself_does_not_ask_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unarmed, "UNARMED_SECONDS", 0.0)
    simplon = Simplon()
    with controlled(simplon, Arming()) as one:
        armed(one)
        one.control.finished(1)
        wait_until(lambda: simplon.state == "idle")
        one.polled(3)
    assert one.texts() == []


@pytest.mark.parametrize("triggers", [1, "abc", float("nan"), True, -1, 2.5])
def test_a_number_of_triggers_that_is_none_is_told_and_asked_for_again(triggers: Any) -> None:
    is_one = isinstance(triggers, int) and not isinstance(triggers, bool) and triggers > 0
    simplon = Simplon()
    simplon.values |= {"config/trigger_mode": "ints", "config/ntrigger": triggers}
    with controlled(simplon, Arming()) as one:
        if not is_one:
            wait_until(one.texts, what="a line")
            assert simplon.commands == []
            simplon.values["config/ntrigger"] = 1
        wait_until(lambda: simplon.commands == ["arm", "trigger"], what="a series")
        one.control.finished(1)
        wait_until(lambda: simplon.commands[-1] == "disarm")
    assert all("a whole number" in text or "expected a value" in text for text in one.texts())
    assert bool(one.texts()) != is_one


class Unexpected(Rest):
    """Meets what nobody thought of, when it is asked for the state."""

    def state(self) -> str:
        raise KeyError("state")


def test_an_error_that_nobody_thought_of_is_handed_on_and_does_not_leave_a_detector_alone() -> None:
    told: list[Trouble | Exception] = []
    control = Control(Unexpected("127.0.0.1", 1, "1.8.0"), Arming(), "cbor", told.append)
    control.start()
    wait_until(lambda: told, what="an error")
    control.stop(20)
    (error,) = told
    assert isinstance(error, KeyError)
    assert notes(error) == "while asking the detector at 'http://127.0.0.1:1'"
