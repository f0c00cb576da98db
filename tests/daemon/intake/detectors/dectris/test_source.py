"""The emulator's frames through real sockets, bit by bit."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.dectris import Taken, emulated, noise, rest_of, source_of, take, take_series
from livestrain_simulator.emulators.faults import HEADER, Action, FaultPlan, Faults

FORMS = ("legacy", "cbor")
FRAMES = 6


def plan_of(faults: dict[int, tuple[Action, ...]]) -> FaultPlan:
    return lambda number: faults.get(number, ())


def stream(form: str, detail: str = "all") -> dict[str, str]:
    return {"format": form, "header_detail": detail}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compression", ["none", "lz4", "bslz4"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_every_depth_and_encoding_comes_bit_by_bit(form: str, compression: str, dtype: str) -> None:
    frames = noise(FRAMES, 35, 29, dtype)
    with emulated(frames, stream=stream(form), config={"compression": compression}) as server:
        taken = take_series(server)
    (start,) = taken.starts
    assert (start.frames, start.frame_shape, start.dtype) == (FRAMES, (35, 29), dtype)
    assert taken.numbers(start.series) == list(range(FRAMES))
    np.testing.assert_array_equal(taken.pixels(start.series), frames)
    assert taken.kinds() == {}
    assert not taken.ends[0].aborted


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("split", [False, True], ids=["one message", "single messages"])
@pytest.mark.parametrize("detail", ["all", "basic", "none"])
def test_every_detail_of_a_header_will_do(form: str, split: bool, detail: str) -> None:
    frames = noise(FRAMES, 16, 24)
    mask = np.zeros((16, 24), np.uint32)
    mask[3, 5] = 1
    with emulated(frames, stream=stream(form, detail), split_header=split, mask=mask) as server:
        armed: list[int] = []

        def over(taken: Taken) -> bool:
            # version, state, two of the stream, mask, dropped images: now the source knows the mask
            if not armed and server.asked >= 6:
                armed.append(rest_of(server).arm())
            return len(taken.ends) == 1

        taken = take(source_of(server), over)
    (start,) = taken.starts
    # what a header without details leaves out, the REST interface tells
    assert start.frames == FRAMES
    assert start.unusable is not None
    assert np.argwhere(start.unusable[0]).tolist() == [[3, 5]]
    np.testing.assert_array_equal(taken.pixels(start.series), frames)
    assert taken.kinds() == {}


@pytest.mark.parametrize("channel", ["", "threshold_2", "sum"])
def test_several_channels_come_as_one_by_choice(channel: str) -> None:
    channels = {"threshold_1": noise(FRAMES, 8, 8, seed=1), "threshold_2": noise(FRAMES, 8, 8, seed=2)}
    with emulated(channels) as server:
        taken = take_series(server, channel=channel)
    if channel == "sum":
        expected: NDArray[Any] = np.stack(list(channels.values())).sum(axis=0, dtype=np.uint32)
        # the last pixel is masked in both
        expected[:, -1, -1] = 2**32 - 1
    else:
        expected = channels[channel or "threshold_1"]
    np.testing.assert_array_equal(taken.pixels(taken.starts[0].series), expected)


@pytest.mark.parametrize("form", FORMS)
def test_series_follow_each_other(form: str) -> None:
    frames = noise(FRAMES, 8, 8)
    with emulated(frames, stream=stream(form)) as server:
        taken = take_series(server, 3)
    assert len({start.series for start in taken.starts}) == 3
    for start in taken.starts:
        np.testing.assert_array_equal(taken.pixels(start.series), frames)
    assert taken.kinds() == {}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("faults", "numbers", "kinds"),
    [
        ({}, [0, 1, 2, 3, 4, 5], {}),
        ({2: ("drop",)}, [0, 1, 3, 4, 5], {}),
        ({2: ("duplicate",)}, [0, 1, 2, 2, 3, 4, 5], {}),
        ({2: ("reorder",)}, [0, 1, 3, 2, 4, 5], {}),
        ({2: ("corrupt",)}, [0, 1, 3, 4, 5], {"bad_message": 1}),
        ({0: ("corrupt",)}, [1, 2, 3, 4, 5], {"bad_message": 1}),
        ({2: ("second_series",)}, [0, 1, 2, 3, 4, 5], {"unknown_scan": 1}),
        ({HEADER: ("reorder",)}, [0, 1, 2, 3, 4, 5], {}),
        ({HEADER: ("duplicate",)}, [0, 1, 2, 3, 4, 5], {}),
        ({HEADER: ("drop",)}, [0, 1, 2, 3, 4, 5], {"bad_message": 0}),
        ({HEADER: ("corrupt",)}, [0, 1, 2, 3, 4, 5], {"bad_message": 1}),
        ({FRAMES: ("duplicate",)}, [0, 1, 2, 3, 4, 5], {}),
    ],
)
def test_a_fault_costs_what_it_must_and_the_next_series_is_clean(
    form: str, faults: dict[int, tuple[Action, ...]], numbers: list[int], kinds: dict[str, int]
) -> None:
    frames = noise(FRAMES, 12, 12)
    with emulated(frames, plan_of(faults), stream=stream(form)) as server:
        # an image of a series that nobody began waits a second for its start
        taken = take_series(server, 2, also=lambda taken: sum(taken.kinds().values()) >= 2 * sum(kinds.values()))
    for start in taken.starts:
        assert taken.numbers(start.series) == numbers
        np.testing.assert_array_equal(taken.pixels(start.series), frames[numbers])
    assert {kind: count // 2 for kind, count in taken.kinds().items()} == kinds


@pytest.mark.parametrize("form", FORMS)
def test_half_an_image_is_refused(form: str) -> None:
    frames = noise(FRAMES, 12, 12)
    with emulated(frames, plan_of({3: ("truncate",)}), stream=stream(form), config={"compression": "none"}) as server:
        taken = take_series(server)
    assert taken.numbers(taken.starts[0].series) == [0, 1, 2, 4, 5]
    assert sum(taken.kinds().values()) == 1


@pytest.mark.parametrize("form", FORMS)
def test_an_abort_without_an_end_and_a_new_series_at_once_are_told_apart(form: str) -> None:
    frames = noise(FRAMES, 12, 12)
    faults = Faults(rearm=3)

    def plan(series: int, announced: int) -> FaultPlan:
        return faults.plan(series, announced, last=series > 0)

    with emulated(frames, plans=plan, stream=stream(form)) as server:
        rest_of(server).arm()
        taken = take(source_of(server), lambda taken: len(taken.ends) == 2)
    first, second = taken.starts
    assert taken.numbers(first.series) == [0, 1, 2]
    assert [end.aborted for end in taken.ends] == [True, False]
    np.testing.assert_array_equal(taken.pixels(second.series), frames)
    # what is left of the first series comes when the second has begun
    assert taken.kinds() == {"unknown_scan": 3}
