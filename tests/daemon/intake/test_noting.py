"""An error that nobody thought of names the message that it came of."""

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
import zmq

from livestrain_daemon.intake.detectors.arrivals import Scans, take
from livestrain_daemon.intake.detectors.dectris.stream2 import MessageDecoder
from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesStart
from livestrain_daemon.intake.link import Outbox
from livestrain_daemon.intake.noting import LONGEST_NOTE, note, notes
from livestrain_daemon.intake.receiver import ArrivalQueue
from livestrain_daemon.intake_config import ScanGeometry
from livestrain_daemon.messages import Stored

START = SeriesStart("7", (2, 3), "uint16", 6)
WRONG: Any = (2, None)


@dataclass
class Telling:
    """A detector that tells one thing."""

    event: DetectorEvent

    endpoint: str = "nowhere"

    def events(self, _: Event) -> Iterator[DetectorEvent | None]:
        yield self.event


def test_what_a_detector_told_is_named() -> None:
    queue = ArrivalQueue(1 << 20)
    take(Telling(START), Scans("dectris", ScanGeometry()), queue, Event())
    with pytest.raises(TypeError) as caught:
        take(Telling(SeriesStart("7", WRONG, "uint16", 6, WRONG)), Scans("dectris", ScanGeometry()), queue, Event())
    assert notes(caught.value).startswith("the detector told SeriesStart(series='7', frame_shape=(2, None)")


def test_a_message_that_cannot_be_sent_to_main_is_named() -> None:
    with zmq.Context() as context, context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as main:
        endpoint = f"inproc://{uuid4()}"
        main.bind(endpoint)
        here.connect(endpoint)
        outbox = Outbox()
        outbox.put(Stored(scan_id="s", runs=((0, 1),)))
        assert outbox.send(here)
        outbox.put(Stored.model_construct(scan_id="s", runs=((0, 10**100),)))
        with pytest.raises(OverflowError) as caught:
            outbox.send(here)
    assert notes(caught.value).startswith("the message to main is Stored(")


def test_a_message_that_cannot_be_read_is_named() -> None:
    # no memory, which nobody expects
    odd: Any = [[list(b"\xa1\x64type\x63abc")]]
    with pytest.raises(TypeError, match="bytes-like") as caught:
        list(MessageDecoder(1 << 20).take_all(odd))
    assert notes(caught.value).startswith("the message begins b'\\xa1dtype")


def test_a_note_is_short_and_an_error_without_one_has_none() -> None:
    error = ValueError("wrong")
    assert notes(error) == ""
    note(error, "the message is", "x" * 100_000)
    assert len(notes(error)) == len("the message is ") + LONGEST_NOTE
