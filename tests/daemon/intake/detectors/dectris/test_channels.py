"""Which channel makes the frame, what a sum is, and which pixels say nothing."""

import numpy as np
import pytest

from helpers.dectris_series import end, header, image, packed, short, told, tracker
from livestrain_daemon.intake.detectors.dectris.pixels import Packed
from livestrain_daemon.intake.detectors.events import SeriesFrames, SeriesStart, Trouble
from livestrain_recordings.dectris import VIRTUAL_PIXEL

CHANNELS = {"a": packed(1), "b": packed(20)}


@pytest.mark.parametrize(("choice", "value", "dtype"), [("", 1, "<u2"), ("b", 20, "<u2"), ("sum", 21, "<u4")])
def test_a_channel_is_chosen_or_all_are_summed(choice: str, value: int, dtype: str) -> None:
    events = told(tracker(choice), header(channels=("a", "b")), image(0, channels=CHANNELS))
    assert isinstance(events[1], SeriesFrames)
    assert events[1].dtype == np.dtype(dtype).name
    np.testing.assert_array_equal(np.frombuffer(events[1].payload, dtype), [value] * 6)


@pytest.mark.parametrize("changes", [{}, {"frame_shape": None, "dtype": None}])
def test_a_channel_that_is_not_there_is_said_with_those_that_are_and_makes_no_scan(changes: dict[str, object]) -> None:
    follower = tracker("c")
    begun = header(**{"frames": 2, "channels": ("a", "b"), **changes})  # type: ignore[arg-type]
    trouble, *lost = told(follower, begun, image(0, channels=CHANNELS), image(1, channels=CHANNELS))
    assert isinstance(trouble, Trouble)
    assert (trouble.kind, trouble.series) == ("no_channel", "1-x")
    assert "expected one of a, b, found c" in trouble.text
    assert short(lost) == [("unknown_scan", 1)] * 2
    assert follower.finished == 1
    assert told(follower, end()) == []
    # the next one may have it
    assert short(told(follower, header(2, channels=("c", "d")))) == ["start 2-x"]


def test_a_masked_or_saturated_pixel_of_a_channel_is_no_count_in_the_sum() -> None:
    first = np.array([[65535, 60000, 1]], "<u2")
    second = np.array([[0, 1, 2]], "<u2")
    channels = {
        name: Packed((1, 3), "uint16", "raw", memoryview(values.tobytes()))
        for name, values in (("a", first), ("b", second))
    }
    begun = header(channels=("a", "b"), frame_shape=(1, 3), saturation=60000.0)
    start, frame = told(tracker("sum"), begun, image(0, channels=channels))
    assert isinstance(start, SeriesStart)
    assert isinstance(frame, SeriesFrames)
    assert start.saturation == 2**32 - 1
    np.testing.assert_array_equal(np.frombuffer(frame.payload, "<u4"), [2**32 - 1, 2**32 - 1, 3])


@pytest.mark.parametrize(("more", "clipped"), [(0, 0), (1, 1)], ids=["fits", "one count too many"])
def test_a_sum_that_does_not_fit_is_counted_and_no_count(more: int, clipped: int) -> None:
    # a pixel without a count has 2**32 - 1
    layers = {"a": [2**31, 1, 2**32 - 1], "b": [2**31 - 2 + more, 2, 5]}
    channels = {
        name: Packed((1, 3), "uint32", "raw", memoryview(np.array([values], "<u4").tobytes()))
        for name, values in layers.items()
    }
    begun = header(channels=("a", "b"), frame_shape=(1, 3), dtype="uint32")
    _, frame, *troubles = told(tracker("sum"), begun, image(0, channels=channels))
    assert isinstance(frame, SeriesFrames)
    assert np.frombuffer(frame.payload, "<u4").tolist() == [2**32 - 2 + more, 3, 2**32 - 1]
    assert short(troubles) == [("clipped", 1)] * clipped
    assert all("1 pixels above" in trouble.text for trouble in troubles if isinstance(trouble, Trouble))


@pytest.mark.parametrize(("told_value", "saturation"), [(None, 65535), (60000.0, 60000), (1e9, 65535)])
def test_a_masked_pixel_is_never_a_count(told_value: float | None, saturation: float) -> None:
    (start,) = told(tracker(), header(saturation=told_value))
    assert isinstance(start, SeriesStart)
    assert start.saturation == saturation


def test_the_pixel_mask_says_what_is_unusable_and_interpolated_pixels_are_not() -> None:
    mask = np.array([[0, 1, 2], [VIRTUAL_PIXEL, VIRTUAL_PIXEL + 16, 0]], np.uint32)
    (start,) = told(tracker(), header(masks={"a": mask}))
    assert isinstance(start, SeriesStart)
    assert start.unusable is not None
    np.testing.assert_array_equal(start.unusable, [[[0, 1, 1], [0, 1, 0]]])


def test_a_header_without_a_mask_takes_that_of_the_detector_if_it_fits() -> None:
    mask = np.eye(2, 3, dtype=np.uint32)
    (start,) = told(tracker(mask=mask), header())
    assert isinstance(start, SeriesStart)
    assert start.unusable is not None
    np.testing.assert_array_equal(start.unusable[0], mask)
    (start,) = told(tracker(mask=mask), header(frame_shape=(1, 3)))
    assert isinstance(start, SeriesStart)
    assert start.unusable is None


def test_a_mask_of_another_shape_is_said_and_not_used() -> None:
    start, trouble = told(tracker(), header(masks={"a": np.zeros((3, 2), np.uint32)}))
    assert isinstance(start, SeriesStart)
    assert start.unusable is None
    assert short([trouble]) == [("bad_message", 0)]
