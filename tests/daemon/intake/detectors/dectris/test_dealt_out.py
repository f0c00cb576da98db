"""One series dealt out to several receivers, of which one gets the start: each reads its images by itself."""

import time
from contextlib import ExitStack

import numpy as np
import pytest
import zmq

from helpers.dectris import LARGEST, Taken, emulated, noise, rest_of
from helpers.waiting import wait_until
from livestrain_daemon.intake.detectors.dectris.legacy import LegacyDecoder
from livestrain_daemon.intake.detectors.dectris.series import SeriesTracker
from livestrain_daemon.intake.detectors.dectris.stream2 import MessageDecoder
from livestrain_daemon.intake.detectors.dectris.told import BadMessage, End, Header, Images, Told

FRAMES = noise(40, 6, 8)
RECEIVERS = 3


def dealt_out(form: str) -> list[list[list[memoryview]]]:
    """The messages of a series, as each of several receivers gets them."""
    heard: list[list[list[memoryview]]] = [[] for _ in range(RECEIVERS)]
    with ExitStack() as stack:
        server = stack.enter_context(emulated(FRAMES, stream={"format": form}))
        context = stack.enter_context(zmq.Context())
        sockets = [stack.enter_context(context.socket(zmq.PULL)) for _ in range(RECEIVERS)]
        for socket in sockets:
            socket.linger = 0
            socket.connect(f"tcp://127.0.0.1:{server.emulator.outlet.port(server.emulator.form)}")
        rest_of(server).arm()

        def all_here() -> bool:
            for socket, messages in zip(sockets, heard, strict=True):
                while socket.poll(5):
                    messages.append([memoryview(part) for part in socket.recv_multipart()])
            return sum(map(len, heard)) == len(FRAMES) + 2

        wait_until(all_here, 30, "all messages of a series")
    return heard


@pytest.mark.parametrize("form", ["legacy", "cbor"])
def test_who_has_not_had_the_start_reads_its_images_and_one_tracker_makes_a_series_of_all(form: str) -> None:
    told: list[Told] = []
    for messages in dealt_out(form):
        decoder = LegacyDecoder(LARGEST) if form == "legacy" else MessageDecoder(LARGEST)
        for one in decoder.take_all(messages):
            assert not isinstance(one, BadMessage)
            told += one.one_by_one() if isinstance(one, Images) else [one]
    # whoever follows the series has the start first, the end last, and images as they come
    told.sort(key=lambda one: (not isinstance(one, Header), isinstance(one, End)))
    tracker = SeriesTracker("", LARGEST, lambda: None, lambda: None)
    taken = Taken()
    for one in told:
        for event in tracker.take(one, time.monotonic()):
            taken.add(event)
    ((start,), (end,)) = taken.starts, taken.ends
    assert (start.frames, end.aborted) == (len(FRAMES), False)
    places = taken.numbers(start.series)
    assert sorted(places) == list(range(len(FRAMES)))
    assert places != sorted(places)
    assert np.array_equal(taken.pixels(start.series)[np.argsort(places)], FRAMES)
