import json
import re
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from livestrain_recordings.errors import UnusableRecording
from livestrain_recordings.opening import open_recording
from livestrain_simulator.delivery import Delivery
from livestrain_simulator.errors import NotReplayable
from livestrain_simulator.replay import replay, start_of
from livestrain_simulator.send import Sending
from livestrain_wire.messages import Frames, ScanEnd, ScanStart
from simulator.receiving import receiving, unpack

CUBE = np.random.default_rng(3).poisson(2.0, (6, 5, 16, 24)).astype(np.uint16)


def replayed(path: Path, **options: Any) -> tuple[Any, np.ndarray[Any, Any], Any]:
    with receiving() as receiver:
        replay(path, Delivery(receiver.endpoint, scan_id="again", sending=Sending(frames_per_message=7)), **options)
        return receiver.whole_scan()


@pytest.mark.parametrize(
    "storage",
    [
        {},
        {"chunks": (1, 1, 16, 24)},
        {"chunks": (2, 3, 8, 24), "compression": "gzip"},
        {"chunks": (4, 4, 16, 24), **hdf5plugin.Bitshuffle()},
        {"chunks": (6, 5, 4, 4), **hdf5plugin.Blosc2()},
    ],
    ids=["contiguous", "frames", "gzip", "bitshuffle", "blosc2"],
)
def test_frames_of_an_hdf5_file_arrive_with_the_same_bits(tmp_path: Path, storage: dict[str, Any]) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("frames", data=CUBE, **storage)
    start, frames, end = replayed(tmp_path / "scan.h5")
    assert frames.tobytes() == CUBE.tobytes()
    assert (start.scan_shape, start.frame_shape, start.dtype) == ((6, 5), (16, 24), "uint16")
    assert (end.reason, end.frames_sent) == ("complete", 30)


def test_the_largest_dataset_with_four_axes_is_taken_wherever_it_lies(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["datacube_root/datacube/data"] = CUBE
        file["datacube_root/small"] = CUBE[:2, :2]
        file["stack"] = np.zeros((90, 16, 24), np.uint16)
        file["truth/F"] = np.zeros((60, 60, 2, 2))
    with open_recording(tmp_path / "scan.h5") as recording:
        assert recording.name == "/datacube_root/datacube/data"
    assert replayed(tmp_path / "scan.h5")[1].tobytes() == CUBE.tobytes()


def test_a_dataset_can_be_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["large"] = CUBE
        file["other/small"] = CUBE[:2, :2]
    np.testing.assert_array_equal(replayed(tmp_path / "scan.h5", dataset="other/small")[1][3], CUBE[1, 1])


def test_attributes_become_fields_of_the_start_or_metadata(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("group/frames", data=CUBE).attrs["energy_kev"] = 80.0
        file.attrs.update({"energy_kev": 300.0, "semiangle_mrad": 1.03, "step_angstrom": 31.25, "defocus_um": -13.5})
        file["group"].attrs["operator"] = "nobody"
        file.attrs["table"] = np.zeros(4)
    start = replayed(tmp_path / "scan.h5")[0]
    assert (start.energy_kev, start.semiangle_mrad, start.step_nm) == (80.0, 1.03, 3.125)
    assert start.metadata == {
        "defocus_um": -13.5, "operator": "nobody", "replayed_from": "scan.h5:/group/frames",
    }  # fmt: skip


def test_attributes_that_are_no_quantity_do_not_stop_a_replay(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["frames"] = CUBE
        file.attrs.update({"energy_kev": "unknown", "semiangle_mrad": 0.0, "step_nm": float("nan")})
    start = replayed(tmp_path / "scan.h5")[0]
    assert (start.energy_kev, start.semiangle_mrad, start.step_nm) == (None, None, None)
    assert start.metadata["energy_kev"] == "unknown"


@pytest.mark.parametrize("order", ["C", "F"])
def test_frames_of_a_npy_file_arrive_with_the_same_bits(tmp_path: Path, order: Any) -> None:
    np.save(tmp_path / "scan.npy", np.asarray(CUBE, order=order))
    assert replayed(tmp_path / "scan.npy")[1].tobytes() == CUBE.tobytes()


def test_a_stack_of_frames_needs_the_scan_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "stack.npy", CUBE.reshape(30, 16, 24))
    start, frames, _ = replayed(tmp_path / "stack.npy", scan_shape=(5, 6))
    assert start.scan_shape == (5, 6)
    assert frames.tobytes() == CUBE.tobytes()
    with pytest.raises(NotReplayable, match="--scan-shape"):
        replayed(tmp_path / "stack.npy")
    with pytest.raises(NotReplayable, match="takes 42 frames, found 30"):
        replayed(tmp_path / "stack.npy", scan_shape=(6, 7))


def test_order_and_flyback_of_the_stored_frames_are_announced(tmp_path: Path) -> None:
    np.save(tmp_path / "stack.npy", CUBE.reshape(30, 16, 24))
    start, frames, _ = replayed(tmp_path / "stack.npy", scan_shape=(6, 4), order="serpentine", flyback_frames=1)
    assert (start.order, start.flyback_frames, start.scan_shape) == ("serpentine", 1, (6, 4))
    assert frames.tobytes() == CUBE.tobytes()


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        (">u2", "uint16"), ("i1", "uint8"), ("i2", "uint16"), (">i4", "uint32"), ("i8", "uint32"), ("u8", "uint32"),
        ("?", "uint8"), ("f2", "float32"), (">f4", "float32"),
    ],
)  # fmt: skip
def test_types_that_fit_are_sent_without_loss(tmp_path: Path, stored: str, sent: str) -> None:
    data = np.minimum(CUBE, 1).astype(stored)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["frames"] = data
    start, frames, _ = replayed(tmp_path / "scan.h5")
    assert start.dtype == sent
    np.testing.assert_array_equal(frames.reshape(CUBE.shape), data)


def test_complex_numbers_are_refused_before_the_scan_begins(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", CUBE.astype(np.complex64))
    with receiving() as receiver:
        with pytest.raises(UnusableRecording, match="complex64, which cannot be sent without loss"):
            replay(tmp_path / "scan.npy", Delivery(receiver.endpoint))
        assert not receiver.socket.poll(50)


def test_double_precision_is_rounded_to_single(tmp_path: Path) -> None:
    data = CUBE / 3
    data[2, 3, 1, 1] = np.nan
    np.save(tmp_path / "scan.npy", data)
    start, frames, _ = replayed(tmp_path / "scan.npy")
    assert start.dtype == "float32"
    np.testing.assert_array_equal(frames.reshape(CUBE.shape), data.astype(np.float32))


def test_counts_below_zero_in_any_frame_make_all_frames_float32(tmp_path: Path) -> None:
    data = CUBE.astype(np.int16)
    np.save(tmp_path / "without.npy", data)
    data[2, 3, 1, 1] = -3
    np.save(tmp_path / "with.npy", data)
    for name, dtype in (("without", "uint16"), ("with", "float32")):
        start, frames, _ = replayed(tmp_path / f"{name}.npy")
        assert start.dtype == dtype
        np.testing.assert_array_equal(frames.reshape(CUBE.shape), np.load(tmp_path / f"{name}.npy"))


@pytest.mark.parametrize(("value", "dtype"), [(1 << 40, np.int64), (1e300, np.float64)])
def test_a_value_that_cannot_be_sent_names_its_frame_and_begins_no_scan(
    tmp_path: Path, value: float, dtype: type[Any]
) -> None:
    data = CUBE.astype(dtype)
    data[2, 3, 1, 1] = value
    np.save(tmp_path / "scan.npy", data)
    with receiving() as receiver:
        with pytest.raises(UnusableRecording, match=re.escape(f"frame 13 holds {value}")):
            replay(tmp_path / "scan.npy", Delivery(receiver.endpoint))
        assert not receiver.socket.poll(50)


def test_real_time_takes_the_dwell_time_of_the_file_or_the_option(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("frames", data=CUBE).attrs["dwell_us"] = 2000.0
    np.save(tmp_path / "scan.npy", CUBE)
    with receiving() as receiver:
        delivery = Delivery(receiver.endpoint, sending=Sending(frames_per_message=1))
        assert replay(tmp_path / "scan.h5", delivery, real_time=True).sent.seconds >= 29 * 2e-3
        assert replay(tmp_path / "scan.npy", delivery, real_time=True, dwell_us=3000.0).sent.seconds >= 29 * 3e-3
        with pytest.raises(NotReplayable, match="--dwell-us"):
            replay(tmp_path / "scan.npy", delivery, real_time=True)


def test_the_start_refuses_a_scan_of_another_size(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", CUBE)
    with (
        open_recording(tmp_path / "scan.npy") as recording,
        pytest.raises(NotReplayable, match="and 2 flyback frames per row takes 36 frames"),
    ):
        start_of(recording, "one", (6, 4), flyback_frames=2)


def test_frames_that_livestrain_did_not_store_are_left_out(tmp_path: Path) -> None:
    states = np.ones(30, np.uint8)
    states[[0, 4, 5, 29]] = [0, 2, 2, 2]
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["scan/frames/data"] = CUBE
        file["frames"] = file["scan/frames/data"]
        file["ledger"] = states
        start = {"scan_id": "first", "energy_kev": 300.0, "step_nm": None, "metadata": {"operator": "nobody"}}
        file.attrs["start"] = json.dumps(start)
    with receiving() as receiver:
        report = replay(tmp_path / "frames.h5", Delivery(receiver.endpoint, sending=Sending(frames_per_message=8)))
        (announced, _), *messages, (end, _) = receiver.scan()
    arrived = {}
    for header, payload in messages:
        assert isinstance(header, Frames)
        block = unpack(header, payload[0])
        arrived.update({header.first_index + offset: frame for offset, frame in enumerate(block)})
    assert sorted(arrived) == np.flatnonzero(states == 1).tolist()
    for number, frame in arrived.items():
        np.testing.assert_array_equal(frame, CUBE.reshape(30, 16, 24)[number])
    assert report.sent.frames == 26
    assert isinstance(end, ScanEnd)
    assert end.frames_sent == 26
    assert isinstance(announced, ScanStart)
    assert (announced.energy_kev, announced.metadata["operator"]) == (300.0, "nobody")


def test_a_complete_recording_of_livestrain_is_sent_whole(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["frames"] = CUBE
        file["ledger"] = np.ones(30, np.uint8)
    assert replayed(tmp_path / "frames.h5")[1].tobytes() == CUBE.tobytes()
