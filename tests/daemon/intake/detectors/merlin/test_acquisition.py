"""What becomes of messages, with time given by hand."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.merlin import Heard
from livestrain_daemon.intake.detectors.counted import Counted
from livestrain_daemon.intake.detectors.events import SeriesEnd, SeriesFrames
from livestrain_daemon.intake.detectors.merlin.acquisition import HELD_BYTES, Acquisitions
from livestrain_daemon.intake.detectors.merlin.numbers import unwrapped
from livestrain_daemon.intake.detectors.patience import Patience
from livestrain_simulator.emulators.merlin.headers import acquisition_header, frame_header
from livestrain_simulator.emulators.merlin.pixels import PixelKind
from livestrain_simulator.emulators.merlin.settings import SETTINGS

KIND = PixelKind("U16", 12, "1x1")
AT = datetime(2026, 4, 15, 14, 44, 41, tzinfo=UTC)
PIXELS = np.random.default_rng(3).integers(0, 4096, (12, 4, 256), np.uint16)
PATIENCE = Patience(silence_seconds=10, settle_seconds=0.5, header_seconds=1)


def header(frames: int = 12, kind: PixelKind = KIND, **settings: float) -> bytes:
    values = {name: setting.default for name, setting in SETTINGS.items()}
    return acquisition_header(values | {"NUMFRAMESTOACQUIRE": frames} | settings, kind, AT)


def frame(index: int, pixels: NDArray[Any] | None = None, kind: PixelKind = KIND) -> bytes:
    counts = PIXELS[index % 12] if pixels is None else pixels
    return frame_header(index + 1, kind, counts.shape, AT, 1.0) + kind.encoded(counts)


class Told:
    """Acquisitions, with what they have told so far."""

    def __init__(self, before: int = 0) -> None:
        self.acquisitions = Acquisitions(PATIENCE, lambda: before)
        self.acquisitions.connected()
        self.heard = Heard()

    def take(self, messages: Iterable[bytes], now: float = 0.0) -> Heard:
        for message in messages:
            self.acquisitions.take(memoryview(message), now)
        return self._told()

    def tick(self, now: float) -> Heard:
        self.acquisitions.tick(now)
        return self._told()

    def _told(self) -> Heard:
        self.heard.events += self.acquisitions.events()
        return self.heard


def numbers(heard: Heard, series: str | None = None) -> list[int]:
    found = heard.frames(series)
    for number, counts in found.items():
        np.testing.assert_array_equal(counts, PIXELS[number % 12])
    return sorted(found)


def test_an_acquisition_is_told_from_start_to_end() -> None:
    heard = Told().take([header(STEMSCANX=4, STEMSCANY=3), *map(frame, range(12))])
    (start,) = heard.starts
    assert (start.series, start.frame_shape, start.dtype) == ("20260415-144441", (4, 256), "uint16")
    assert (start.frames, start.scan_shape, start.saturation, start.unusable) == (12, (3, 4), 4095.0, None)
    assert start.metadata["Counter Depth (number)"] == "12"
    assert numbers(heard) == list(range(12))
    assert heard.of(SeriesFrames)[0].count == 12
    assert heard.events[-1] == SeriesEnd(start.series)
    assert not heard.troubles


def test_frames_in_any_order_and_twice_complete_an_acquisition() -> None:
    order = [3, 0, 1, 1, 2, 11, 10, 4, 5, 9, 9, 8, 7, 6]
    heard = Told().take([header(), *map(frame, order)])
    assert numbers(heard) == list(range(12))
    assert heard.ends == [SeriesEnd("20260415-144441")]


def test_with_frames_missing_the_last_one_ends_an_acquisition_after_a_while() -> None:
    told = Told()
    assert not told.take([header(), *map(frame, [0, 1, 11])]).ends
    assert not told.tick(0.4).ends
    assert not told.take([frame(5)], 0.4).ends
    heard = told.tick(1.0)
    assert heard.ends == [SeriesEnd("20260415-144441")]
    assert numbers(heard) == [0, 1, 5, 11]


def test_an_aborted_acquisition_ends_with_the_next_header() -> None:
    heard = Told().take([header(), *map(frame, range(5)), header(), *map(frame, range(12))])
    assert [start.series for start in heard.starts] == ["20260415-144441", "20260415-144441-2"]
    assert heard.ends == [SeriesEnd("20260415-144441", aborted=True), SeriesEnd("20260415-144441-2")]
    assert numbers(heard, "20260415-144441") == list(range(5))
    assert numbers(heard, "20260415-144441-2") == list(range(12))


def test_an_aborted_acquisition_ends_when_nothing_has_come_for_long() -> None:
    told = Told()
    assert not told.take([header(), *map(frame, range(5))]).ends
    assert not told.tick(9.9).ends
    assert told.tick(10.1).ends == [SeriesEnd("20260415-144441", aborted=True)]


def test_an_acquisition_without_end_goes_on_until_the_next_header_and_is_not_aborted() -> None:
    heard = Told().take([header(0), *map(frame, range(100)), header(12), *map(frame, range(12))])
    assert heard.starts[0].frames is None
    assert heard.ends == [SeriesEnd("20260415-144441"), SeriesEnd("20260415-144441-2")]
    assert numbers(heard, "20260415-144441") == list(range(100))


def test_numbers_of_six_digits_begin_again() -> None:
    assert [unwrapped(number, 999_998) for number in (999_999, 0, 1, 999_990)] == [
        999_999,
        1_000_000,
        1_000_001,
        999_990,
    ]
    assert unwrapped(999_999, 1_000_003) == 999_999
    assert unwrapped(5, 3_000_001) == 3_000_005
    assert unwrapped(1_000_001, 1_000_000) == 1_000_001
    assert unwrapped(700_000, 0) == 700_000


def test_what_is_counted_takes_bounded_memory() -> None:
    counted = Counted(None)
    for index in range(1, 400_000, 2):
        counted.add(index)
    assert counted.latest == 400_000
    assert len(counted._ahead) == 65_536


def test_a_header_after_the_first_frames_still_begins_their_acquisition() -> None:
    heard = Told().take([frame(0), frame(1), header(), *map(frame, range(2, 12))])
    assert [start.frames for start in heard.starts] == [12]
    assert numbers(heard) == list(range(12))
    assert heard.ends == [SeriesEnd("20260415-144441")]
    assert not heard.troubles


def test_frames_without_a_header_are_taken_after_a_while_if_the_connection_is_new() -> None:
    told = Told()
    assert not told.take([frame(5), frame(6)]).starts
    heard = told.tick(1.1)
    (start,) = heard.starts
    assert (start.series, start.frames, start.scan_shape) == ("2026-04-15-14-44-41-000000", None, None)
    told.take([frame(7)], 1.2)
    assert numbers(heard) == [5, 6, 7]
    (trouble,) = heard.troubles
    assert (trouble.kind, trouble.frames) == ("bad_message", 0)
    assert trouble.text == "expected the header of an acquisition, found frame 6: what it says is not known"


def test_frames_right_before_the_first_header_of_a_connection_are_those_of_the_acquisition_before() -> None:
    heard = Told().take([frame(5), frame(6), header(), *map(frame, range(12))])
    assert [start.beginning for start in heard.starts] == ["nameless", "seen"]
    first, second = (start.series for start in heard.starts)
    assert (numbers(heard, first), numbers(heard, second)) == ([5, 6], list(range(12)))
    assert [(trouble.kind, trouble.series) for trouble in heard.troubles] == [("bad_message", first)]


def test_frames_of_an_interrupted_acquisition_of_more_than_a_million_have_their_numbers() -> None:
    told = Told(before=1_234_000)
    told.take([frame(234_566), frame(234_567)])
    heard = told.tick(1.1)
    told.take([frame(234_568)], 1.2)
    assert sorted(heard.frames()) == [1_234_566, 1_234_567, 1_234_568]


def test_frames_behind_the_end_belong_to_nothing() -> None:
    told = Told()
    told.take([header(), *map(frame, range(12)), frame(11)])
    heard = told.take([header(), *map(frame, range(12))])
    (trouble,) = heard.troubles
    assert (trouble.kind, trouble.frames, trouble.series) == ("unknown_scan", 1, "")
    assert len(heard.ends) == 2
    assert numbers(heard, heard.starts[1].series) == list(range(12))


def test_frames_behind_the_end_are_given_up_after_a_while() -> None:
    told = Told()
    told.take([header(), *map(frame, range(12)), frame(11), frame(11)])
    (trouble,) = told.tick(1.1).troubles
    assert (trouble.kind, trouble.frames) == ("unknown_scan", 2)
    assert len(told.heard.starts) == 1


def test_an_unreadable_header_still_begins_an_acquisition() -> None:
    told = Told()
    told.take([header(), *map(frame, range(5)), header().replace(b"End", b"..."), *map(frame, range(3))])
    heard = told.tick(1.1)
    assert [(trouble.kind, trouble.frames) for trouble in heard.troubles] == [("bad_message", 0)] * 2
    assert heard.ends == [SeriesEnd("20260415-144441", aborted=True)]
    assert numbers(heard, heard.starts[1].series) == [0, 1, 2]


def test_frames_that_are_triggered_late_have_the_header_from_before() -> None:
    told = Told()
    told.take([header()])
    told.tick(60.0)
    assert not told.take(map(frame, range(5)), 60.0).starts
    heard = told.tick(61.1)
    told.take(map(frame, range(5, 12)), 61.2)
    assert [start.frames for start in heard.starts] == [12]
    assert numbers(heard) == list(range(12))
    assert heard.ends == [SeriesEnd("20260415-144441")]
    assert not heard.troubles


def test_the_header_of_an_acquisition_without_frames_is_not_that_of_the_next() -> None:
    told = Told()
    told.take([header(40)])
    told.tick(60.0)
    heard = told.take([frame(0), frame(1), header(12), *map(frame, range(2, 12))], 60.0)
    assert [start.frames for start in heard.starts] == [12]
    assert numbers(heard) == list(range(12))
    assert heard.ends == [SeriesEnd("20260415-144441")]
    assert [(trouble.kind, trouble.frames) for trouble in heard.troubles] == [("lost", 0)]


def test_frames_that_wait_for_a_header_take_bounded_memory() -> None:
    told = Told()
    big = np.zeros((256, 256), np.uint16)
    count = HELD_BYTES // big.nbytes + 2
    heard = told.take(frame(index, big) for index in range(count))
    assert len(heard.starts) == 1
    assert sorted(heard.frames()) == list(range(count))


@pytest.mark.parametrize(
    ("message", "kind", "text"),
    [
        (b"XYZ,", "bad_message", "expected a header or a frame, found b'XYZ,'"),
        (frame(3)[:-1], "wrong_size", "expected 2048 bytes of pixels in frame 4, found 2047"),
        (frame(3).replace(b"U16", b"I99"), "bad_message", "expected pixels of type U01"),
        (frame(3).replace(b"   1x1", b"   7q3"), "bad_message", "expected a chip layout"),
        (frame(3).replace(b",01,0256,", b",09,0256,"), "bad_message", "expected 1 to 1 chips in layout 1x1, found 9"),
        (frame(12), "bad_message", "expected frames 1 to 12 in 20260415-144441, found 13"),
        (frame(3).replace(b"000004", b"000000"), "bad_message", "expected frames 1 to 12"),
        (frame(3, np.zeros((8, 256))), "wrong_size", "expected frames of 4 x 256 uint16"),
        (frame(3, kind=PixelKind("U08", 6)), "wrong_size", "expected frames of 4 x 256 uint16"),
    ],
)
def test_a_wrong_message_is_told_and_costs_only_itself(message: bytes, kind: str, text: str) -> None:
    stream = [header(), *map(frame, range(12))]
    stream[4] = message
    told = Told()
    told.take(stream)
    heard = told.tick(0.6)
    (trouble,) = heard.troubles
    assert (trouble.kind, trouble.series) == (kind, "20260415-144441")
    assert trouble.text.startswith(text)
    assert "\n" not in trouble.text
    assert numbers(heard) == [0, 1, 2, *range(4, 12)]
    assert heard.ends == [SeriesEnd("20260415-144441")]


def test_counts_beyond_32_bits_become_the_largest_of_them() -> None:
    kind = PixelKind("U64", 24)
    pixels = np.array([[0, 1, (1 << 32) - 1, 1 << 32, (1 << 64) - 1] + [7] * 251], np.uint64)
    heard = Told().take([header(1, kind), frame(0, pixels, kind)])
    assert heard.starts[0].dtype == "uint32"
    assert heard.frames()[0][0, :6].tolist() == [0, 1, *[(1 << 32) - 1] * 3, 7]
    assert [(trouble.kind, trouble.frames) for trouble in heard.troubles] == [("clipped", 1)]
    assert heard.troubles[0].text == "expected counts that uint32 can hold in frames 1 to 1, found larger"


def test_counts_of_64_bits_that_32_can_hold_are_not_clipped() -> None:
    kind = PixelKind("U64", 24)
    pixels = np.full((1, 256), (1 << 32) - 1, np.uint64)
    heard = Told().take([header(1, kind), frame(0, pixels, kind)])
    np.testing.assert_array_equal(heard.frames()[0], pixels)
    assert not heard.troubles


def test_one_bit_frames_do_not_saturate() -> None:
    kind = PixelKind("R64", 1)
    heard = Told().take([header(1, kind), frame(0, PIXELS[0] & 1, kind)])
    assert heard.starts[0].saturation is None
