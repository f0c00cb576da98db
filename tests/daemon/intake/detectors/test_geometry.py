"""Where the frames of a series go, against a walk from frame to frame."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from livestrain_daemon.intake.detectors.arrivals import Scans
from livestrain_daemon.intake.detectors.events import SeriesEnd, SeriesFrames, SeriesStart, Trouble
from livestrain_daemon.intake.placement import BEYOND, FLYBACK, Placement, placement_of
from livestrain_daemon.intake_config import ScanGeometry
from livestrain_wire.messages import Encoding, Frames, ScanEnd, ScanStart

Where: TypeAlias = tuple[int, int]
"""Scan, from 1, and flat position."""
NOWHERE = (0, FLYBACK)
TOO_MANY = (0, BEYOND)


def walk(geometry: ScanGeometry, shape: tuple[int, int], table: list[int] | None) -> Iterator[Where]:
    """Where each frame of an endless series belongs, one after the other."""
    for _ in range(geometry.skip_frames):
        yield NOWHERE
    scan = 0
    while True:
        scan += 1
        if table is not None:
            yield from ((scan, position) for position in table)
        else:
            for row in range(shape[0]):
                columns = list(range(shape[1]))
                if geometry.order == "serpentine" and row % 2:
                    columns.reverse()
                yield from ((scan, row * shape[1] + column) for column in columns)
                yield from [NOWHERE] * geometry.flyback_frames
        yield from [NOWHERE] * geometry.flyback_frames_per_scan
        while not geometry.repeat:
            yield TOO_MANY


class Grid:
    """Takes arrivals as the session does, and keeps where each frame has gone, by its pixel."""

    def __init__(self) -> None:
        self.places: dict[int, Where] = {}
        self.lost: dict[str, int] = {}
        self.ended: list[str] = []
        self.started: list[str] = []
        self._placements: dict[str, Placement] = {}

    def take(self, scans: Scans, event: SeriesStart | SeriesFrames | SeriesEnd) -> None:
        for arrival in scans.arrivals(event):
            match arrival.message:
                case ScanStart() as start:
                    table = None if arrival.payload is None else np.frombuffer(arrival.payload, "<u4")
                    self._placements[start.scan_id] = placement_of(start, table)
                    self.started.append(start.scan_id)
                case Frames() as frames:
                    placement = self._placements[frames.scan_id]
                    assert self.started[-1] == frames.scan_id
                    pixels = b"".join(arrival.parts) if arrival.parts else bytes(arrival.payload or b"")
                    numbers = np.frombuffer(pixels, "<u2").tolist()
                    scan = int(frames.scan_id.partition(".")[2] or 1)
                    positions = placement.positions_of(frames.first_index, frames.count).tolist()
                    for number, position in zip(numbers, positions, strict=True):
                        self.places[number] = (scan, position) if position >= 0 else (0, position)
                case ScanEnd() as end:
                    self.ended.append(end.scan_id)
                case Trouble() as trouble:
                    self.lost[trouble.kind] = self.lost.get(trouble.kind, 0) + trouble.frames


geometries = st.builds(
    ScanGeometry,
    shape=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    order=st.sampled_from(["raster", "serpentine"]),
    flyback_frames=st.integers(0, 2),
    flyback_frames_per_scan=st.integers(0, 3),
    skip_frames=st.integers(0, 3),
    repeat=st.booleans(),
)


def sent(lengths: list[int], dropped: set[int], packed: bool) -> Iterator[SeriesFrames]:
    """Messages of so many frames, each frame one pixel with its number; without the dropped messages."""
    first = 0
    for number, count in enumerate(lengths):
        if number not in dropped:
            payload = np.arange(first, first + count, dtype="<u2").data.cast("B")
            # nobody unpacks here what is packed one by one
            parts = tuple(payload[2 * frame : 2 * frame + 2] for frame in range(count)) if packed else ()
            payload = payload[:0] if packed else payload
            encoding: Encoding = "lz4" if packed else "raw"
            yield SeriesFrames("s", first, count, (1, 1), "uint16", encoding, payload, 2 * count, parts)
        first += count


@settings(deadline=None, max_examples=150)
@given(
    geometries,
    st.lists(st.integers(1, 9), min_size=1, max_size=20),
    st.sets(st.integers(0, 19), max_size=3),
    st.booleans(),
)
def test_every_frame_goes_where_a_walk_from_frame_to_frame_puts_it(
    geometry: ScanGeometry, lengths: list[int], dropped: set[int], packed: bool
) -> None:
    check(geometry, None, lengths, dropped, packed)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=8),
    st.booleans(),
    st.integers(0, 2),
    st.integers(0, 2),
    st.lists(st.integers(1, 9), min_size=1, max_size=10),
)
def test_so_it_is_with_a_list_of_positions(
    table: list[int], repeat: bool, skip: int, after: int, lengths: list[int]
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "list.npy"
        np.save(path, table)
        geometry = ScanGeometry(
            shape=(2, 3), positions=path, repeat=repeat, skip_frames=skip, flyback_frames_per_scan=after
        )
        check(geometry, table, lengths, set(), packed=False)


def check(geometry: ScanGeometry, table: list[int] | None, lengths: list[int], dropped: set[int], packed: bool) -> None:
    assert geometry.shape is not None
    grid, scans = Grid(), Scans("", geometry)
    grid.take(scans, SeriesStart("s", (1, 1), "uint16", None))
    came = list(sent(lengths, dropped, packed))
    for message in came:
        grid.take(scans, message)
    grid.take(scans, SeriesEnd("s"))
    places = walk(geometry, geometry.shape, table)
    truth = [next(places) for _ in range(sum(lengths))]
    expected = {number: truth[number] for one in came for number in range(one.first, one.first + one.count)}
    assert len(grid.places) + sum(grid.lost.values()) == len(expected)
    stored = {number: place for number, place in grid.places.items() if place[0]}
    assert stored.items() <= expected.items()
    # a frame that comes after more than a whole scan was lost is not believed before the second one
    doubted = grid.lost.get("wrong_index", 0) - sum(place == TOO_MANY for place in expected.values())
    assert doubted == 0 or dropped
    assert sum(place[0] > 0 for place in expected.values()) - len(stored) <= doubted
    assert grid.ended == grid.started
