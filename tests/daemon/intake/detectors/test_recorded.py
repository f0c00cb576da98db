"""A recorded file tells what a detector tells."""

from pathlib import Path
from threading import Event
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesEnd, SeriesFrames, SeriesStart, Trouble
from livestrain_daemon.intake.detectors.recorded import MESSAGE_BYTES, RecordedDetector, geometry_of, named_after
from livestrain_daemon.intake.recorded_file import RecordedFile
from livestrain_daemon.intake_config import ScanGeometry
from livestrain_recordings.opening import open_recording

RANDOM = np.random.default_rng(5)


def told(path: Path, geometry: ScanGeometry | None = None, dataset: str | None = None) -> list[DetectorEvent]:
    """All events up to the end of the series."""
    stop = Event()
    detector = RecordedDetector(RecordedFile(path=path, dataset=dataset, scan_id="s"), geometry or ScanGeometry())
    events: list[DetectorEvent] = []
    for event in detector.events(stop):
        if event is not None:
            events.append(event)
        if isinstance(event, SeriesEnd):
            stop.set()
    return events


def frames_in(events: list[DetectorEvent], start: SeriesStart) -> dict[int, NDArray[Any]]:
    """Frames by their numbers."""
    found: dict[int, NDArray[Any]] = {}
    for event in events:
        if isinstance(event, SeriesFrames):
            block = np.frombuffer(event.payload, start.dtype).reshape(event.count, *event.frame_shape)
            assert not found.keys() & set(range(event.first, event.first + event.count))
            found |= {event.first + number: frame for number, frame in enumerate(block)}
    return found


def started(events: list[DetectorEvent]) -> SeriesStart:
    assert isinstance(events[0], SeriesStart)
    return events[0]


@pytest.fixture
def scan() -> NDArray[np.uint16]:
    return RANDOM.integers(0, 60000, (3, 4, 20, 24), dtype=np.uint16)


def test_every_frame_comes_once_with_its_number(tmp_path: Path, scan: NDArray[np.uint16]) -> None:
    np.save(tmp_path / "scan.npy", scan)
    events = told(tmp_path / "scan.npy")
    start = started(events)
    assert (start.scan_shape, start.frame_shape, start.dtype, start.frames) == ((3, 4), (20, 24), "uint16", 12)
    found = frames_in(events, start)
    assert np.array_equal(np.stack([found[number] for number in range(12)]), scan.reshape(12, 20, 24))
    assert events[-1] == SeriesEnd("s")


def test_large_files_come_in_pieces(tmp_path: Path) -> None:
    scan = RANDOM.integers(0, 255, (5, 7, 512, 512), dtype=np.uint8)
    np.save(tmp_path / "scan.npy", scan)
    events = told(tmp_path / "scan.npy")
    pieces = [event for event in events if isinstance(event, SeriesFrames)]
    assert len(pieces) > 1
    assert max(piece.size for piece in pieces) <= MESSAGE_BYTES
    found = frames_in(events, started(events))
    assert np.array_equal(np.stack([found[number] for number in range(35)]), scan.reshape(35, 512, 512))


def test_what_the_file_knows_of_the_optics_is_told(tmp_path: Path, scan: NDArray[np.uint16]) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        data = file.create_dataset("scan", data=scan)
        data.attrs.update({"energy_kev": 200.0, "step_angstrom": 15.0, "semiangle_mrad": 2.5, "operator": "Ada"})
    start = started(told(tmp_path / "scan.h5"))
    assert (start.energy_kev, start.step_nm, start.semiangle_mrad, start.pixel_size_mrad) == (200.0, 1.5, 2.5, None)
    assert start.metadata == {"operator": "Ada", "recorded_in": "scan.h5:/scan"}


def test_pixels_that_the_file_marks_are_told(tmp_path: Path, scan: NDArray[np.uint16]) -> None:
    with h5py.File(tmp_path / "scan_master.h5", "w") as file:
        file["entry/data/data_000001"] = scan.reshape(12, 20, 24)
        mask = file.create_dataset(
            "entry/instrument/detector/detectorSpecific/pixel_mask", data=np.zeros((20, 24), np.uint32)
        )
        mask[3, 4] = 2
    start = started(told(tmp_path / "scan_master.h5", ScanGeometry(shape=(3, 4))))
    assert start.unusable is not None
    assert np.argwhere(start.unusable).tolist() == [[0, 3, 4]]
    assert frames_in(told(tmp_path / "scan_master.h5", ScanGeometry(shape=(3, 4))), start).keys() == set(range(12))


def test_a_flat_square_number_of_frames_makes_a_square_scan(tmp_path: Path, scan: NDArray[np.uint16]) -> None:
    np.save(tmp_path / "flat.npy", scan.reshape(12, 20, 24)[:9])
    assert started(told(tmp_path / "flat.npy")).scan_shape == (3, 3)


def test_another_number_of_frames_needs_a_shape(tmp_path: Path, scan: NDArray[np.uint16]) -> None:
    np.save(tmp_path / "flat.npy", scan.reshape(12, 20, 24))
    with pytest.raises(Unavailable, match="has 12 frames, which does not tell the shape"):
        told(tmp_path / "flat.npy")
    assert started(told(tmp_path / "flat.npy", ScanGeometry(shape=(2, 6)))).scan_shape == (2, 6)


def test_frames_behind_the_scan_are_not_handed_on(tmp_path: Path, scan: NDArray[np.uint16]) -> None:
    np.save(tmp_path / "flat.npy", scan.reshape(12, 20, 24))
    for shape, skipped, expected in (((2, 2), 1, 5), ((3, 4), 0, 12), ((4, 4), 0, 12)):
        events = told(tmp_path / "flat.npy", ScanGeometry(shape=shape, skip_frames=skipped))
        assert started(events).frames == 12
        assert list(frames_in(events, started(events))) == list(range(expected))


def test_flyback_frames_are_no_columns(tmp_path: Path, scan: NDArray[np.uint16]) -> None:
    np.save(tmp_path / "scan.npy", scan)
    assert started(told(tmp_path / "scan.npy", ScanGeometry(flyback_frames=1))).scan_shape == (3, 3)
    with pytest.raises(Unavailable, match="expected more than 4 frames in a row"):
        told(tmp_path / "scan.npy", ScanGeometry(flyback_frames=4))


def test_what_is_configured_of_a_detector_holds_for_frames_one_after_the_other(
    tmp_path: Path, scan: NDArray[np.uint16]
) -> None:
    configured = ScanGeometry(shape=(2, 5), order="serpentine", flyback_frames=1)
    np.save(tmp_path / "flat.npy", scan.reshape(12, 20, 24))
    with open_recording(tmp_path / "flat.npy") as recording:
        assert geometry_of(recording, configured, {}) == configured
        assert geometry_of(recording, configured, {"order": "raster"}).order == "raster"


def test_a_file_with_a_place_for_each_position_is_laid_out_as_it_is(tmp_path: Path, scan: NDArray[np.uint16]) -> None:
    configured = ScanGeometry(shape=(2, 5), order="serpentine", flyback_frames=1, skip_frames=2)
    np.save(tmp_path / "scan.npy", scan)
    with open_recording(tmp_path / "scan.npy") as recording:
        assert geometry_of(recording, configured, {}) == ScanGeometry()
        assert geometry_of(recording, configured, {"order": "serpentine"}) == ScanGeometry(order="serpentine")


@pytest.mark.parametrize("bad", [[], [(7, 1 << 32)], [(0, 1 << 33), (599, 1 << 32)]])
def test_only_frames_with_a_value_that_does_not_fit_are_left_out(tmp_path: Path, bad: list[tuple[int, int]]) -> None:
    scan = np.zeros((600, 16, 16), np.uint64)
    scan[:, 0, 0] = np.arange(600)
    for frame, value in bad:
        scan[frame, 5, 5] = value
    np.save(tmp_path / "scan.npy", scan)
    events = told(tmp_path / "scan.npy", ScanGeometry(shape=(20, 30)))
    troubles = [event for event in events if isinstance(event, Trouble)]
    assert [(one.kind, one.frames) for one in troubles] == [("unreadable", len(bad))] * bool(bad)
    for one in troubles:
        assert f"frame {bad[0][0]} holds {bad[0][1]}" in one.text
    sent = frames_in(events, started(events))
    assert {number: int(frame[0, 0]) for number, frame in sent.items()} == {
        number: number for number in range(600) if number not in dict(bad)
    }
    assert events[-1] == SeriesEnd("s")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "scan.h5").write_text("no frames here")
    with pytest.raises(Unavailable, match=r"scan\.h5: expected"):
        told(tmp_path / "scan.h5")


def test_a_scan_is_named_after_its_file() -> None:
    assert named_after(Path("/data/Si SiGe (3).h5")) == "Si-SiGe-3"
    assert named_after(Path("/data/_x_master.h5")) == "x_master"
    assert named_after(Path("/data/...h5")) == "recording"
    assert len(named_after(Path("a" * 200 + ".h5"))) == 58
